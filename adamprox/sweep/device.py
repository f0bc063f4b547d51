"""The engine for an accelerator: cells run in this process, several at once where that is faster."""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import jax

from adamprox.sweep.cells import Cell, cell_key
from adamprox.sweep.crew import waiting_for
from adamprox.sweep.provenance import provenance
from adamprox.sweep.results import Record, Results

_PATIENCE = 0.2
_log = logging.getLogger(__name__)


@runtime_checkable
class Batchable(Protocol):
    """A cell that devices can run at once with others of its kind."""

    @property
    def at_once(self) -> int:
        """How many a device, this one included; 1 where one after the other is as good."""
        ...

    def fits(self, other: Any) -> bool:
        """Whether ``other`` can be run at once with this one."""
        ...

    @staticmethod
    def run_together(cells: Sequence[Any]) -> list[dict[str, Any]]:
        """The columns of the record of each, computed on all devices of this process."""
        ...


def run_on_device(cells: Sequence[Cell], results: Results) -> Iterator[Record]:
    """Run ``cells`` on all devices of this process, and yield their records, which are on disk then.

    Cells that another sweep runs meanwhile are left to it.
    """
    waiting, has_waited = list(cells), False
    while waiting:
        group = next_group(waiting, jax.local_device_count())
        waiting = _without(waiting, group)
        with contextlib.ExitStack() as stack:
            ours = [cell for cell in group if stack.enter_context(results.claim(cell))]
            found = results.read_all(ours)
            if len(ours) == len(group) and not found:
                yield from _run(group, results)
                continue
        yield from found
        if not (ours or waiting):  # the other sweep has all that is left
            if not has_waited:
                _log.warning(waiting_for(len(group), results))
            has_waited = True
            time.sleep(_PATIENCE)
        # What is left of the group makes a new one: another size is another program.
        done = {record["key"] for record in found}
        mine = [cell for cell in ours if cell_key(cell) not in done]
        waiting = [*mine, *waiting, *_without(group, ours)]


def _run(group: Sequence[Cell], results: Results) -> Iterator[Record]:
    if len(group) == 1:
        columns = [group[0].run(results.scratch(group[0]))]
    else:
        columns = type(group[0]).run_together(group)  # pyright: ignore[reportAttributeAccessIssue]
    for cell, row in zip(group, columns, strict=True):
        yield results.finish(cell, row, provenance())


def next_group(waiting: Sequence[Cell], devices: int = 1) -> list[Cell]:
    """The first of ``waiting``, and what runs at once with it.

    Args:
      waiting: At least one cell.
      devices: How many devices a group is divided over, each of which takes ``at_once`` cells.
    """
    first = waiting[0]
    if not isinstance(first, Batchable):
        return [first]
    fitting: list[Cell] = [c for c in waiting if type(c) is type(first) and first.fits(c)]
    size = first.at_once * devices
    # On one device too few cells would be a program of another size to compile; where there are
    # many, they would leave all but one idle, and a short group is filled up.
    return fitting[:size] if len(fitting) >= size or devices > 1 else fitting[:1]


def _without(cells: Sequence[Cell], taken: Sequence[Cell]) -> list[Cell]:
    gone = {id(cell) for cell in taken}
    return [cell for cell in cells if id(cell) not in gone]
