"""Claims on tuned methods: a statement, its criterion, and a function that measures it.

A measurement raises `NotRun` if records are missing, and `NotTested` if the records cannot decide the claim.
`claim` turns both exceptions into verdicts.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import scipy

from adamprox.data.layout import LAYOUTS
from adamprox.report import Claim, Verdict
from adamprox.report.claims import Gap, compact
from adamprox.sweep import Record, Run
from experiments.protocol import Protocol, Records
from experiments.tuning import Tuned

FEWEST = 5
"""Minimum number of pairs of runs for a claim on a share of pairs."""

ONE_SEED = "One seed each."
"""Note of a claim on single runs."""

LEARNED = "has at least 1.5 times chance accuracy"
"""Condition of `learned`, in words."""

_CLASSES = {"digits": 10, **{layout.name: layout.labels["label"] for layout in LAYOUTS.values()}}


class NotRun(Exception):
    """Records that a claim needs are missing; the message says which."""


class NotTested(Exception):
    """The records cannot decide the claim; the message says why."""


class Finding(NamedTuple):
    """A measurement with its verdict.

    Attributes:
      measured: Measurement in words with units.
      verdict: Verdict by the criterion.
      note: Limits of the verdict; empty if there are none.
    """

    measured: str
    verdict: Verdict
    note: str = ""


def claim(section: str, statement: str, criterion: str, measure: Callable[[], Finding]) -> Claim:
    """Return a claim with the verdict that ``measure`` returns or raises.

    Args:
      section: Place in the paper.
      statement: Claim in one sentence.
      criterion: Condition under which the claim is reproduced.
      measure: Function that measures and judges.
    """
    try:
        finding = measure()
    except NotRun as reason:
        finding = Finding("—", Verdict.NOT_RUN, str(reason))
    except NotTested as reason:
        finding = Finding("—", Verdict.NOT_TESTED, str(reason))
    return Claim(section, statement, finding.measured, criterion, finding.verdict, finding.note)


def need_runs(*methods: Tuned) -> None:
    """Raise `NotRun` if a run of a method has no record; the missing run may be the best."""
    _need([(method.name, method.missing) for method in methods])


def need_grids(*methods: Tuned) -> None:
    """Raise `NotRun` if a grid is incomplete; repetitions of the best run are not needed."""
    _need([(method.name, method.untuned) for method in methods])


def need_records(records: Records, runs: Sequence[Run]) -> list[Record]:
    """Return the records of the runs; raise `NotRun` if one has none."""
    if left := records.missing(runs):
        raise NotRun(f"Runs without a record: {left} of {len(runs)}.")
    return records.of(runs)


def _need(missing: Iterable[tuple[str, int]]) -> None:
    parts = [f"{count} of {name}" for name, count in missing if count]
    if parts:
        raise NotRun(f"Runs without a record: {', '.join(parts)}.")


def need_judged(protocol: Protocol, *needed: object) -> None:
    """Raise `NotTested` if runs of the preset are too short, or if one of ``needed`` is empty."""
    if not protocol.judged:
        raise NotTested(f"Runs of the preset {protocol.preset} are too short to judge.")
    if not all(needed):
        raise NotTested("One of the methods has no run that finished without diverging.")


def lost_seeds(*methods: Tuned) -> list[str]:
    """Return a note on every method of which some repetitions diverged; its mean leaves them out."""
    return [
        f"{lost} of {len(method.seeds)} seeds of {method.name} diverged."
        for method in methods
        if (lost := len(method.seeds) - len(method.finished))
    ]


def on_edges(method: Tuned) -> list[str]:
    """Return a warning for every axis with the best run on an edge."""
    if method.best is None:
        return []
    found = (
        ("α", method.grid.learning_rates, method.best.learning_rate),
        ("λ", method.grid.weight_decays, method.best.weight_decay),
    )
    return [
        f"{method.name.partition(' (')[0]}'s best {symbol} = {compact(at)} is at the edge of its grid."
        for symbol, values, at in found
        if len(values) > 1 and at in (values[0], values[-1]) and at > 0
    ]


def learned(record: Record) -> bool:
    """Return True if a run finished with an error clearly below chance level.

    With ten classes the error is at most 85 %, with a hundred at most 98.5 %.
    """
    return record.error is not None and 1 - record.error >= 1.5 / _CLASSES[record["dataset"]]


def counted(record: Record) -> Record:
    """Return the record; a run that diverged counts as wrong on every image."""
    return record if record.error is not None else Record({**record, "final_test_error": 1.0})


def met(criterion: bool) -> Verdict:
    """Return the verdict on a criterion that is met or not."""
    return Verdict.REPRODUCED if criterion else Verdict.NOT_REPRODUCED


def share(count: int, total: int, of: str) -> tuple[str, float, float]:
    """Return a share in words, and the ends of its 95 % interval by Clopper and Pearson.

    Args:
      count: Number of cases in the share.
      total: Number of all cases, at least 1.
      of: Plural name of the cases.
    """
    low, high = scipy.stats.binomtest(count, total).proportion_ci(method="exact")
    interval = f"95 % interval: {100 * low:.0f} to {100 * high:.0f} %"
    return f"{count} of {total} {of} ({interval})", low, high


def by_margin(effect: Gap) -> Verdict:
    """Return the verdict on a difference that should be positive."""
    return met(effect.difference > 0) if effect.differs else Verdict.INCONCLUSIVE


TOLERANCE = 0.03
"""Difference of two errors, margin of error included, below which they count as equal."""
TOGETHER = f"difference plus margin below {100 * TOLERANCE:.0f} points"
"""Part of a criterion that `no_higher` or `equal` judges."""


def equal(difference: Gap) -> Verdict:
    """Return the verdict on a difference that should be zero: its interval lies within ± `TOLERANCE`."""
    if difference.differs:
        return Verdict.NOT_REPRODUCED
    within = difference.low > -TOLERANCE and difference.high < TOLERANCE
    return Verdict.REPRODUCED if within else Verdict.INCONCLUSIVE


def no_higher(loss: Gap) -> Verdict:
    """Return the verdict on a difference that should not be positive: its interval ends below `TOLERANCE`."""
    if loss.low > 0:
        return Verdict.NOT_REPRODUCED
    return Verdict.REPRODUCED if loss.high < TOLERANCE else Verdict.INCONCLUSIVE
