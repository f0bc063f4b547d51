"""A training run, described by everything that determines its result."""

import contextlib
import dataclasses
import math
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, get_type_hints

import jax

from adamprox.checks import fits
from adamprox.histograms import NUM_BINS
from adamprox.sweep.grouping import fits_devices
from adamprox.sweep.runs import run_key
from adamprox.training import throughput
from adamprox.training.checkpoints import Checkpoints, digest
from adamprox.training.configuration import Configuration
from adamprox.training.loop import EpochResult, Trained, epochs
from adamprox.training.monitoring import METRICS, Callback, Monitor
from adamprox.training.rotation import PERCENTILES
from adamprox.training.sharding import run_mesh
from adamprox.training.sparsity import zero_shares


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRun(Configuration):
    """One training of one network, the unit of every sweep.

    `TrainingRun.of` makes a run from flat options. The fields are those of
    `adamprox.training.configuration.Configuration`.

    Example:
      >>> record = TrainingRun.of(network="mlp", depth=2, train_size=64, epochs=1).run()
      >>> len(record["test_error"]), record["diverged_step"]
      (1, 0)
    """

    kind: ClassVar[str] = "training"
    # Part of every key: raise it when a change of the code changes the result of a run.
    version: ClassVar[int] = 2

    @classmethod
    def described(cls, record: Mapping[str, Any]) -> "TrainingRun | None":
        """Return the run that a record of any origin describes; None if it is not a record of one."""
        try:
            run = cls.from_columns(record)
        except (ValueError, TypeError):
            return None
        named = isinstance(record.get("data_fingerprint"), str)
        return run if named and run.accepts(record) else None

    def run(
        self, scratch: pathlib.Path | None = None, callback: Callback | None = None
    ) -> dict[str, Any]:
        """Train the network, and return the columns of the record.

        Args:
          callback: Function (step, metrics), called after every epoch with the number of steps taken
            and the losses and errors of the epoch by name; a resumed run also reports the epochs before
            the interruption.
          scratch: Directory for checkpoints. An interrupted run continues from the checkpoints in
            its directory. Delete the directory when the record is written.

        Returns:
          Columns with one entry per epoch, and the final results.
        """
        (row,) = (columns for _, columns in self.run_together([self], scratch, callback=callback))
        return row

    def fits(self, other: "TrainingRun") -> bool:
        """Return True if ``other`` can be trained at once with this run; optimizers may differ."""
        mine, its = (
            (c.program._replace(optimizers=()), c.schedule, c.init_seed) for c in (self, other)
        )
        return mine == its

    @staticmethod
    def run_together(
        runs: Sequence["TrainingRun"],
        scratch: pathlib.Path | None = None,
        deadline: float | None = None,
        callback: Callback | None = None,
    ) -> Iterator[tuple["TrainingRun", dict[str, Any]]]:
        """Train runs that fit each other at once on all devices; the results equal those of `run`.

        Args:
          runs: Runs in which those of one optimizer are adjacent. With several devices, the runs
            are ordered by device, and every device has the same optimizers.
          scratch: Directory for the checkpoints of all runs; see `run`.
          deadline: Time of `time.monotonic` at which training must end; None for no limit.
          callback: Function (step, metrics) that is called after every epoch of every run.

        Yields:
          A run and its columns, as soon as the run ends. ``seconds`` is the time of all runs
          divided by their number.

        Raises:
          OutOfTimeError: Some runs are not done at the deadline; ``scratch`` has their state.
          ValueError: The devices would have different optimizers.
        """
        first, devices = runs[0], jax.local_devices() if len(runs) > 1 else [None]
        if not fits_devices(runs, len(devices)):
            names = ", ".join(run.optimizer for run in runs)
            raise ValueError(
                f"runs must have the same optimizers on each of {len(devices)} devices, got {names}"
            )
        each = len(runs) // len(devices)
        program = first.program._replace(
            optimizers=tuple(run.method.optimizer for run in runs[:each]),
            one_order=len({run.seed for run in runs}) == 1,
        )
        kept = Checkpoints(scratch, repr(list(runs))) if scratch else None
        clock, running = time.perf_counter(), dict(enumerate(runs))
        trainings = epochs(
            program,
            [run.hyperparameters for run in runs],
            first.schedule,
            seeds=[run.seed for run in runs],
            init_seed=first.init_seed,
            checkpoints=kept,
            mesh=run_mesh(devices) if len(devices) > 1 else None,
            deadline=deadline,
        )
        with contextlib.ExitStack() as stack:
            monitors = [run.monitor(callback) for run in runs]
            for monitor in monitors:
                stack.callback(monitor.close)
            while running:
                with jax.enable_x64(False):  # one precision, because a key has one result
                    training = next(trainings)
                for k, run in list(running.items()):
                    monitors[k].note(training.histories[k])
                    if training.has_ended(k, first.schedule):
                        del running[k]
                        seconds = kept.seconds if kept else time.perf_counter() - clock
                        trained = training.run(k)
                        monitors[k].keep(trained.variables)
                        yield run, run.columns(trained) | {"seconds": seconds / len(runs)}

    def monitor(self, callback: Callback | None = None) -> Monitor:
        """Return a monitor of this run."""
        images = self.images.train_size or len(self.images.load().train)
        steps = math.ceil(images / self.images.batch_size)
        name = f"{self.optimizer},{self.learning_rate:g},{self.weight_decay:g},{self.seed}"
        return Monitor(run_key(self), name, steps, callback)

    def at_once(self, folder: pathlib.Path) -> int:
        """Return the number of runs of this network that one device should train at once.

        Args:
          folder: Directory of the measurements; a missing measurement is made and stored.
        """
        return throughput.runs_at_once(self.program, folder)

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record has all columns of `run`, with one entry per epoch."""
        epochs = record.get("epoch")
        count = len(epochs) if isinstance(epochs, list) else 0
        kinds = get_type_hints(EpochResult)
        every_epoch = {name: ((count,), kinds[name]) for name in _EPOCH_WISE}
        first = {
            "update_histogram": ((count, NUM_BINS), int),
            "angular_update": ((count, len(PERCENTILES)), float | None),
        }
        columns = every_epoch | first | OUTCOME
        for names in _ADDED:
            if record.keys().isdisjoint(names):  # an older record
                columns = {name: columns[name] for name in columns if name not in names}
        whole = fits(record, columns)
        return whole and 1 <= count <= self.schedule.epochs and record["test_examples"] > 0

    def columns(self, trained: Trained) -> dict[str, Any]:
        """Return the columns of the record except ``seconds``."""
        history = trained.history
        rows = {
            name: [getattr(epoch, name) for epoch in history]
            for name in (*_EPOCH_WISE, *_OF_FIRST_STEP)
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


_OF_FIRST_STEP = ("update_histogram", "angular_update")
_EPOCH_WISE = ("epoch", *METRICS)
_ADDED = (("zero_share", "zero_channel_share"), ("angular_update",))
"""Columns that older records do not have, those of one change together."""
OUTCOME: dict[str, tuple[tuple, Any]] = {
    "diverged_step": ((), int),
    "final_validation_error": ((), float | None),
    "final_test_error": ((), float | None),
    "test_examples": ((), int),
    "zero_share": ((), float),
    "zero_channel_share": ((), float),
    "parameters_digest": ((), str),
    "seconds": ((), float),
}
"""Shape and type of the columns that a record has beside those with one entry per epoch."""
