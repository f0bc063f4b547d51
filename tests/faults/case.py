"""A fault, how it is tried, and what came of it."""

import collections
import dataclasses
import enum
import pathlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple


class Outcome(enum.Enum):
    """Outcome of a fault; the value is the head of its column."""

    RECOVERED = "detected and recovered"
    REFUSED = "refused with one line"
    HARMLESS = "made no difference"
    LOST = "lost"


class Finding(NamedTuple):
    """Result of one trial.

    Attributes:
      outcome: How it ended.
      what: Which trial it was, in case it was `Outcome.LOST`.
    """

    outcome: Outcome
    what: str = ""


class Setting(NamedTuple):
    """Surroundings of a trial.

    Attributes:
      folder: Empty, and the case's own.
      moments: What is drawn at random.
      thorough: Whether all is tried, for the published table, or a few, for the suite.
    """

    folder: pathlib.Path
    moments: random.Random
    thorough: bool

    def some(self, things: Sequence, count: int) -> list:
        """All of ``things``, or ``count`` of them drawn at random where not `thorough`."""
        if self.thorough or count >= len(things):
            return list(things)
        return self.moments.sample(list(things), count)


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of a table.

    Attributes:
      name: What it says.
      trials: Tries the fault, as often as the setting wants.
      slow: Whether even a few trials take longer than the default suite has.
    """

    name: str
    trials: Callable[[Setting], Iterator[Finding]]
    slow: bool = False

    def try_in(self, folder: pathlib.Path, seed: int = 0, *, thorough: bool) -> list[Finding]:
        """All findings; ``folder`` is made, and the same seed draws the same trials."""
        folder.mkdir(parents=True)
        return list(self.trials(Setting(folder, random.Random(seed), thorough)))


def row(case: Case, findings: Iterable[Finding]) -> str:
    """The row of a case in its Markdown table."""
    counts = collections.Counter(finding.outcome for finding in findings)
    numbers = [counts.total(), *(counts[outcome] for outcome in Outcome)]
    return f"| {case.name} | {' | '.join(map(str, numbers))} |"


def head() -> str:
    """The first two lines of a table."""
    columns = ["fault", "tried", *(outcome.value for outcome in Outcome)]
    return f"| {' | '.join(columns)} |\n|{' --- |' + ' ---: |' * (len(columns) - 1)}"
