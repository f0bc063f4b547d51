"""`Record`: one finished run, as a read-only mapping of its columns."""

import collections
import json
from collections.abc import Iterator, Mapping
from typing import Any


class Record(Mapping[str, Any]):
    """One row: ``key``, ``kind``, the run's configuration, its result columns, ``provenance`` (JSON).

    Args:
      columns: Values by name of the column.

    Example:
      >>> record = Record({"key": "0f", "final_test_error": 0.25, "diverged_step": 0})
      >>> record["key"], record.error, record.diverged
      ('0f', 0.25, False)
    """

    def __init__(self, columns: Mapping[str, Any]):
        """Copy the columns."""
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a column."""
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the columns."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self._columns)

    def __repr__(self) -> str:
        """Return the columns as an expression."""
        return f"Record({self._columns!r})"

    @property
    def key(self) -> str:
        """Key of the run."""
        return self["key"]

    @property
    def kind(self) -> str:
        """Kind of the run: ``training`` for networks."""
        return self["kind"]

    @property
    def optimizer(self) -> str:
        """Name of the optimizer."""
        return self["optimizer"]

    @property
    def learning_rate(self) -> float:
        """Learning rate α."""
        return self["learning_rate"]

    @property
    def weight_decay(self) -> float:
        """Weight decay λ per step."""
        return self["weight_decay"]

    @property
    def seed(self) -> int:
        """Seed of the order of the examples."""
        return self["seed"]

    @property
    def error(self) -> float | None:
        """Test error after the last epoch; None for a run that diverged."""
        return self.get("final_test_error")

    @property
    def validation_error(self) -> float | None:
        """Validation error after the last epoch; None without a validation set."""
        return self.get("final_validation_error")

    @property
    def diverged(self) -> bool:
        """True if the run ended at a step after which something was not finite."""
        return bool(self.get("diverged_step"))

    @property
    def epochs(self) -> list[int]:
        """Numbers of the epochs that were trained; other lists have one entry for each."""
        return self["epoch"]

    @property
    def seconds(self) -> float:
        """Training time in seconds."""
        return self["seconds"]

    @property
    def origin(self) -> Mapping[str, str]:
        """Versions, commit, machine and time of the run; "unknown" for what is not on record."""
        try:
            found = json.loads(self["provenance"])
        except (KeyError, TypeError, ValueError, RecursionError):
            found = {}
        known = {k: str(value) for k, value in found.items()} if isinstance(found, dict) else {}
        return collections.defaultdict(lambda: "unknown", known)
