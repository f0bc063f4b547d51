"""Claims on the spread of update magnitudes, of best runs and at every grid point.

The spread is the distance between the 10th and 90th percentile of log2 |update|/α, in powers of two.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

from adamprox.histograms import LOWEST_LOG2
from adamprox.report import Claim, Verdict
from adamprox.report.claims import Gap, half_width, percent
from adamprox.report.plots import spread_through_training
from adamprox.sweep import Record
from experiments.claims import (
    LEARNED,
    ONE_SEED,
    Finding,
    NotTested,
    by_margin,
    claim,
    learned,
    met,
    need_judged,
    need_runs,
    share,
)
from experiments.tuning import Tuned


def smaller_spread(narrow: Tuned, wide: Tuned, section: str, where: str = "") -> Claim:
    """Return the claim that the updates of one method's best run spread less than another's."""
    statement = f"{where}{narrow.name}'s updates spread less than {wide.name}'s (best runs)."
    criterion = (
        "smaller spread (10th to 90th percentile) in at least 90 % of the epochs of the second half"
    )

    def measure() -> Finding:
        need_runs(narrow, wide)
        need_judged(narrow.protocol, narrow.best, wide.best)
        assert narrow.best and wide.best
        if wide.best.weight_decay == 0:
            raise NotTested(f"{wide.name}'s best run has λ = 0, where both are Adam.")
        pair = (narrow.best, wide.best)
        epochs = min(len(record.epochs) for record in pair)
        first, second = (spread_through_training(r)[epochs // 2 : epochs] for r in pair)
        smaller = float(np.mean(first < second))
        means = " vs ".join(_over_seeds(method.finished, epochs) for method in (narrow, wide))
        measured = f"{means} powers of two; smaller in {100 * smaller:.0f} % of the epochs of the second half (first seed)"
        still = np.array([_still(record)[epochs // 2 : epochs] for record in pair])
        note = (
            f"At the end {' vs '.join(map(percent, still[:, -1]))} of the coordinates move by less than "
            "2⁻¹⁶ α. Where 10 % or more do, the 10th percentile is that of such a coordinate."
        )
        if (moving := still.max(axis=0) < 0.1).any():
            left = f"{first[moving].mean():.2f} vs {second[moving].mean():.2f}"
            note += f" In the {moving.sum()} epochs with less than 10 % under both, the mean spreads are {left} (first seed)."
        return Finding(measured, met(smaller >= 0.9), note)

    return claim(section, statement, criterion, measure)


def smaller_spread_at_equal_points(
    narrow: Tuned, wide: Tuned, section: str, where: str = ""
) -> Claim:
    """Return the claim that, at equal α and λ > 0, updates of one method spread less.

    The best runs of two methods differ in α and λ, which also change the spread.
    """
    statement = (
        f"{where}{narrow.name}'s updates spread less than {wide.name}'s (equal α and λ > 0)."
    )
    criterion = (
        "mean spread over the second half of the epochs smaller at more than half of the grid points "
        "(95 % confidence)"
    )

    def measure() -> Finding:
        need_runs(narrow, wide)
        need_judged(narrow.protocol)
        ratio, moving = at_equal_points(narrow, wide)
        if not len(ratio):
            raise NotTested("At no α and λ > 0 do both networks have 1.5 times chance accuracy.")
        points, verdict = most(ratio < 1, "grid points")
        measured = f"smaller at {points}; median ratio of spreads {np.median(ratio):.2f}"
        note = (
            f"A grid point counts if each network {LEARNED}. At those where under both optimizers fewer than 10 % of the "
            f"coordinates move by less than 2⁻¹⁶ α, it is smaller at {np.sum(ratio[moving] < 1)} of {sum(moving)}. {ONE_SEED}"
        )
        return Finding(measured, verdict, note)

    return claim(section, statement, criterion, measure)


def at_equal_points(one: Tuned, other: Tuned) -> tuple[np.ndarray, np.ndarray]:
    """Return two arrays over the grid points at λ > 0 at which both networks have learned.

    They are the ratio of the spreads, float[n], and whether at most 10 % of the coordinates stand
    still, bool[n].
    """
    pairs = _shared(one, other)
    still = [max(_still(r)[len(r.epochs) // 2 :].mean() for r in pair) for pair in pairs]
    ratio = [mean_spread(first) / mean_spread(second) for first, second in pairs]
    return np.array(ratio), np.array(still) < 0.1


def ratios(one: Tuned, other: Tuned) -> dict[float, float]:
    """Return the ratio of the spreads of two methods by λ > 0, at one α."""
    return {a.weight_decay: mean_spread(a) / mean_spread(b) for a, b in _shared(one, other)}


def most(true: np.ndarray, of: str) -> tuple[str, Verdict]:
    """Return the share of True in a bool[n], in words, and the verdict on a share above one half."""
    words, low, high = share(int(np.sum(true)), len(true), of)
    verdict = (
        Verdict.REPRODUCED
        if low > 0.5
        else Verdict.NOT_REPRODUCED
        if high < 0.5
        else Verdict.INCONCLUSIVE
    )
    return words, verdict


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[str, Verdict]:
    """Return Spearman's correlation with its 95 % interval, in words, and the verdict on its sign."""
    found: Any = scipy.stats.spearmanr(first, second)
    centre = np.arctanh(np.clip(found.statistic, -1 + 1e-9, 1 - 1e-9))
    half = 1.96 * 1.03 / np.sqrt(len(first) - 3)  # 1.03: ranks instead of normal numbers
    low, high = np.tanh([centre - half, centre + half])
    words = f"{found.statistic:.2f} (95 % interval: {low:.2f} to {high:.2f})".replace("-", "−")
    return words, by_margin(Gap(float(centre), float(half)))


def _shared(one: Tuned, other: Tuned) -> list[tuple[Record, Record]]:
    """Return the records of both with the same α and λ > 0 whose networks have learned something."""
    first, second = (
        {at: r for at, r in method.at().items() if at[1] > 0 and learned(r)}
        for method in (one, other)
    )
    return [(first[at], second[at]) for at in first if at in second]


def mean_spread(record: Record) -> float:
    """Return the mean spread over the second half of the epochs."""
    spread = spread_through_training(record)
    return float(np.mean(spread[len(spread) // 2 :]))


def _over_seeds(runs: Sequence[Record], epochs: int) -> str:
    """Return the mean spread over the last half of ``epochs``, with its 95 % interval over seeds."""
    long = [spread_through_training(r) for r in runs if len(r.epochs) >= epochs]
    means = [spread[epochs // 2 : epochs].mean() for spread in long]
    if len(means) < 2:
        return f"{np.mean(means):.2f} (1 seed)"
    return f"{np.mean(means):.2f} ± {half_width(means):.2f} ({len(means)} seeds)"


def _still(record: Record) -> np.ndarray:
    """Return the share of coordinates that move by less than 2⁻¹⁶ α, float[epochs]."""
    counts = np.asarray(record["update_histogram"])
    return counts[:, : -16 - LOWEST_LOG2].sum(axis=1) / counts.sum(axis=1)
