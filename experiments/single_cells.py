"""Claims about cells that were neither tuned here nor repeated: one run each."""

import math
from collections.abc import Sequence

import numpy as np

from adamprox.report import Claim, Verdict
from adamprox.report.claims import noise, percent, untested
from adamprox.sweep import Record
from experiments import verdicts
from experiments.arm import Arm
from experiments.comparison import name
from experiments.protocol import Protocol

_LAST = 10  # visits of the test set: α is constant, so errors swing from one to the next


def lower_error(
    protocol: Protocol, better: Arm, worse: Arm, records: Sequence[Record], section: str, where: str
) -> Claim:
    """The claim that one run ends with a lower test error than another."""
    statement = f"{where}{name(better)}'s test error is lower than {name(worse)}'s."
    bar = f"mean of the last {_LAST} visits lower by more than the noise of test set and visits"
    if reason := verdicts.unfinished(protocol, (better, worse), records):
        return verdicts.not_run(section, statement, reason)
    low, high = (arm.tuned(protocol, records)[0] for arm in (better, worse))
    ended = [record["final_test_error"] is not None for record in (low, high)]
    if reason := untested(protocol.preset, any(ended)):
        return Claim(section, statement, "—", bar, Verdict.NOT_TESTED, reason)
    if not all(ended):
        lost, verdict = (
            (better, Verdict.NOT_REPRODUCED) if ended[1] else (worse, Verdict.REPRODUCED)
        )
        return Claim(section, statement, f"{name(lost)} diverged", bar, verdict, "One seed each.")
    visits = [_late(record) for record in (low, high)]
    means = [float(np.mean(errors)) for errors in visits]
    swing = sum(float(np.var(errors)) / len(errors) for errors in visits)
    unsure = math.hypot(noise(low, high), 2 * math.sqrt(swing))
    measured = ", ".join(
        f"{percent(mean)} ({name(arm)})" for mean, arm in zip(means, (better, worse), strict=True)
    )
    note = (
        f"Means of the last {len(visits[0])} visits; the last alone: {percent(low['final_test_error'])}, "
        f"{percent(high['final_test_error'])}. One seed each. Differences below {percent(unsure)} are "
        "noise of test set and visits; another seed may change more."
    )
    verdict = verdicts.beyond_noise(means[1] - means[0], unsure)
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
    bar = f"at least {percent(share)}; less by no more than the noise of the test set: inconclusive"
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
    undecided = lacking <= noise(Record({**record, "final_test_error": error}))
    verdict = Verdict.INCONCLUSIVE if undecided else Verdict.NOT_REPRODUCED
    if lacking <= 0:
        verdict = Verdict.REPRODUCED
    return Claim(section, statement, f"{percent(1 - error)} (1 seed)", bar, verdict)


def _late(record: Record) -> list[float]:
    return [error for error in record["test_error"] if error is not None][-_LAST:]
