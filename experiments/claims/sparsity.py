"""Claims on exact zeros as a function of λ."""

import dataclasses
from collections.abc import Sequence

from adamprox.report import Claim, Verdict
from adamprox.report.claims import best, compact, estimate, gap, noise, percent
from adamprox.report.plots import LABELS
from adamprox.sweep import Record
from adamprox.training import TrainingRun
from experiments.claims import (
    ONE_SEED,
    TOGETHER,
    Finding,
    NotTested,
    claim,
    learned,
    need_judged,
    need_records,
    no_higher,
)
from experiments.protocol import Protocol, Records
from experiments.tuning import with_seeds

SECTION = "§5"


@dataclasses.dataclass(frozen=True)
class Zeros:
    """Kind of zeros, and the share that makes a network sparse.

    Attributes:
      column: Column of the record with the share of zeros.
      share: Minimum share of a sparse network.
      things: Name of the entries that are zero, such as ``parameters``.
    """

    column: str
    share: float
    things: str


class Line:
    """Runs of one optimizer on one network, from λ = 0 upwards.

    Args:
      network: Name of the network.
      runs: One run per λ, the first with λ = 0.
      zeros: Zeros that make the network sparse; None for an optimizer that makes none.
      protocol: Protocol of the runs.
      records: Records so far.

    Attributes:
      finished: Records of ``runs`` that did not diverge, sorted by λ.
      compared: Runs with λ = 0 and runs with the sparse λ, one per seed; empty until all ``runs``
        have records.
    """

    def __init__(
        self,
        network: str,
        runs: Sequence[TrainingRun],
        zeros: Zeros | None,
        protocol: Protocol,
        records: Records,
    ):
        """Find the sparse run, and its repetitions."""
        self.network, self.line, self.zeros = network, list(runs), zeros
        self.protocol, self.records, self.optimizer = protocol, records, runs[0].optimizer
        self.finished = _with_zeros(records.of(runs))
        self.compared: list[list[TrainingRun]] = []
        top = None if records.missing(runs) else self._sparse()
        if top and zeros:
            # Too few zeros with the first seed decide the claim without more seeds.
            count = protocol.seeds if top[zeros.column] >= zeros.share else 1
            chosen = next(run for run in runs if run.weight_decay == top.weight_decay)
            self.compared = [with_seeds(runs[0], count), with_seeds(chosen, count)]
        self.runs = [*self.line, *(run for pair in self.compared for run in pair[1:])]

    @property
    def allowed(self) -> list[Record]:
        """Records whose error exceeds that of λ = 0 by no more than the margin."""
        dense = self.finished[0]
        return [r for r in self.finished if _error(r) - _error(dense) <= noise(r, dense)]

    def _sparse(self) -> Record | None:
        """Return the allowed record of lowest error with enough zeros, or else that with most zeros."""
        if not self.zeros or not self.finished or self.finished[0].weight_decay:
            return None
        column = self.zeros.column
        sparse = [r for r in self.allowed if r[column] >= self.zeros.share]
        return best(sparse) or max(self.allowed, key=lambda r: r[column])


def sparse(line: Line) -> Claim:
    """Return the claim that some λ makes the network sparse at little loss of accuracy."""
    zeros = line.zeros
    assert zeros
    statement = f"{LABELS[line.optimizer]} makes the {line.network} network sparse at little loss of accuracy."
    criterion = (
        f"at least {percent(zeros.share)} of the {zeros.things} exactly zero with every seed; error not "
        f"higher than at λ = 0 by more than the margin of error (95 %); {TOGETHER}"
    )

    def measure() -> Finding:
        need_records(line.records, line.runs)
        need_judged(line.protocol)
        if not line.compared or not learned(line.finished[0]):
            raise NotTested(
                "At λ = 0 the network is no better than chance, or its zeros were not counted."
            )
        dense, top = (_with_zeros(line.records.of(runs)) for runs in line.compared)
        shares = [record[zeros.column] for record in top]
        diverged = len(line.compared[1]) - len(top)
        loss = gap(*(line.records.of(runs) for runs in reversed(line.compared)))
        verdict = no_higher(loss)
        if diverged or min(shares) < zeros.share:
            verdict = Verdict.NOT_REPRODUCED
        measured = (
            f"{_between(shares)} of the {zeros.things} at λ = {compact(top[0].weight_decay)}, test error "
            f"{estimate(top)} vs {estimate(dense)} at λ = 0"
        )
        note = _note(line, top[0].weight_decay, diverged)
        if lost := len(line.compared[0]) - len(dense):
            note += f" {lost} of {len(line.compared[0])} seeds diverged at λ = 0."
        return Finding(measured, verdict, note)

    return claim(SECTION, statement, criterion, measure)


def _note(line: Line, decay: float, diverged: int) -> str:
    assert line.zeros
    column, count = line.zeros.column, len(line.compared[1])
    again = f", {count} seeds at the two compared" if count > 1 else ""
    notes = [f"{len(line.finished)} values of λ, one seed each{again}."]
    farthest = max(line.allowed, key=lambda r: r[column])
    if farthest.weight_decay != decay:
        share = percent(farthest[column])
        notes.append(
            f"Within the margin of one seed λ = {compact(farthest.weight_decay)} reaches {share}."
        )
    if diverged:
        notes.append(f"{diverged} of {count} seeds diverged.")
    return " ".join(notes)


def no_zeros(lines: Sequence[Line]) -> Claim:
    """Return the claim that AdamW has no parameter that is exactly zero, at any λ."""
    records, runs = lines[0].records, [run for line in lines for run in line.line]

    def measure() -> Finding:
        need_records(records, runs)
        finished = [record for line in lines for record in line.finished]
        need_judged(lines[0].protocol, finished)
        worst = max(record["zero_share"] for record in finished)
        left = len(runs) - len(finished)
        note = f" Left out: {left} that diverged or did not count zeros." if left else ""
        verdict = Verdict.NOT_REPRODUCED if worst else Verdict.REPRODUCED
        return Finding(
            f"at most {100 * worst:.3g} % zero in {len(finished)} runs", verdict, ONE_SEED + note
        )

    statement = "AdamW, at the same values of λ, makes no parameter exactly zero."
    return claim(SECTION, statement, "no zero in any run", measure)


def _with_zeros(records: Sequence[Record]) -> list[Record]:
    """Return the records that finished and have a count of zeros, sorted by λ."""
    found = [r for r in records if r.error is not None and "zero_share" in r]
    return sorted(found, key=lambda r: r.weight_decay)


def _error(record: Record) -> float:
    return record["final_test_error"]


def _between(shares: Sequence[float]) -> str:
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"
