"""Verdicts on claims about tuned optimizers: who is ahead, by how much, and whether that can be said."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from adamprox.data.layout import LAYOUTS
from adamprox.report import Claim, Verdict
from adamprox.report.claims import Gap, compact, estimate, gap, percent, untested
from adamprox.sweep import Cell, Record, cell_key
from experiments.arm import Arm
from experiments.comparison import name
from experiments.protocol import Protocol

TELLING = 0.03
"""Where the noise of a difference is larger than this, finding none says nothing."""

FEWEST = 5
"""Where fewer cells are compared one by one, how many agree says little."""

_CLASSES = {"digits": 10, **{layout.name: layout.labels["label"] for layout in LAYOUTS.values()}}

LEARNED = "gets half as many images again right as guessing does"
"""What `learned` asks of a network: of ten classes an error of at most 85 %, of a hundred 98.5 %."""


def learned(record: Record) -> bool:
    """Whether the network of a finished run has learned anything."""
    error = record["final_test_error"]
    return error is not None and 1 - error >= 1.5 / _CLASSES[record["dataset"]]


def beyond_noise(difference: float, unsure: float) -> Verdict:
    """Whether a difference that should be positive is, by more than it is unsure."""
    if abs(difference) <= unsure:
        return Verdict.INCONCLUSIVE
    return Verdict.REPRODUCED if difference > 0 else Verdict.NOT_REPRODUCED


def lower_error(
    protocol: Protocol, better: Arm, worse: Arm, records: Sequence[Record], section: str, where: str
) -> Claim:
    """The claim that the best cell of one arm has a lower test error than that of another."""

    def verdict(lead: Gap) -> Verdict:
        return beyond_noise(lead.difference, lead.margin)

    statement = f"{where}{name(better)}'s best test error is lower than {name(worse)}'s."
    bar = "lower by more than the noise of the difference (95 %)"
    return _compare(protocol, (better, worse), records, section, statement, bar, verdict)


def no_lead(
    protocol: Protocol, one: Arm, other: Arm, records: Sequence[Record], section: str
) -> Claim:
    """The claim that one optimizer, however tuned, is not ahead of another: it is behind."""

    def verdict(ahead: Gap) -> Verdict:
        return beyond_noise(-ahead.difference, ahead.margin)

    statement = f"{name(one)} has no lead over {name(other)}."
    bar = "behind by more than the noise (95 %); within it, inconclusive"
    return _compare(protocol, (one, other), records, section, statement, bar, verdict)


def as_good(
    protocol: Protocol, new: Arm, old: Arm, records: Sequence[Record], section: str
) -> Claim:
    """The claim that the best cell of one arm is not worse than that of another."""

    def verdict(lead: Gap) -> Verdict:
        if lead.difference < -lead.margin:
            return Verdict.NOT_REPRODUCED
        return Verdict.REPRODUCED if lead.margin <= TELLING else Verdict.INCONCLUSIVE

    statement = f"{name(new)}'s best test error is not higher than {name(old)}'s."
    bar = f"not higher by more than the noise (95 %), which must be below {percent(TELLING)}"
    return _compare(protocol, (new, old), records, section, statement, bar, verdict)


def equal_error(
    protocol: Protocol, first: Arm, second: Arm, records: Sequence[Record], section: str
) -> Claim:
    """The claim that the best cells of two arms have the same test error."""

    def verdict(lead: Gap) -> Verdict:
        if abs(lead.difference) > lead.margin:
            return Verdict.NOT_REPRODUCED
        return Verdict.REPRODUCED if lead.margin <= TELLING else Verdict.INCONCLUSIVE

    statement = f"{name(first)} and {name(second)} reach the same best test error."
    bar = f"a difference within noise (95 %), which must be below {percent(TELLING)}"
    return _compare(protocol, (first, second), records, section, statement, bar, verdict)


def unfinished(
    protocol: Protocol, arms: Sequence[Arm], records: Sequence[Record], left_of=Arm.missing
) -> str | None:
    """Why nothing can be said of the arms yet: a best cell may be among those that are missing."""
    left = [(name(arm), left_of(arm, protocol, records)) for arm in arms]
    parts = [f"{count} of {label}" for label, count in left if count]
    return f"Cells without a record: {', '.join(parts)}." if parts else None


def without_record(cells: Sequence[Cell], records: Sequence[Record]) -> str | None:
    """Why nothing can be said of these cells yet."""
    known = {record["key"] for record in records}
    left = sum(cell_key(cell) not in known for cell in cells)
    return f"Cells without a record: {left} of {len(cells)}." if left else None


def _compare(protocol, arms, records, section, statement, bar, verdict) -> Claim:
    """The claim about two arms that ``verdict`` judges by how far the first is ahead."""
    if reason := unfinished(protocol, arms, records):
        return not_run(section, statement, reason)
    runs = [arm.runs(protocol, records) for arm in arms]
    if reason := untested(protocol.preset, *runs):
        return Claim(section, statement, "—", bar, Verdict.NOT_TESTED, reason)
    ahead = gap(runs[1], runs[0])
    measured = ", ".join(
        f"{estimate(run)} ({name(arm)})" for run, arm in zip(runs, arms, strict=True)
    )
    notes = [
        f"Differences below {percent(ahead.margin)} are noise.",
        *selected_on_validation(protocol, arms, records),
        *lines(protocol, arms, records),
        *edges(protocol, arms, records),
    ]
    return Claim(section, statement, measured, bar, verdict(ahead), " ".join(notes))


def lead(protocol: Protocol, better: Arm, worse: Arm, records: Sequence[Record]) -> Gap | None:
    """How far one arm is ahead of another; None where that cannot be said."""
    if unfinished(protocol, (better, worse), records):
        return None
    runs = [arm.runs(protocol, records) for arm in (worse, better)]
    return None if untested(protocol.preset, *map(_finished, runs)) else gap(*runs)


def not_run(section: str, statement: str, reason: str) -> Claim:
    """A claim about cells that are not there."""
    return Claim(section, statement, "—", "—", Verdict.NOT_RUN, reason)


def selected_on_validation(
    protocol: Protocol, arms: Sequence[Arm], records: Sequence[Record]
) -> list[str]:
    """Test errors of the cells that a validation split would have chosen, as a sentence."""
    chosen = [(name(arm), arm.validated(protocol, records)) for arm in arms]
    errors = [f"{percent(r['final_test_error'])} ({label})" for label, r in chosen if r]
    if not errors:
        return ["Selected on the test set alone: there is no validation split (--validation-size)."]
    return [f"Selected on the validation split: {', '.join(errors)}."]


def lines(protocol: Protocol, arms: Sequence[Arm], records: Sequence[Record]) -> list[str]:
    """A note on every arm whose α are not tuned until the best one lies inside."""
    rates = [(arm, arm.axes(protocol, records).learning_rates) for arm in arms]
    alone = [
        f"α = {' or '.join(map(compact, values))} ({name(arm)})"
        for arm, values in rates
        if len(values) == 1 or not arm.more_rates
    ]
    return [f"Tuned over λ alone, at {', '.join(alone)}."] if alone else []


def edges(protocol: Protocol, arms: Sequence[Arm], records: Sequence[Record]) -> list[str]:
    """A warning for every arm whose best cell lies on an edge: a larger grid may have a better one."""
    warnings = []
    for arm in arms:
        winner, grid = arm.best(protocol, records), arm.axes(protocol, records)
        if winner is None:
            continue
        for values, symbol, column in (
            (grid.learning_rates, "α", "learning_rate"),
            (grid.weight_decays, "λ", "weight_decay"),
        ):
            at = winner[column]
            if len(values) > 1 and at in (values[0], values[-1]) and at > 0:
                warnings.append(
                    f"{name(arm)}'s best {symbol} = {compact(at)} is the last of its grid."
                )
    return warnings


def widening_gap(
    protocol: Protocol, pairs: Sequence[Sequence[Arm]], records: Sequence[Record], section: str
) -> Claim:
    """The claim that the first arm's lead over the second grows from pair to pair."""
    statement = "AdamW's lead over Adam-ℓ2 grows with depth."
    bar = "rank correlation of depth and lead above 0, the last lead above the first beyond noise"
    complete = [pair for pair in pairs if not unfinished(protocol, pair, records)]
    runs = [[arm.runs(protocol, records) for arm in pair] for pair in complete]
    finished = [pair for pair in runs if not untested(protocol.preset, *map(_finished, pair))]
    if len(finished) < 2:
        reason = f"{len(finished)} of {len(pairs)} depths have finished; it takes two or more."
        return Claim(section, statement, "—", bar, Verdict.NOT_TESTED, reason)
    leads = [gap(worse, better) for better, worse in finished]
    measured = ", ".join(
        f"{percent(lead.difference)} at {better[0]['depth']} layers"
        for lead, (better, _) in zip(leads, finished, strict=True)
    )
    growth = leads[-1].difference - leads[0].difference
    unsure = float(np.hypot(leads[0].margin, leads[-1].margin))
    correlation: Any = stats.kendalltau(range(len(leads)), [lead.difference for lead in leads])
    verdict = Verdict.INCONCLUSIVE
    if abs(growth) > unsure:
        verdict = (
            Verdict.REPRODUCED
            if growth > 0 and correlation.statistic > 0
            else Verdict.NOT_REPRODUCED
        )
    note = f"Differences of two leads below {percent(unsure)} are noise."
    return Claim(section, statement, measured, bar, verdict, note)


def _finished(runs: Sequence[Record]) -> bool:
    return any(r["final_test_error"] is not None for r in runs)
