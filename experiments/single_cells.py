"""Claims about cells that were neither tuned here nor repeated: one run each."""

import statistics
from collections.abc import Sequence

from adamprox.report import Claim, Verdict
from adamprox.report.claims import estimate, gap, noise, percent, untested
from adamprox.sweep import Record
from experiments import verdicts
from experiments.arm import Arm
from experiments.comparison import name
from experiments.protocol import Protocol

_LAST = 10  # α is constant, so errors swing from one visit of the test set to the next


def lower_error(
    protocol: Protocol, better: Arm, worse: Arm, records: Sequence[Record], section: str, where: str
) -> Claim:
    """The claim that one run ends with a lower test error than another."""
    statement = f"{where}{name(better)}'s test error is lower than {name(worse)}'s."
    bar = "lower by more than the noise of the test set"
    if reason := verdicts.unfinished(protocol, (better, worse), records):
        return verdicts.not_run(section, statement, reason)
    low, high = (arm.best(protocol, records) for arm in (better, worse))
    if (reason := untested(protocol.preset, low, high)) or not (low and high):
        return Claim(section, statement, "—", bar, Verdict.NOT_TESTED, reason or "")
    ahead = gap([high], [low])
    measured = f"{estimate([low])} ({name(better)}), {estimate([high])} ({name(worse)})"
    means = ", ".join(f"{_late(r)} ({name(arm)})" for r, arm in ((low, better), (high, worse)))
    note = (
        f"Means of the last {_LAST} visits to the test set: {means}. Differences below "
        f"{percent(ahead.unsure)} are noise of the test set; another seed may change more."
    )
    verdict = verdicts.beyond_noise(ahead.difference, ahead.unsure)
    return Claim(section, statement, measured, bar, verdict, note)


def reaches(
    protocol: Protocol,
    arm: Arm,
    records: Sequence[Record],
    section: str,
    network: str,
    epochs: int,
    share: float,
) -> Claim:
    """The claim that a run gets a ``share`` of the test images right after so many ``epochs``."""
    statement = f"{network}: {name(arm)} gets {percent(share)} of the test images right after {epochs} epochs."
    bar = f"at least {percent(share)}; less by no more than the noise of the test set: undecided"
    if reason := verdicts.unfinished(protocol, (arm,), records):
        return verdicts.not_run(section, statement, reason)
    record = arm.best(protocol, records)
    error = record["test_error"][epochs - 1] if record and len(record["epoch"]) >= epochs else None
    if reason := untested(protocol.preset, record):
        return Claim(section, statement, "—", bar, Verdict.NOT_TESTED, reason)
    if record is None or error is None:
        reason = f"The test set was not visited after {epochs} epochs."
        return Claim(section, statement, "—", bar, Verdict.NOT_TESTED, reason)
    lacking = share - (1 - error)
    undecided = lacking <= noise(record | {"final_test_error": error})
    verdict = Verdict.UNDECIDED if undecided else Verdict.FAILS
    if lacking <= 0:
        verdict = Verdict.HOLDS
    return Claim(section, statement, f"{percent(1 - error)} (1 seed)", bar, verdict)


def _late(record: Record) -> str:
    visits = [error for error in record["test_error"] if error is not None]
    return percent(statistics.fmean(visits[-_LAST:]))
