"""Tuned methods: an optimizer, the records of its grid, its best run, and repetitions of that run."""

import copy
import dataclasses
import statistics
from collections.abc import Iterable

from adamprox.report.claims import best
from adamprox.report.plots import LABELS
from adamprox.sweep import Record
from adamprox.training import TrainingRun
from experiments.grid import Grid, extend
from experiments.protocol import Network, Options, Protocol, Records

LAST_EPOCHS = 10
"""Number of epochs at the end of a run whose test errors `late` averages."""


@dataclasses.dataclass(frozen=True)
class Method:
    """An optimizer, its grid, and the options of its runs.

    Attributes:
      optimizer: Key of `adamprox.training.recipes.RECIPES`.
      multiplier: Multiplier of the loss.
      options: Options of its runs that differ from the protocol's ``training``.
      grid: Grid without extensions; the protocol's if None.
      label: Name in figures and claims; the optimizer's by default.
      more_rates: True if a best run on an edge extends α, too; it always extends λ.
      seeds: Number of runs at the best grid point; the protocol's if None.
    """

    optimizer: str
    multiplier: float = 1.0
    options: Options = dataclasses.field(default_factory=dict)
    grid: Grid | None = None
    label: str = ""
    more_rates: bool = True
    seeds: int | None = None

    @classmethod
    def on(cls, network: Network, optimizer: str, label: str = "") -> "Method":
        """Return an optimizer on a network of the paper, with the network's own grid and seeds."""
        return cls(
            optimizer,
            options=network.options,
            grid=network.grids.get(optimizer),
            label=label,
            seeds=network.seeds,
        )

    def tuned_on(self, protocol: Protocol, records: Records) -> "Tuned":
        """Return the method with the records of its runs."""
        return Tuned(self, protocol, records)


class Tuned:
    """A method that was tuned once on the records.

    Args:
      method: The method.
      protocol: Protocol of its runs.
      records: Records of these runs and others.

    Attributes:
      grid: Grid with all extensions by the records.
      tried: Records of the grid.
      best: Record of lowest test error in ``tried``, as published; None if no run finished.
      seeds: Records at the best grid point, one per seed.
      runs: Runs of the grid and, if the grid is complete, more seeds at its best point.
      untuned: Number of runs of the grid without a record.
      missing: Number of ``runs`` without a record.
    """

    def __init__(self, method: Method, protocol: Protocol, records: Records):
        """Tune the method."""
        self.method, self.protocol, self._records = method, protocol, records
        self._made: dict[tuple[float, float], TrainingRun] = {}
        self.grid = method.grid or protocol.grid(method.optimizer, method.multiplier)
        points = self._extend(protocol.extensions)
        self.tried = records.of(points)
        self.best = best(self.tried)
        self.untuned = len(points) - len(self.tried)
        single = len(points) == 1  # it is the best from the start
        first = points[0] if single else None
        if self.best:
            first = self._run(self.best.learning_rate, self.best.weight_decay)
        repeated = with_seeds(first, method.seeds or protocol.seeds) if first else []
        self.seeds = records.of(repeated)
        self.runs = [*points, *(repeated[1:] if single or not self.untuned else [])]
        self.missing = records.missing(self.runs)

    @property
    def name(self) -> str:
        """Name of the method in figures and claims."""
        return self.method.label or LABELS[self.method.optimizer]

    @property
    def optimizer(self) -> str:
        """Key of the method's optimizer."""
        return self.method.optimizer

    @property
    def validated(self) -> Record | None:
        """Record of the grid with the lowest validation error; None without a validation split."""
        finished = [r for r in self.tried if r.validation_error is not None]
        return min(finished, key=lambda r: r["final_validation_error"], default=None)

    @property
    def finished(self) -> list[Record]:
        """Records in ``seeds`` that did not diverge."""
        return [record for record in self.seeds if record.error is not None]

    def at(self) -> dict[tuple[float, float], Record]:
        """Return the records of the grid that finished, by (α, λ)."""
        return {(r.learning_rate, r.weight_decay): r for r in self.tried if r.error is not None}

    def _extend(self, left: int) -> list[TrainingRun]:
        """Extend the grid while its best run lies on an edge, and return its runs."""
        runs = self._runs()
        tried = self._records.of(runs)
        winner = best(tried) if len(tried) == len(runs) else None
        if winner is None or not left:
            return runs
        larger = extend(self.grid, winner.learning_rate, winner.weight_decay)
        if not self.method.more_rates:
            larger = larger._replace(learning_rates=self.grid.learning_rates)
        if larger == self.grid:
            return runs
        self.grid = larger
        return self._extend(left - 1)

    def _runs(self) -> list[TrainingRun]:
        return [
            self._run(alpha, weight_decay)
            for weight_decay in self.grid.weight_decays
            for alpha in self.grid.learning_rates
        ]

    def _run(self, alpha: float, weight_decay: float) -> TrainingRun:
        if (alpha, weight_decay) not in self._made:
            method = self.method
            self._made[alpha, weight_decay] = self.protocol.run(
                method.optimizer, alpha, weight_decay, method.multiplier, **method.options
            )
        return self._made[alpha, weight_decay]


def complete(methods: Iterable[Tuned]) -> bool:
    """Return True if no run of a method is missing, and a run at each best point finished."""
    return all(method.finished and not method.missing for method in methods)


def at_common_seeds(one: Tuned, other: Tuned) -> tuple[Tuned, Tuned]:
    """Return both methods with the seeds that both have, each error a mean over the last epochs.

    α is constant, so errors vary from one epoch to the next; the last `LAST_EPOCHS` count.
    """
    seeds = {record.seed for record in one.seeds} & {record.seed for record in other.seeds}
    ended = {record.seed for record in one.finished} & {record.seed for record in other.finished}
    first = min(ended, default=None)
    return _restricted(one, seeds, first), _restricted(other, seeds, first)


def _restricted(method: Tuned, seeds: set[int], first: int | None) -> Tuned:
    result = copy.copy(method)
    result.seeds = [late(record) for record in method.seeds if record.seed in seeds]
    result.missing = method.missing if not seeds else 0
    result.best = next((record for record in result.seeds if record.seed == first), None)
    return result


def late(record: Record) -> Record:
    """Return the record with the mean test error of the last epochs in place of the final one."""
    visits = [error for error in record["test_error"][-LAST_EPOCHS:] if error is not None]
    error = None if record.error is None else statistics.fmean(visits)
    return Record({**record, "final_test_error": error})


def with_seeds(run: TrainingRun, count: int) -> list[TrainingRun]:
    """Return a run and its repetitions with the next seeds, ``count`` in all."""
    return [dataclasses.replace(run, seed=run.seed + k) for k in range(count)]


def wanted(methods: Iterable[Tuned]) -> list[TrainingRun]:
    """Return the runs of all methods."""
    return [run for method in methods for run in method.runs]
