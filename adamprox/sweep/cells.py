"""What a sweep needs of a cell, and the address a cell has."""

import hashlib
import json
from collections.abc import Hashable
from typing import Any, ClassVar, Protocol


class Cell(Protocol):
    """A unit of work: hashable, picklable, and a function of its configuration alone.

    Attributes:
      kind: The name of the table its records belong to.
      version: Raised when a change of the code changes what a cell computes.
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

    def run(self) -> dict[str, Any]:
        """Compute the columns of the record."""
        ...


def cell_key(cell: Cell) -> str:
    """The address of a cell: a hash of everything that determines its result.

    Args:
      cell: Any cell.

    Returns:
      20 hexadecimal digits of the SHA-256 of kind, version and configuration.
    """
    text = json.dumps([cell.kind, cell.version, cell.config()], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
