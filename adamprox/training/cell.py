"""A cell: one training run, described by everything that determines its result."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, get_type_hints

import jax

from adamprox.checks import did_you_mean, fits
from adamprox.data.fingerprints import expected
from adamprox.histograms import NUM_BINS
from adamprox.training import throughput
from adamprox.training.checkpoints import Checkpoints, digest
from adamprox.training.loop import EpochResult, Trained, epochs
from adamprox.training.options import Spec, check, one_of, option
from adamprox.training.sharding import run_mesh
from adamprox.training.sparsity import zero_shares
from adamprox.training.specs import (
    FAMILIES,
    SEED,
    ImageSpec,
    Method,
    NetworkSpec,
    Program,
    ResNetSpec,
    Schedule,
)
from adamprox.training.step import Hyperparameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingCell(Spec):
    """One network trained once; the unit of every sweep.

    It is a value: making one reads no file and builds no network. `of` makes one of flat options.

    Attributes:
      images: Images and batches.
      network: Options of a network, of the class that `FAMILIES` has for its family.
      method: Optimizer and hyperparameters.
      schedule: Length, and what is evaluated.
      seed: Seed of the order of the examples, and of their augmentation.
      init_seed: Seed of the initial parameters: one per network, as published.

    Raises:
      ValueError: A value cannot be trained with; the message names it and what is allowed.

    Example:
      >>> record = TrainingCell.of(network="mlp", depth=2, train_size=64, epochs=1).run()
      >>> len(record["test_error"]), record["diverged_step"]
      (1, 0)
    """

    kind: ClassVar[str] = "training"
    # Part of every key: raise it when a change of the code changes what a cell computes.
    version: ClassVar[int] = 2

    images: ImageSpec = dataclasses.field(default=ImageSpec())
    network: NetworkSpec = dataclasses.field(default=ResNetSpec())
    method: Method = dataclasses.field(default=Method())
    schedule: Schedule = dataclasses.field(default=Schedule())
    seed: int = option(0, SEED)
    init_seed: int = option(0, SEED)

    def __post_init__(self):
        """Refuse a network without a name, and batches that its statistics do not divide."""
        super().__post_init__()
        for part, spec in _parts(NetworkSpec).items():
            value = getattr(self, part)
            check(part, value, isinstance(value, spec), f"of type {spec.__name__}")
        family, groups = self.network.family, getattr(self.network, "statistics_groups", 1)
        named = FAMILIES.get(family) is type(self.network)
        check("network", family, named, f"one of {', '.join(FAMILIES)}")
        size = self.images.batch_size
        check("statistics_groups", groups, size % groups == 0, f"a divisor of batch_size {size}")

    @classmethod
    def of(cls, **options: Any) -> "TrainingCell":
        """Make a run of flat options.

        Args:
          **options: ``network``, the name of a family, and any option of `ImageSpec`, of the
            family's class, of `Method` and of `Schedule`, ``seed`` and ``init_seed``.

        Returns:
          The run; an option that is not given has its default.

        Raises:
          ValueError: A value is not allowed, or this network has no such option.

        Example:
          >>> TrainingCell.of(depth=8, learning_rate=3e-3).method.learning_rate
          0.003
          >>> TrainingCell.of(network="mlp", skip_init=True)
          Traceback (most recent call last):
          ValueError: skip_init must be left out for network mlp, got True; it is an option of resnet
        """
        network = _network_of(options)
        for name, value in options.items():
            if name not in _defaults(network):
                raise ValueError(_unused(name, value, network))
        parts = {
            part: spec(**{name: options[name] for name in spec.defaults() if name in options})
            for part, spec in _parts(network).items()
        }
        return cls(**parts, **{name: options[name] for name in _SEEDS if name in options})

    def with_options(self, **options: Any) -> "TrainingCell":
        """Return this run with flat options in place of its own; see `of`.

        Another ``network`` starts from the defaults of that network.
        """
        own = self._options()
        family = options.get("network", self.network.family)
        if family != self.network.family:
            own = {name: own[name] for name in own if name not in self.network.defaults()}
        return self.of(**own | options)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "TrainingCell":
        """Return the run that a record, or a `config`, describes.

        Args:
          columns: Options by name; what this network does not use is passed over.
        """
        names = _defaults(_network_of(columns))
        return cls.of(**{name: columns[name] for name in names if name in columns})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the flat defaults of all options of all networks; the first network's counts."""
        return dict(_all_defaults(tuple(FAMILIES.values())))

    def _options(self) -> dict[str, Any]:
        """Return the flat options of this run."""
        images, network, method, schedule = map(
            vars, (self.images, self.network, self.method, self.schedule)
        )
        seeds = {name: getattr(self, name) for name in _SEEDS}
        family = {"network": self.network.family}
        return {**images, **family, **network, **method, **seeds, **schedule}

    def config(self) -> dict[str, Any]:
        """Return everything that determines the result, as JSON types; the data by fingerprint.

        Options that only other networks have are there with their defaults.
        """
        fingerprint = expected(self.images.dataset).fingerprint
        return {**self.defaults(), **self._options(), "data_fingerprint": fingerprint}

    def check(self) -> None:
        """Read the images, and refuse sizes that they do not have.

        Raises:
          MissingDataError: The data set has not been prepared.
          ValueError: A size does not fit, or the images are not those that runs are named by.
        """
        self.images.load()

    @property
    def optimizer(self) -> str:
        """Name of the optimizer."""
        return self.method.optimizer

    @property
    def learning_rate(self) -> float:
        """Learning rate α."""
        return self.method.learning_rate

    @property
    def weight_decay(self) -> float:
        """Weight decay λ per step."""
        return self.method.weight_decay

    @property
    def loss_multiplier(self) -> float:
        """Factor of the loss."""
        return self.method.loss_multiplier

    @property
    def program(self) -> Program:
        """Everything that has to be compiled; equal for runs that share a compilation."""
        return Program(self.images, self.network, (self.method.optimizer,))

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Numbers that are not compiled."""
        method = self.method
        return Hyperparameters(method.learning_rate, method.weight_decay, method.loss_multiplier)

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
            optimizers=tuple(cell.method.optimizer for cell in cells[:each]),
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
        return whole and 1 <= count <= self.schedule.epochs and record["test_examples"] > 0

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
            "test_examples": len(self.images.load().test),
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


_SEEDS = [f.name for f in dataclasses.fields(TrainingCell) if not isinstance(f.default, Spec)]


def _network_of(options: Mapping[str, Any]) -> type[NetworkSpec]:
    """Return the class of the network that flat options name."""
    family = options.get("network", TrainingCell.network.family)
    return FAMILIES[one_of(FAMILIES)("network", family)]


def _parts(network: type[NetworkSpec]) -> dict[str, type[Spec]]:
    return {"images": ImageSpec, "network": network, "method": Method, "schedule": Schedule}


@functools.cache
def _defaults(network: type[NetworkSpec]) -> Mapping[str, Any]:
    """Return the options that runs of a network have, with their defaults."""
    found: dict[str, Any] = {"network": TrainingCell.network.family}
    for spec in _parts(network).values():
        found |= spec.defaults()
    return MappingProxyType(found | {name: getattr(TrainingCell, name) for name in _SEEDS})


@functools.cache
def _all_defaults(networks: tuple[type[NetworkSpec], ...]) -> Mapping[str, Any]:
    """Return the options of all networks, with the defaults of the first that has them."""
    found: dict[str, Any] = {}
    for network in networks:
        found = {**found, **{n: v for n, v in _defaults(network).items() if n not in found}}
    return MappingProxyType(found)


def _unused(name: str, value: object, network: type[NetworkSpec]) -> str:
    """Return a line on an option that the network does not use, or that there is not."""
    users = [family for family, spec in FAMILIES.items() if name in spec.defaults()]
    if users:
        use = f"it is an option of {', '.join(users)}"
        return f"{name} must be left out for network {network.family}, got {value}; {use}"
    names = _defaults(network)
    near = did_you_mean(name, names)
    return f"option must be one of {', '.join(names)}, got {name}={value}{near}"
