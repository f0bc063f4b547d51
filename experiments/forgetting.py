"""Verdicts on rival (a): what becomes of AdamW's lead, and of Adam-ℓ2's λ, where moments can forget."""

import math
from collections.abc import Sequence

from adamprox.report import Claim, Verdict
from adamprox.report.claims import Gap, best, compact, noise, percent, untested
from adamprox.sweep import Record
from experiments import verdicts
from experiments.arm import Arm
from experiments.protocol import Protocol

SECTION = "Rival (a)"
UNFINISHED = "Not every control has been run to the end at this preset."


def explains(where: str, controls: Sequence[str], leads: Sequence[Gap | None]) -> Claim:
    """The claim that the lead is one of forgetting: gone under every control, where there is one."""
    statement = (
        f"{where}AdamW leads because Adam-ℓ2's second moment cannot forget the first gradients."
    )
    bar = "a lead beyond noise as published; none under any control, and none as large excluded (95 %)"
    known = [lead for lead in leads if lead]
    if len(known) < len(leads):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, UNFINISHED)
    beyond = [lead.difference > lead.margin for lead in known]
    measured = ", ".join(
        f"{percent(lead.difference)} ± {percent(lead.margin)} ({control})"
        for control, lead in zip(controls, known, strict=True)
    )
    if not beyond[0]:
        note = "There is no lead to be explained."
        return Claim(SECTION, statement, measured, bar, Verdict.INCONCLUSIVE, note)
    largest = max(lead.difference + lead.margin for lead in known[1:])
    verdict = Verdict.REPRODUCED if largest < known[0].difference else Verdict.INCONCLUSIVE
    if any(beyond[1:]):
        verdict = Verdict.NOT_REPRODUCED
    return Claim(SECTION, statement, measured, bar, verdict)


def shrinks(where: str, leads: Sequence[Gap | None]) -> Claim:
    """The claim that there is less of a lead under the controls, whether or not one is left."""
    statement = (
        f"{where}AdamW's lead is smaller where the second moment can forget (mean of the controls)."
    )
    bar = "smaller by more than the noise of the difference (95 %)"
    known = [lead for lead in leads if lead]
    if len(known) < len(leads):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, UNFINISHED)
    published, *others = known
    mean = sum(lead.difference for lead in others) / len(others)
    unsure = math.hypot(published.margin, math.hypot(*(g.margin for g in others)) / len(others))
    by = published.difference - mean
    measured = f"smaller by {percent(by)} ± {percent(unsure)}: {percent(mean)} for {percent(published.difference)}"
    return Claim(SECTION, statement, measured, bar, verdicts.beyond_noise(by, unsure))


def decay_comes_down(
    protocol: Protocol,
    where: str,
    controls: Sequence[str],
    arms: Sequence[Arm],
    records: Sequence[Record],
) -> Claim:
    """The claim that Adam-ℓ2 feels a λ that it does not feel as published."""
    statement = f"{where}Adam-ℓ2's best λ is lower where its second moment can forget."
    bar = "every λ within noise of the best is below every such λ as published, under every control"
    if any(verdicts.unfinished(protocol, [arm], records) for arm in arms):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, UNFINISHED)
    published, *others = ranges = [_best_decays(arm.tuned(protocol, records)) for arm in arms]
    if reason := untested(protocol.preset, *ranges):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    lower = all(max(other) < min(published) for other in others)
    verdict = Verdict.REPRODUCED if lower else Verdict.INCONCLUSIVE
    if any(min(other) >= max(published) for other in others):
        verdict = Verdict.NOT_REPRODUCED
    measured = ", ".join(
        f"{' or '.join(map(compact, found))} ({control})"
        for control, found in zip(controls, ranges, strict=True)
    )
    return Claim(SECTION, statement, measured, bar, verdict, "One seed a cell.")


def _best_decays(records: Sequence[Record]) -> list[float]:
    """Every λ with a cell that is within noise of the best; empty where all have diverged."""
    winner = best(records)
    if winner is None:
        return []
    errors = [(r["weight_decay"], r) for r in records if r["final_test_error"] is not None]
    lowest = winner["final_test_error"]
    return sorted({d for d, r in errors if r["final_test_error"] - lowest <= noise(r, winner)})
