"""A cell: one training run, described by everything that determines its result."""

import dataclasses
import math
import numbers
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, get_type_hints

import jax

from adamprox.checks import fits
from adamprox.data import load
from adamprox.histograms import NUM_BINS
from adamprox.training import throughput
from adamprox.training.checkpoints import Checkpoints, digest
from adamprox.training.loop import EpochResult, Schedule, Trained, epochs
from adamprox.training.recipes import RECIPES
from adamprox.training.sharding import run_mesh
from adamprox.training.sparsity import zero_shares
from adamprox.training.specs import FAMILIES, ImageSpec, NetworkSpec, Program
from adamprox.training.step import Hyperparameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingCell:
    """One network trained once; the unit of every sweep.

    Attributes:
      dataset: A name for `adamprox.data.load`.
      image_size: Side of the images after average pooling, in pixels; None for the original.
      train_size: How many training images, None for all that validation leaves.
      validation_size: How many training images are set aside for validation.
      validation_seed: Which ones.
      augment: Whether training images are flipped and shifted at random.
      network: ``resnet``, ``densenet`` or ``mlp``.
      depth: 6n + 2 for a ResNet, 6n + 4 for a DenseNet, the number of dense layers of an MLP.
      growth_rate: Of a DenseNet.
      batch_norm: Whether it has BatchNorm.
      skip_init: Whether a ResNet's branches start at zero, multiplied by a learned scalar.
      compute_dtype: ``float32``, or ``bfloat16`` for activations; parameters stay float32.
      width: Of an MLP, units of a hidden layer.
      statistics_groups: Parts of a batch that BatchNorm normalizes on their own, as devices do that
        keep their statistics to themselves; divides ``batch_size``.
      optimizer: A key of `adamprox.training.recipes.RECIPES`: ``adamw``, ``adam_l2``, ``sgd``, ….
      learning_rate: α > 0.
      weight_decay: λ ≥ 0, per step.
      loss_multiplier: The loss is multiplied by this, > 0.
      seed: Of the order of the examples, and of their augmentation.
      init_seed: Of the initial parameters: one per network, as published.
      epochs: Passes over the training set.
      batch_size: Examples a step; the last, smaller batch of an epoch is kept.
      evaluate_every: Epochs between visits to the test (and validation) set.
      evaluate_train: Visit the training set then, too, as published; its running averages are
        recorded in any case.

    Raises:
      ValueError: A value cannot be trained with; the message names it and what is allowed.
      MissingDataError: The data set has not been prepared.

    Example:
      >>> record = TrainingCell(network="mlp", depth=2, train_size=64, epochs=1).run()
      >>> len(record["test_error"]), record["diverged_step"]
      (1, 0)
    """

    kind: ClassVar[str] = "training"
    # Part of every key: raise it when a change of the code changes what a cell computes.
    version: ClassVar[int] = 2

    dataset: str = "digits"
    image_size: int | None = None
    train_size: int | None = None
    validation_size: int = 0
    validation_seed: int = 0
    augment: bool = False
    network: str = "resnet"
    depth: int = 20
    growth_rate: int = 12
    batch_norm: bool = False
    skip_init: bool = False
    compute_dtype: str = "float32"
    width: int = 128
    statistics_groups: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    loss_multiplier: float = 1.0
    seed: int = 0
    init_seed: int = 0
    epochs: int = 1
    batch_size: int = 128
    evaluate_every: int = 1
    evaluate_train: bool = False

    def __post_init__(self):
        """Refuse what cannot be trained, naming the argument, the value and what is allowed."""
        for name, allowed in (
            ("network", FAMILIES),
            ("optimizer", RECIPES),
            ("compute_dtype", ("float32", "bfloat16")),
        ):
            value = getattr(self, name)
            _check(name, value, value in tuple(allowed), f"one of {', '.join(allowed)}")
        for name in ("augment", "batch_norm", "skip_init", "evaluate_train"):
            _check(
                name, getattr(self, name), isinstance(getattr(self, name), bool), "True or False"
            )
        for name in ("learning_rate", "weight_decay", "loss_multiplier"):
            _check(name, getattr(self, name), _is(numbers.Real, getattr(self, name)), "a number")
            # Equal cells have one key, whatever type a number came in; 0.0 has one sign.
            object.__setattr__(self, name, float(getattr(self, name)) + 0.0)
        _check("learning_rate", self.learning_rate, 0 < self.learning_rate < 1e6, "> 0 and < 1e6")
        _check("weight_decay", self.weight_decay, 0 <= self.weight_decay < 1e6, ">= 0 and < 1e6")
        multiplier = self.loss_multiplier
        _check("loss_multiplier", multiplier, 0 < multiplier < 1e30, "> 0 and < 1e30")
        for name in ("learning_rate", "loss_multiplier"):
            value = getattr(self, name)
            _check(name, value, value >= 1e-37, ">= 1e-37, which float32 still holds in full")
        for name in ("epochs", "batch_size", "evaluate_every"):
            _check_whole(name, getattr(self, name), 1, ">= 1")
            _check(name, getattr(self, name), getattr(self, name) < 2**31, "< 2^31")
        groups = self.statistics_groups
        divides = _is_whole(groups, 1, self.batch_size) and self.batch_size % groups == 0
        _check("statistics_groups", groups, divides, f"a divisor of batch_size {self.batch_size}")
        _check("statistics_groups", groups, groups == 1 or self.batch_norm, "1 without BatchNorm")
        _check_whole("validation_size", self.validation_size, 0, ">= 0")
        for name in ("seed", "init_seed", "validation_seed"):
            _check_whole(name, getattr(self, name), 0, "in 0 … 2^31 − 1", 2**31 - 1)
        for name in ("image_size", "train_size"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), 1, ">= 1")
        for name in ("depth", "growth_rate", "width"):
            _check_whole(name, getattr(self, name), 1, ">= 1")
        for name, value in vars(self).items():
            if _is(numbers.Integral, value):  # NumPy's too
                object.__setattr__(self, name, int(value))
        self._check_images()
        data = self.program.images.load()
        self.program.network.build(data.num_classes)
        if self.train_size is not None:
            available = len(data.train.labels)
            left = f" (what a validation_size of {self.validation_size} leaves)"
            allowed = f"in 1 … {available}{left if self.validation_size else ''}"
            _check_whole("train_size", self.train_size, 1, allowed, available)

    def _check_images(self) -> None:
        """Refuse sizes that the data set does not have, before anything is pooled or set aside."""
        train = load(self.dataset).train
        _check_whole("validation_size", self.validation_size, 0, f"< {len(train)}", len(train) - 1)
        if self.image_size is not None:
            side = train.images.shape[1]
            divides = _is_whole(self.image_size, 1, side) and side % self.image_size == 0
            _check("image_size", self.image_size, divides, f"a divisor of {side}")

    @property
    def program(self) -> Program:
        """What has to be compiled for this cell; equal for cells that share a compilation."""
        images = ImageSpec(
            self.dataset,
            self.image_size,
            self.train_size,
            self.validation_size,
            self.validation_seed,
        )
        network = NetworkSpec(
            self.network,
            self.depth,
            self.growth_rate,
            self.batch_norm,
            self.skip_init,
            self.compute_dtype,
            self.width,
            self.statistics_groups,
        )
        return Program(images, network, (self.optimizer,), self.batch_size, self.augment)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """What is not compiled."""
        return Hyperparameters(self.learning_rate, self.weight_decay, self.loss_multiplier)

    @property
    def schedule(self) -> Schedule:
        """How long it is trained and when it is evaluated."""
        return Schedule(self.epochs, self.evaluate_every, self.evaluate_train)

    def config(self) -> dict[str, Any]:
        """Everything that determines the result, as JSON types; the data by their fingerprint."""
        data = load(self.dataset).fingerprint
        return {**dataclasses.asdict(self), "data_fingerprint": data}

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        """Train, and return the columns of this cell's record.

        Args:
          scratch: A directory for checkpoints: an interrupted run that is given the same one again
            goes on where it was. Remove it when the record is safe.

        Returns:
          One list an epoch-wise column, and the outcome.
        """
        (row,) = (columns for _, columns in self.run_together([self], scratch))
        return row

    def fits(self, other: "TrainingCell") -> bool:
        """Return True if ``other`` can be trained at once with this one, whatever its optimizer."""
        mine, its = (
            (c.program._replace(optimizers=()), c.schedule, c.init_seed) for c in (self, other)
        )
        return mine == its

    @staticmethod
    def run_together(
        cells: Sequence["TrainingCell"],
        scratch: pathlib.Path | None = None,
        deadline: float | None = None,
    ) -> Iterator[tuple["TrainingCell", dict[str, Any]]]:
        """Train cells that fit each other at once on all devices, to what `run` gives for each.

        Args:
          cells: Cells, those of one optimizer next to each other; with several devices, first those
            of one device, then those of the next with the same optimizers.
          scratch: Directory for checkpoints of all of them; see `run`.
          deadline: `time.monotonic` at which training has to be over; None for no limit.

        Yields:
          A cell and its columns as soon as it ends; its time is its share of that of all.

        Raises:
          OutOfTimeError: Not all have ended in time; ``scratch`` has their state.
        """
        first, devices = cells[0], jax.local_devices() if len(cells) > 1 else [None]
        each = len(cells) // len(devices)
        program = first.program._replace(
            optimizers=tuple(cell.optimizer for cell in cells[:each]),
            one_order=len({cell.seed for cell in cells}) == 1,
        )
        kept = Checkpoints(scratch, repr(list(cells))) if scratch else None
        clock, running = time.perf_counter(), dict(enumerate(cells))
        trainings = epochs(
            program,
            [cell.hyperparameters for cell in cells],
            first.schedule,
            seeds=[cell.seed for cell in cells],
            init_seed=first.init_seed,
            checkpoints=kept,
            mesh=run_mesh(devices) if len(devices) > 1 else None,
            deadline=deadline,
        )
        while running:
            with jax.enable_x64(False):  # a key has one result
                training = next(trainings)
            for k, cell in list(running.items()):
                if training.has_ended(k, first.schedule):
                    del running[k]
                    seconds = kept.seconds if kept else time.perf_counter() - clock
                    yield cell, cell.columns(training.run(k)) | {"seconds": seconds / len(cells)}

    def at_once(self, folder: pathlib.Path) -> int:
        """Return how many runs of this network one device should train at once.

        Args:
          folder: Place of the measurement; it is made where there is none of this device and network.
        """
        return throughput.runs_at_once(self.program, folder)

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record has what `run` returns: one list entry an epoch, and the outcome."""
        epochs = record.get("epoch")
        count = len(epochs) if isinstance(epochs, list) else 0
        kinds = get_type_hints(EpochResult)
        every_epoch = {name: ((count,), kinds[name]) for name in _EPOCH_WISE}
        histograms = {"update_histogram": ((count, NUM_BINS), int)}
        zeros = _ZEROS if _ZEROS.keys() & record.keys() else {}  # older records have none
        whole = fits(record, every_epoch | histograms | _OUTCOME | zeros)
        return whole and 1 <= count <= self.epochs and record["test_examples"] > 0

    def columns(self, trained: Trained) -> dict[str, Any]:
        """The columns of the record, but for the time it took."""
        history = trained.history
        rows = {
            name: [getattr(epoch, name) for epoch in history]
            for name in (*_EPOCH_WISE, "update_histogram")
        }
        last = history[-1]
        return {
            **rows,
            "diverged_step": last.diverged_step,
            "final_validation_error": None if last.diverged_step else last.validation_error,
            "final_test_error": None if last.diverged_step else last.test_error,
            "test_examples": len(self.program.images.load().test.labels),
            **zero_shares(trained.variables["params"]),
            "parameters_digest": digest(trained.variables),
        }


_EPOCH_WISE = [n for n in EpochResult._fields if n not in ("update_histogram", "diverged_step")]
_OUTCOME: dict[str, tuple[tuple, Any]] = {
    "diverged_step": ((), int),
    "final_validation_error": ((), float | None),
    "final_test_error": ((), float | None),
    "test_examples": ((), int),
    "parameters_digest": ((), str),
    "seconds": ((), float),
}
_ZEROS: dict[str, tuple[tuple, Any]] = {
    "zero_share": ((), float),
    "zero_channel_share": ((), float),
}


def _is(kind: type, value: object) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_whole(value: Any, low: int, high: float) -> bool:
    return _is(numbers.Integral, value) and low <= value <= high


def _check_whole(name: str, value: object, low: int, what: str, high: float = math.inf) -> None:
    _check(name, value, _is(numbers.Integral, value), f"a whole number {what}")
    _check(name, value, _is_whole(value, low, high), what)


def _check(name: str, value: object, allowed: bool, what: str) -> None:
    if not allowed:
        raise ValueError(f"{name} must be {what}, got {value}")
