"""What a sweep needs of a cell, and the address a cell has."""

import hashlib
import json
import pathlib
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, ClassVar, Protocol


class Cell(Protocol):
    """A unit of work: hashable, picklable, and a function of its configuration alone.

    Attributes:
      kind: The name of the table its records belong to.
      version: Raised when a change of the code changes what a cell computes.

    A cell may also have a method ``accepts(record) -> bool`` that refuses records without the
    columns that figures and claims read; see `adamprox.checks.fits`. It may have ``check()``, which
    reads its data and raises ValueError where it cannot be run on them. And it may have
    ``defaults()``, the defaults of its configuration by name; otherwise its class attributes are.
    """

    kind: ClassVar[str]
    version: ClassVar[int]

    @property
    def program(self) -> Hashable:
        """Equal for cells that share a compilation, so that one worker gets them."""
        ...

    def config(self) -> dict[str, Any]:
        """Everything that determines the result, as JSON types."""
        ...

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        """Compute the columns of the record.

        A long run may keep in ``scratch``, a directory of its own that it has to make, what lets it
        go on when it was interrupted; whoever writes the record removes it.
        """
        ...


def cell_key(cell: Cell) -> str:
    """The address of a cell: a hash of everything that determines its result.

    Args:
      cell: Any cell.

    Returns:
      20 hexadecimal digits of the SHA-256 of kind, version and what is not a default.

    Example:
      >>> from adamprox.training import TrainingCell
      >>> cell = TrainingCell.of(depth=8, weight_decay=1e-3)
      >>> same, other = (cell.with_options(weight_decay=w) for w in (0.001, 2e-3))
      >>> cell_key(cell) == cell_key(same), cell_key(cell) == cell_key(other)
      (True, False)
    """
    text = json.dumps([cell.kind, cell.version, _told(cell)], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def describe(cell: Cell) -> str:
    """A cell in one line: kind, key, and what is not a default."""
    told = ", ".join(f"{name}={value}" for name, value in _told(cell).items())
    return f"{cell.kind} {cell_key(cell)} ({told})"


def _told(cell: Cell) -> dict[str, Any]:
    """Return what of the configuration is not the default: a new option leaves old keys alone."""
    known = defaults(cell)
    return {k: v for k, v in cell.config().items() if k not in known or v != known[k]}


def defaults(cell: Cell) -> Mapping[str, Any]:
    """Return the defaults of those of the cell's options that have one."""
    own = getattr(cell, "defaults", None)
    if own is not None:
        return own()
    names = [name for name in cell.config() if hasattr(type(cell), name)]
    return {name: getattr(type(cell), name) for name in names}


def check_data(cells: Iterable[Cell]) -> None:
    """Refuse cells that cannot be run on their data, before anything is written.

    Raises:
      ValueError: A data set is not there, or does not have what a cell asks for.
    """
    for cell in cells:
        if check := getattr(cell, "check", None):
            check()
