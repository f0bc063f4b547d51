"""Runs as a sweep sees them, and their keys."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self, runtime_checkable


class Run(Protocol):
    """A unit of work: hashable, picklable, and a function of its configuration alone.

    Attributes:
      kind: Name of the table of its records.
      version: Version of the computation; raise it when a change of the code changes the result.
    """

    kind: ClassVar[str]
    version: ClassVar[int]

    @property
    def program(self) -> Hashable:
        """Key of its compilation; runs with equal keys go to one worker."""
        ...

    def config(self) -> dict[str, Any]:
        """Return everything that determines the result, as JSON types."""
        ...

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        """Compute the columns of the record.

        Args:
          scratch: Directory in which an interrupted run may store its state; the run makes it, and
            the writer of the record removes it.
        """
        ...

    def defaults(self) -> Mapping[str, Any]:
        """Return the defaults of options by name; a new option with a default keeps old keys."""
        ...

    def check(self) -> None:
        """Read the run's data set; raise ValueError if it is missing or does not fit the options."""

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record has the columns that figures and claims read."""
        return True


@runtime_checkable
class Batchable(Protocol):
    """A run that a device can execute together with others of its kind."""

    @property
    def optimizer(self) -> str:
        """Name of the optimizer."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the order of the examples."""
        ...

    def config(self) -> dict[str, Any]:
        """Return everything that determines the result, as JSON types."""
        ...

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Self:
        """Return the run whose `config` is given."""
        ...

    def fits(self, other: Any) -> bool:
        """Return True if a device can execute ``other`` together with this run."""
        ...

    def at_once(self, folder: pathlib.Path) -> int:
        """Return the fastest number of runs at once; ``folder`` has the measurements."""
        ...

    @staticmethod
    def run_together(
        runs: Sequence[Any], scratch: pathlib.Path | None, deadline: float | None
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield each run and the columns of its record, as soon as the run ends."""
        ...


@dataclasses.dataclass(frozen=True)
class PlainRun(Run):
    """Base of a run whose fields are JSON types or tuples, and which has a compilation of its own."""

    version: ClassVar[int] = 1

    @property
    def program(self) -> str:
        """Key of its compilation."""
        return self.kind

    def config(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}

    def defaults(self) -> dict[str, Any]:
        """Return the defaults of the fields."""
        known = (f for f in dataclasses.fields(self) if f.default is not dataclasses.MISSING)
        return {field.name: field.default for field in known}


def run_key(run: Run) -> str:
    """Return the key of a run: a hash of everything that determines its result.

    Args:
      run: Any run.

    Returns:
      20 hexadecimal digits of the SHA-256 of kind, version and non-default options.

    Example:
      >>> from adamprox.training import TrainingRun
      >>> run = TrainingRun.of(depth=8, weight_decay=1e-3)
      >>> same, other = (run.with_options(weight_decay=w) for w in (0.001, 2e-3))
      >>> run_key(run) == run_key(same), run_key(run) == run_key(other)
      (True, False)
    """
    chosen = [run.kind, run.version, non_default(run)]
    text = json.dumps(chosen, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def describe(run: Run) -> str:
    """Return a description in one line: kind, key and non-default options."""
    options = ", ".join(f"{name}={value}" for name, value in non_default(run).items())
    return f"{run.kind} {run_key(run)} ({options})"


def non_default(run: Run) -> dict[str, Any]:
    """Return the non-default options."""
    known = run.defaults()
    return {k: v for k, v in run.config().items() if k not in known or v != known[k]}
