"""An arm of a comparison: one optimizer, tuned on its grid, its best cell repeated."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from adamprox.report.claims import best
from adamprox.sweep import Record, cell_key
from adamprox.sweep.grid import Grid, extend
from adamprox.training import TrainingCell
from experiments.protocol import Protocol


@dataclasses.dataclass(frozen=True)
class Arm:
    """What is tuned and compared.

    Attributes:
      optimizer: A key of `adamprox.training.recipes.RECIPES`.
      multiplier: Of the loss.
      options: Where its cells depart from the protocol's ``training``.
      grid: In place of the protocol's.
      label: In figures; the optimizer's name by default.
      more_rates: Whether α goes on where the best cell lies at its end, as λ always does.
      seeds: How often the best cell is run, in place of the protocol's.
    """

    optimizer: str
    multiplier: float = 1.0
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    grid: Grid | None = None
    label: str | None = None
    more_rates: bool = True
    seeds: int | None = None

    @classmethod
    def on(cls, network: str, optimizer: str, protocol: Protocol) -> "Arm":
        """An optimizer on a network of the paper, with the grid and seeds that this network allows."""
        grid = protocol.network_grids.get(network, {}).get(optimizer)
        return cls(
            optimizer,
            options=protocol.networks[network],
            grid=grid,
            seeds=protocol.network_seeds.get(network),
        )

    def cells(self, protocol: Protocol, records: Sequence[Record] = ()) -> list[TrainingCell]:
        """The grid, as far as ``records`` have extended it, and more seeds of its best cell."""
        cells, winner = self._tuned(protocol, records)
        if winner is None:
            return cells
        return cells + self._repeated(protocol, winner)[1:]

    def missing(self, protocol: Protocol, records: Sequence[Record]) -> int:
        """How many of its cells have no record."""
        known = _by_key(records)
        return sum(cell_key(cell) not in known for cell in self.cells(protocol, records))

    def untuned(self, protocol: Protocol, records: Sequence[Record]) -> int:
        """How many cells of its grid have no record; repetitions of the best do not count."""
        known = _by_key(records)
        return sum(cell_key(cell) not in known for cell in self._tuned(protocol, records)[0])

    def axes(self, protocol: Protocol, records: Sequence[Record]) -> Grid:
        """The values of the grid, as far as ``records`` have extended it."""
        cells, _ = self._tuned(protocol, records)
        return Grid(
            tuple(sorted({cell.learning_rate for cell in cells})),
            tuple(sorted({cell.weight_decay for cell in cells})),
        )

    def tuned(self, protocol: Protocol, records: Sequence[Record]) -> list[Record]:
        """The records of the grid."""
        known = _by_key(records)
        keys = (cell_key(cell) for cell in self._tuned(protocol, records)[0])
        return [known[key] for key in keys if key in known]

    def best(self, protocol: Protocol, records: Sequence[Record]) -> Record | None:
        """The record of lowest error of the grid, selected on the test set, as published."""
        return best(self.tuned(protocol, records))

    def validated(self, protocol: Protocol, records: Sequence[Record]) -> Record | None:
        """The record of lowest validation error of the grid; None without a validation split."""
        finished = [
            r for r in self.tuned(protocol, records) if r.get("final_validation_error") is not None
        ]
        return min(finished, key=lambda r: r["final_validation_error"], default=None)

    def runs(self, protocol: Protocol, records: Sequence[Record]) -> list[Record]:
        """The best cell and its repetitions with other seeds."""
        winner = self.best(protocol, records)
        if winner is None:
            return []
        known = _by_key(records)
        keys = map(cell_key, self._repeated(protocol, winner))
        return [known[key] for key in keys if key in known]

    def _tuned(self, protocol, records) -> tuple[list[TrainingCell], Record | None]:
        """Cells of the grid, and its best record once all have one and none is to be added."""
        grid, known = self.grid or protocol.grid(self.optimizer, self.multiplier), _by_key(records)
        for left in range(protocol.extensions, -1, -1):
            cells = [
                self._cell(protocol, alpha, weight_decay)
                for weight_decay in grid.weight_decays
                for alpha in grid.learning_rates
            ]
            done = [known[key] for key in map(cell_key, cells) if key in known]
            winner = best(done) if len(done) == len(cells) else None
            if winner is None:
                return cells, None
            larger = extend(grid, winner["learning_rate"], winner["weight_decay"])
            if not self.more_rates:
                larger = larger._replace(learning_rates=grid.learning_rates)
            if larger == grid or not left:
                return cells, winner
            grid = larger
        raise AssertionError

    def _repeated(self, protocol: Protocol, winner: Record) -> list[TrainingCell]:
        first = self._cell(protocol, winner["learning_rate"], winner["weight_decay"])
        seeds = range(first.seed, first.seed + (self.seeds or protocol.seeds))
        return [dataclasses.replace(first, seed=seed) for seed in seeds]

    def _cell(self, protocol: Protocol, alpha: float, weight_decay: float) -> TrainingCell:
        return protocol.cell(self.optimizer, alpha, weight_decay, self.multiplier, **self.options)


def _by_key(records: Sequence[Record]) -> dict[str, Record]:
    return {record["key"]: record for record in records}
