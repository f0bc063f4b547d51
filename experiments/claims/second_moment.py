"""Claims on AdamW's lead and on Adam-ℓ2's best λ if the second moment decays faster."""

from collections.abc import Sequence

from adamprox.report import Claim, Verdict
from adamprox.report.claims import best, compact, noise, points
from adamprox.sweep import Record
from experiments.claims import (
    ONE_SEED,
    Finding,
    accuracy,
    by_margin,
    claim,
    need_judged,
    need_runs,
)
from experiments.tuning import Tuned

SECTION = "Stale second moment"

Pairs = Sequence[tuple[Tuned, Tuned]]


def explains(where: str, changes: Sequence[str], pairs: Pairs) -> Claim:
    """Return the claim that AdamW leads without a change and has no lead under any change."""

    def measure() -> Finding:
        leads = [accuracy.lead(*pair) for pair in pairs]
        measured = ", ".join(
            f"{one} ({change})" for change, one in zip(changes, leads, strict=True)
        )
        beyond = [one.low > 0 for one in leads]
        if not beyond[0]:
            note = "Without a change, the interval of the lead contains 0."
            return Finding(measured, Verdict.INCONCLUSIVE, note)
        largest = max(one.high for one in leads[1:])
        verdict = Verdict.REPRODUCED if largest < leads[0].difference else Verdict.INCONCLUSIVE
        return Finding(measured, Verdict.NOT_REPRODUCED if any(beyond[1:]) else verdict)

    statement = f"{where}AdamW leads because Adam-ℓ2's second moment keeps the first gradients."
    criterion = (
        "a lead without a change; under every change none, with a margin of error (95 %) that excludes the "
        "unchanged lead"
    )
    return claim(SECTION, statement, criterion, measure)


def shrinks(where: str, pairs: Pairs) -> Claim:
    """Return the claim that the mean lead under the changes is smaller than without one."""
    what = "when the second moment decays faster (mean over the changes)"
    return _smaller(SECTION, f"{where}AdamW's lead is smaller {what}.", pairs)


def removes(where: str, change: str, unchanged: Sequence[Tuned], changed: Sequence[Tuned]) -> Claim:
    """Return the claim that AdamW's lead is smaller under one change; rows are Adam-ℓ2 and AdamW."""
    statement = f"{where}AdamW's lead is smaller with one change: {change}."
    lost = [
        f"{method.name} diverged at {count} of {len(method.tried)} grid points."
        for method in changed
        if (count := sum(record.diverged for record in method.tried))
    ]
    pairs = [(adamw, l2) for l2, adamw in (unchanged, changed)]
    return _smaller("Changes at depth", statement, pairs, " ".join(lost))


def _smaller(section: str, statement: str, pairs: Pairs, note: str = "") -> Claim:
    """Return the claim that the mean lead of all pairs but the first is smaller than the first's."""

    def measure() -> Finding:
        by, unchanged = accuracy.fall(*pairs), accuracy.lead(*pairs[0]).difference
        measured = f"smaller by {by}: {points(unchanged - by.difference)} vs {points(unchanged)}"
        return Finding(measured, by_margin(by), note)

    criterion = "smaller by more than the margin of error (95 %)"
    return claim(section, statement, criterion, measure)


def decay_falls(where: str, changes: Sequence[str], methods: Sequence[Tuned]) -> Claim:
    """Return the claim that Adam-ℓ2's best λ is lower under every change than without one."""

    def measure() -> Finding:
        need_runs(*methods)
        unchanged, *others = ranges = [best_decays(method.tried) for method in methods]
        need_judged(methods[0].protocol, *ranges)
        measured = ", ".join(
            f"{' or '.join(map(compact, found))} ({change})"
            for change, found in zip(changes, ranges, strict=True)
        )
        lower = all(max(other) < min(unchanged) for other in others)
        verdict = Verdict.REPRODUCED if lower else Verdict.INCONCLUSIVE
        if any(min(other) >= max(unchanged) for other in others):
            verdict = Verdict.NOT_REPRODUCED
        return Finding(measured, verdict, ONE_SEED)

    statement = f"{where}Adam-ℓ2's best λ is lower when its second moment decays faster."
    criterion = (
        "under every change, each λ whose error is within the margin of the lowest is below each such λ "
        "without a change"
    )
    return claim(SECTION, statement, criterion, measure)


def best_decays(records: Sequence[Record]) -> list[float]:
    """Return every λ with a run within the margin of the best; [] if all diverged."""
    winner = best(records)
    if winner is None or winner.error is None:
        return []
    finished = [(r, r.error) for r in records if r.error is not None]
    return sorted(
        {r.weight_decay for r, error in finished if error - winner.error <= noise(r, winner)}
    )
