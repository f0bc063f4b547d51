"""Claims on a grid of (α, λ) under a loss multiplier: the grid stays, or it moves along λ.

Claims on the best grid point and on the whole grid compare runs of one seed. The lowest errors are compared
over all seeds.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from adamprox.report import Claim, Verdict
from adamprox.report.claims import compact, noise, percent, points
from adamprox.report.plots import LABELS
from adamprox.sweep import Record
from experiments.claims import (
    FEWEST,
    ONE_SEED,
    Finding,
    NotTested,
    accuracy,
    claim,
    counted,
    learned,
    met,
    need_grids,
    need_judged,
    share,
)
from experiments.tuning import Tuned


@dataclasses.dataclass(frozen=True)
class Row:
    """One optimizer at every loss multiplier.

    Attributes:
      moves: True if the effect of λ depends on the size of the gradient, as for Adam-ℓ2.
      methods: Method at each multiplier, the first at 1.
    """

    moves: bool
    methods: Sequence[Tuned]

    @property
    def name(self) -> str:
        """Name of the optimizer."""
        return LABELS[self.methods[0].optimizer]

    def pairs(self, moved: bool) -> list[tuple[Record, Record]]:
        """Return pairs of a run at × 1 and its counterpart at × m, for λ > 0, unless both are at chance."""
        return [
            pair
            for method in self.methods[1:]
            for start in self.methods[0].tried
            if start.weight_decay
            if (other := _counterpart(method, start, method.method.multiplier if moved else 1.0))
            if learned(start) or learned(other)
            for pair in [(counted(start), counted(other))]
        ]


def claims(rows: Sequence[Row], section: str) -> list[Claim]:
    """Return the claims about every row: its best grid point, its whole grid, its lowest error."""
    lowest = [
        accuracy.equal_error(row.methods[0], other, section)
        for row in rows
        for other in row.methods[1:]
    ]
    return [*(test(row, section) for test in (best_run, whole_grid) for row in rows), *lowest]


def whole_grid(row: Row, section: str) -> Claim:
    """Return the claim that every run at × 1 equals its counterpart at × m.

    The counterpart has λ · m if the grid moves, and λ if it stays. The other pairing is measured as well:
    the claim is inconclusive if its pairs are not closer than the others.
    """
    if row.moves:
        statement = (
            f"Multiplying both the loss and λ by m leaves {row.name}'s test errors unchanged."
        )
    else:
        statement = f"Multiplying the loss leaves {row.name}'s test errors unchanged."
    opposite = "with λ unchanged" if row.moves else "with λ multiplied too"
    criterion = (
        f"test errors within two standard errors in at least 80 % of at least {FEWEST} pairs of runs; mean "
        f"difference smaller than {opposite}"
    )

    def measure() -> Finding:
        need_grids(*row.methods)
        claimed, alternative = row.pairs(row.moves), row.pairs(not row.moves)
        need_judged(row.methods[0].protocol, claimed)
        close, mean = _agreement(claimed)
        other_close, other_mean = _agreement(alternative)
        other = (
            f"{other_close} of {len(alternative)} pairs, {points(other_mean)}"
            if alternative
            else "no pairs"
        )
        equal, *_ = share(close, len(claimed), "pairs")
        measured = f"equal in {equal}, mean difference {points(mean)}; {opposite}: {other}"
        agree = close >= 0.8 * len(claimed)
        verdict = met(agree)
        if (agree and not mean < other_mean) or len(claimed) < FEWEST:
            verdict = Verdict.INCONCLUSIVE
        note = f"{ONE_SEED} Rounding alone can make two equal runs differ by more than two standard errors."
        return Finding(measured, verdict, note)

    return claim(section, statement, criterion, measure)


def best_run(row: Row, section: str) -> Claim:
    """Return the claim that the best (α, λ) at × 1 predicts that at × m."""
    if row.moves:
        statement = f"Multiplying the loss multiplies {row.name}'s best λ by the same factor."
    else:
        statement = f"Multiplying the loss leaves {row.name}'s best (α, λ) unchanged."
    criterion = "error at the predicted (α, λ) within two standard errors of the lowest"
    criterion += "; error at the old (α, λ) not" if row.moves else ""

    def measure() -> Finding:
        need_grids(*row.methods)
        start = row.methods[0].best
        need_judged(row.methods[0].protocol, start)
        assert start
        if row.moves and start.weight_decay == 0:
            raise NotTested(f"The best run of {row.name} has λ = 0, which no factor changes.")
        return _judged(row, start)

    return claim(section, statement, criterion, measure)


def _judged(row: Row, start: Record) -> Finding:
    tops = [method.best for method in row.methods[1:]]
    predicted = [
        _counterpart(method, start, method.method.multiplier if row.moves else 1.0)
        for method in row.methods[1:]
    ]
    old = [_counterpart(method, start, 1.0) for method in row.methods[1:]]
    measured = "; ".join(
        f"× {method.method.multiplier:g}: best {_described(top, 'all diverged')}, "
        f"predicted {_described(run, 'not run')}"
        for method, top, run in zip(row.methods[1:], tops, predicted, strict=True)
    )
    if None in predicted:
        raise NotTested(f"The predicted run is not in the grid. {measured}.")
    if row.moves and None in old:
        raise NotTested(f"The old (α, λ) is not in the grid. {measured}.")
    note = f"At × 1 the best are α = {compact(start.learning_rate)}, λ = {compact(start.weight_decay)}."
    note += f" {ONE_SEED}"
    if not all(map(_as_good, predicted, tops)):
        return Finding(measured, Verdict.NOT_REPRODUCED, note)
    if row.moves and any(map(_as_good, old, tops)):
        note += " At some multiplier the old (α, λ) is as good within the margin."
        return Finding(measured, Verdict.INCONCLUSIVE, note)
    return Finding(measured, Verdict.REPRODUCED, note)


def _agreement(pairs: Sequence[tuple[Record, Record]]) -> tuple[int, float]:
    """Return the number of pairs that agree within the margin, and their mean absolute difference."""
    gaps = [abs(one["final_test_error"] - other["final_test_error"]) for one, other in pairs]
    close = sum(gap <= noise(*pair) for gap, pair in zip(gaps, pairs, strict=True))
    return close, float(np.mean(gaps)) if gaps else float("nan")


def _counterpart(method: Tuned, start: Record, factor: float) -> Record | None:
    """Return the record with the α of ``start`` and ``factor`` times its λ."""
    at = start.learning_rate, float(f"{factor * start.weight_decay:.6g}")
    return next((r for r in method.tried if (r.learning_rate, r.weight_decay) == at), None)


def _as_good(record: Record | None, top: Record | None) -> bool:
    if not record or not top or record.error is None or top.error is None:
        return False
    return record.error - top.error <= noise(record, top)


def _described(record: Record | None, absent: str) -> str:
    if record is None:
        return absent
    result = "diverged" if record.error is None else percent(record.error)
    return f"{result} at ({compact(record.learning_rate)}, {compact(record.weight_decay)})"
