"""What a sweep needs of a cell, and the address a cell has."""

import hashlib
import json
import pathlib
from collections.abc import Hashable
from typing import Any, ClassVar, Protocol


class Cell(Protocol):
    """A unit of work: hashable, picklable, and a function of its configuration alone.

    Attributes:
      kind: The name of the table its records belong to.
      version: Raised when a change of the code changes what a cell computes.

    A cell may also have a method ``accepts(record) -> bool`` that refuses records without the
    columns that figures and claims read; see `adamprox.checks.fits`.
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
      >>> one, same, other = (TrainingCell(depth=8, weight_decay=w) for w in (1e-3, 0.001, 2e-3))
      >>> cell_key(one) == cell_key(same), cell_key(one) == cell_key(other)
      (True, False)
    """
    text = json.dumps([cell.kind, cell.version, _told(cell)], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def describe(cell: Cell) -> str:
    """A cell in one line: kind, key, and what is not a default."""
    told = ", ".join(f"{name}={value}" for name, value in _told(cell).items())
    return f"{cell.kind} {cell_key(cell)} ({told})"


def _told(cell: Cell) -> dict[str, Any]:
    """What of the configuration is not the default, so that a new option leaves old keys alone."""
    return {k: v for k, v in cell.config().items() if v != default(cell, k, _NO_DEFAULT)}


def default(cell: Cell, name: str, otherwise: Any = None) -> Any:
    """The default of one of the cell's options, ``otherwise`` where it has none."""
    return getattr(type(cell), name, otherwise)


_NO_DEFAULT = object()
