"""A cell: one training run, described by everything that determines its result."""

import dataclasses
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, get_type_hints

import jax

from adamprox.checks import fits
from adamprox.histograms import NUM_BINS
from adamprox.training import throughput
from adamprox.training.checkpoints import Checkpoints, digest
from adamprox.training.configuration import Configuration
from adamprox.training.loop import EpochResult, Trained, epochs
from adamprox.training.sharding import run_mesh
from adamprox.training.sparsity import zero_shares


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRun(Configuration):
    """One network trained once; the unit of every sweep.

    `TrainingRun.of` makes one of flat options; its specs are those of
    `adamprox.training.configuration.Configuration`.

    Example:
      >>> record = TrainingRun.of(network="mlp", depth=2, train_size=64, epochs=1).run()
      >>> len(record["test_error"]), record["diverged_step"]
      (1, 0)
    """

    kind: ClassVar[str] = "training"
    # Part of every key: raise it when a change of the code changes what a cell computes.
    version: ClassVar[int] = 2

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

    def fits(self, other: "TrainingRun") -> bool:
        """Return True if ``other`` can be trained at once with this one, whatever its optimizer."""
        mine, its = (
            (c.program._replace(optimizers=()), c.schedule, c.init_seed) for c in (self, other)
        )
        return mine == its

    @staticmethod
    def run_together(
        cells: Sequence["TrainingRun"],
        scratch: pathlib.Path | None = None,
        deadline: float | None = None,
    ) -> Iterator[tuple["TrainingRun", dict[str, Any]]]:
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
