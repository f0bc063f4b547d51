"""The engine for an accelerator: cells run in this process, several at once where that is faster."""

import shutil
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from adamprox.sweep.cells import Cell
from adamprox.sweep.provenance import provenance
from adamprox.sweep.results import Record, Results


@runtime_checkable
class Batchable(Protocol):
    """A cell that one device can run at once with others of its kind."""

    @property
    def at_once(self) -> int:
        """How many, this one included; 1 where one after the other is as good."""
        ...

    def fits(self, other: Any) -> bool:
        """Whether ``other`` can be run at once with this one."""
        ...

    @staticmethod
    def run_together(cells: Sequence[Any]) -> list[dict[str, Any]]:
        """The columns of the record of each."""
        ...


def run_on_device(cells: Sequence[Cell], results: Results) -> Iterator[Record]:
    """Run ``cells`` and yield their records; each is on disk before it is yielded."""
    for group in groups(cells):
        if len(group) == 1:
            yield run_one(group[0], results)
            continue
        columns = type(group[0]).run_together(group)  # pyright: ignore[reportAttributeAccessIssue]
        for cell, row in zip(group, columns, strict=True):
            yield results.write(cell, row, provenance())


def run_one(cell: Cell, results: Results) -> Record:
    """Run one cell and write its record; what an interrupted run of it left is used, then removed."""
    scratch = results.scratch(cell)
    record = results.write(cell, cell.run(scratch), provenance())
    shutil.rmtree(scratch, ignore_errors=True)
    return record


def groups(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Divide ``cells`` into what runs at once, in the order of the first of each group."""
    waiting = list(cells)
    while waiting:
        first = waiting[0]
        fitting: list[Cell] = [first]
        size = 1
        if isinstance(first, Batchable):
            fitting = [c for c in waiting if type(c) is type(first) and first.fits(c)]
            size = first.at_once
        # A group of another size would be another program to compile.
        group = fitting[:size] if len(fitting) >= size else fitting[:1]
        yield group
        waiting = [cell for cell in waiting if not any(cell is taken for taken in group)]
