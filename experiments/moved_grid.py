"""Whether a grid of (α, λ) moves with the loss multiplier, or stays."""

from collections.abc import Mapping, Sequence

import numpy as np

from adamprox.report import Claim, Verdict
from adamprox.report.claims import best, compact, noise, percent, select, untested
from adamprox.report.plots import LABELS
from adamprox.sweep import Record
from experiments import verdicts
from experiments.arm import Arm
from experiments.protocol import Protocol

# Optimizers that weigh λ against the size of the gradient.
_MOVING = ("adam_l2", "proxgen")


def judge(protocol: Protocol, rows: Mapping[str, Sequence[Arm]], records) -> list[Claim]:
    """Both claims about every optimizer and its arms, one a multiplier.

    They compare cells of one seed, so repetitions of the best are neither waited for nor used.
    """
    return [
        _judge(test, protocol, name, arms, records)
        for test in (best_cell, whole_grid)
        for name, arms in rows.items()
    ]


def _judge(test, protocol: Protocol, name: str, arms: Sequence[Arm], records) -> Claim:
    claim = test(protocol, [r for arm in arms for r in arm.tuned(protocol, records)], name)
    reason = verdicts.unfinished(protocol, arms, records, Arm.untuned)
    return verdicts.not_run(claim.section, claim.statement, reason) if reason else claim


def whole_grid(protocol: Protocol, records: Sequence[Record], name: str) -> Claim:
    """Every cell at × 1 against its counterpart at × m: λ · m for Adam-ℓ2, λ itself for AdamW.

    The other way of pairing is measured too, for a bar that both would meet says nothing. Cells at
    λ = 0 are the same in both and do not count, nor do pairs that are both at chance.
    """
    moves = name in _MOVING
    statement = (
        f"{LABELS[name]} on (m · loss, m · λ) does what it does on (loss, λ): its whole grid moves."
        if moves
        else f"{LABELS[name]}'s whole grid stays as it is when the loss is multiplied."
    )
    bar = f"counterparts within two standard errors in at least 80 % of at least {verdicts.FEWEST} cells, and nearer than "
    bar += "those of the grid at rest" if moves else "those of the grid moved by m"
    stays, shifts = (_pairs(protocol, records, name, moved) for moved in (False, True))
    claimed, rival = (shifts, stays) if moves else (stays, shifts)
    if reason := untested(protocol.preset, *claimed[:1] or [None]):
        return Claim("§4.2, Fig. 4", statement, "—", bar, Verdict.NOT_TESTED, reason)
    close, mean = _agreement(claimed)
    other_close, other_mean = _agreement(rival)
    other = f"{other_close} of {len(rival)}, {percent(other_mean)}" if rival else "no cells"
    measured = (
        f"{close} of {len(claimed)} cells, mean difference {percent(mean)}; the other way {other}"
    )
    holds = close >= 0.8 * len(claimed)
    verdict = Verdict.NOT_REPRODUCED if not holds else Verdict.REPRODUCED
    if (holds and not mean < other_mean) or len(claimed) < verdicts.FEWEST:
        verdict = Verdict.INCONCLUSIVE
    note = "One seed: rounding alone makes two runs of one cell part, so a few must differ."
    return Claim("§4.2, Fig. 4", statement, measured, bar, verdict, note)


def _pairs(protocol: Protocol, records, name: str, moved: bool):
    """(cell at × 1, counterpart at × m) of every λ > 0, unless both are at chance."""
    first, *others = protocol.loss_multipliers
    found = []
    for start in select(records, optimizer=name, loss_multiplier=first):
        for multiplier in others:
            grid = select(records, optimizer=name, loss_multiplier=multiplier)
            other = _counterpart(grid, start, multiplier if moved else 1.0)
            if other is None or not start["weight_decay"]:
                continue
            pair = start, other
            if all(r["final_test_error"] is not None for r in pair) and any(
                map(verdicts.learned, pair)
            ):
                found.append(pair)
    return found


def _agreement(pairs) -> tuple[int, float]:
    """How many pairs agree within noise, and their mean absolute difference."""
    gaps = [abs(a["final_test_error"] - b["final_test_error"]) for a, b in pairs]
    close = sum(gap <= noise(*pair) for gap, pair in zip(gaps, pairs, strict=True))
    return close, float(np.mean(gaps)) if gaps else float("nan")


def _counterpart(grid, start, factor: float):
    """The cell of ``grid`` with the α of ``start`` and ``factor`` times its λ, or None."""
    weight_decay = float(f"{factor * start['weight_decay']:.6g}")
    cells = select(grid, learning_rate=start["learning_rate"], weight_decay=weight_decay)
    return next(iter(cells), None)


def best_cell(protocol: Protocol, records: Sequence[Record], name: str) -> Claim:
    """Whether the best cell at × 1 is, moved as predicted, as good as the best at × m."""
    moves = name in _MOVING
    statement = (
        f"Under a loss multiplier the best cell of {LABELS[name]} moves, to λ times the multiplier."
        if moves
        else f"{LABELS[name]}'s best cell does not move when the loss is multiplied."
    )
    bar = "the predicted cell within two standard errors of the best" + (
        ", the old cell not" if moves else ""
    )
    start = best(select(records, optimizer=name, loss_multiplier=protocol.loss_multipliers[0]))
    reason = untested(protocol.preset, start)
    if start and not reason and moves and start["weight_decay"] == 0:
        reason = f"The best cell of {LABELS[name]} has λ = 0, which no multiplier moves."
    if reason or not start:
        return Claim("§4.2, Fig. 4", statement, "—", bar, Verdict.NOT_TESTED, reason or "")
    findings = [
        _finding(records, start, multiplier if moves else 1.0, multiplier)
        for multiplier in protocol.loss_multipliers[1:]
    ]
    measured = "; ".join(finding["text"] for finding in findings)
    if not all(finding["was run"] for finding in findings):
        reason = "The predicted cell is not in the grid."
        return Claim("§4.2, Fig. 4", statement, measured, bar, Verdict.NOT_TESTED, reason)
    predicted = all(finding["predicted is best"] for finding in findings)
    lost = all(finding["old is worse"] for finding in findings)
    verdict = Verdict.REPRODUCED if predicted else Verdict.NOT_REPRODUCED
    note = f"At × 1 the best is α = {compact(start['learning_rate'])}, λ = {compact(start['weight_decay'])}."
    if moves and predicted and not lost:
        verdict = Verdict.INCONCLUSIVE
        note += " The old cell is not worse by more than the noise at every multiplier."
    return Claim("§4.2, Fig. 4", statement, measured, bar, verdict, note)


def _finding(records, start, factor: float, multiplier: float):
    grid = select(records, optimizer=start["optimizer"], loss_multiplier=multiplier)
    top = best(grid)
    predicted, old = (_counterpart(grid, start, f) for f in (factor, 1.0))
    return {
        "was run": predicted is not None,
        "predicted is best": _as_good(predicted, top),
        "old is worse": not _as_good(old, top),
        "text": f"× {multiplier:g}: best {_describe(top, 'all diverged')}, "
        f"predicted {_describe(predicted, 'not run')}",
    }


def _as_good(record, top) -> bool:
    if not record or not top or record["final_test_error"] is None:
        return False
    return record["final_test_error"] - top["final_test_error"] <= noise(record, top)


def _describe(record, absent: str) -> str:
    if record is None:
        return absent
    error = record["final_test_error"]
    result = "diverged" if error is None else percent(error)
    return f"{result} at ({compact(record['learning_rate'])}, {compact(record['weight_decay'])})"
