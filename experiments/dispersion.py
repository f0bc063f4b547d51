"""How far updates spread: those of best cells, and those of every cell that two optimizers share."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from adamprox.histograms import LOWEST_LOG2
from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import compact, percent, untested
from adamprox.report.plots import COLORS, LABELS, canvas, spread_through_training
from adamprox.sweep import Record
from experiments import verdicts
from experiments.arm import Arm
from experiments.comparison import name
from experiments.protocol import Protocol


def less_dispersed(
    protocol: Protocol,
    narrow: Arm,
    wide: Arm,
    records: Sequence[Record],
    section: str,
    where: str = "",
) -> Claim:
    """The claim that one arm's updates spread over fewer powers of two than another's."""
    statement = (
        f"{where}{name(narrow)}'s updates are less dispersed than {name(wide)}'s (best cells)."
    )
    bar = "smaller 10–90 % spread in at least 90 % of the last half of the epochs"
    if reason := verdicts.unfinished(protocol, (narrow, wide), records):
        return verdicts.not_run(section, statement, reason)
    pair = [arm.best(protocol, records) for arm in (narrow, wide)]
    reason = untested(protocol.preset, *pair)
    if not reason and pair[1] and pair[1]["weight_decay"] == 0:
        reason = f"{name(wide)}'s best cell has λ = 0, where both are Adam."
    if reason or not (pair[0] and pair[1]):
        return Claim(section, statement, "—", bar, Verdict.NOT_TESTED, reason or "")
    epochs = min(len(r["epoch"]) for r in pair if r)
    spreads = [np.asarray(spread_through_training(r))[epochs // 2 : epochs] for r in pair if r]
    share = float(np.mean(spreads[0] < spreads[1]))
    means = [
        f"{_over_seeds(arm.runs(protocol, records), epochs)} ({name(arm)})"
        for arm in (narrow, wide)
    ]
    measured = f"{', '.join(means)} powers of two; smaller in {100 * share:.0f} % of epochs of the first seed"
    silent = [percent(_silent(r)) for r in pair if r]
    note = (
        f"At the end {silent[0]} of {name(narrow)}'s coordinates and {silent[1]} of {name(wide)}'s "
        "move by less than 2⁻¹⁶ α, as a coordinate does whose gradient has long been zero (a dead "
        "unit); in Adam-ℓ2 λx keeps it moving until its weight is next to zero. Where they are a tenth "
        "or more the spread reaches down to them."
    )
    verdict = Verdict.REPRODUCED if share >= 0.9 else Verdict.NOT_REPRODUCED
    return Claim(section, statement, measured, bar, verdict, note)


def less_dispersed_cell_by_cell(
    protocol: Protocol,
    narrow: Arm,
    wide: Arm,
    records: Sequence[Record],
    section: str,
    where: str = "",
) -> Claim:
    """The claim that, at equal α and λ > 0, one arm's updates spread less than another's.

    Best cells have other λ and other α, which spread updates by themselves. Here both are equal.
    """
    statement = (
        f"{where}{name(narrow)}'s updates are less dispersed than {name(wide)}'s "
        "(at equal α and λ > 0)."
    )
    bar = (
        "smaller mean spread over the last half of the epochs in more than half of the cells (95 %)"
    )
    if reason := verdicts.unfinished(protocol, (narrow, wide), records):
        return verdicts.not_run(section, statement, reason)
    pairs = _shared(protocol, (narrow, wide), records)
    reason = untested(protocol.preset)
    if reason or not pairs:
        reason = reason or f"At no α and λ > 0 that both have each of the two {verdicts.LEARNED}."
        return Claim(section, statement, "—", bar, Verdict.NOT_TESTED, reason)
    ratio = np.array([_spread(one) / _spread(other) for one, other in pairs])
    share, verdict = most(ratio < 1, "of cells")
    measured = f"smaller in {share}; median ratio of spreads {np.median(ratio):.2f}"
    note = f"A cell counts where each network {verdicts.LEARNED}. One seed a cell."
    return Claim(section, statement, measured, bar, verdict, note)


def ratios(
    protocol: Protocol, arms: Sequence[Arm], records: Sequence[Record]
) -> dict[float, float]:
    """λ > 0 to the spread of the first arm's updates over that of the second's, at one α."""
    pairs = _shared(protocol, arms, records)
    return {one["weight_decay"]: _spread(one) / _spread(other) for one, other in pairs}


def most(these: np.ndarray, of: str) -> tuple[str, Verdict]:
    """How many of some bool[n] are true, in words, and whether more than half of all would be."""
    count, total = int(np.sum(these)), len(these)
    low, high = stats.binomtest(count, total).proportion_ci(method="wilson")
    verdict = (
        Verdict.REPRODUCED
        if low > 0.5
        else Verdict.NOT_REPRODUCED
        if high < 0.5
        else Verdict.INCONCLUSIVE
    )
    interval = f"95 %: {100 * low:.0f} to {100 * high:.0f} % {of}"
    return f"{count} of {total} {of.removeprefix('of ')} ({interval})", verdict


def against_decay(protocol: Protocol, arms: Sequence[Arm], records, file: str) -> list[Figure]:
    """The spread of every cell of both grids against λ, a panel an α; none without records."""
    tuned = [[r for r in arm.tuned(protocol, records) if verdicts.learned(r)] for arm in arms]
    alphas, decays = (
        sorted({r[axis] for rows in tuned for r in rows})
        for axis in ("learning_rate", "weight_decay")
    )
    if not alphas:
        return []
    figure, axes = canvas(1, len(alphas), 2 + 2.4 * len(alphas), 3.2, sharey=True)
    for ax, alpha in zip(axes[0], alphas, strict=True):
        for arm, rows in zip(arms, tuned, strict=True):
            own = sorted(
                (decays.index(r["weight_decay"]), _spread(r))
                for r in rows
                if r["learning_rate"] == alpha
            )
            if own:
                ax.plot(*zip(*own, strict=True), "o-", color=COLORS[arm.optimizer], label=LABELS[arm.optimizer])  # fmt: skip
        ax.set(title=f"α = {compact(alpha)}", xlabel="λ")
        ax.set_xticks(range(len(decays)), [compact(v) for v in decays], rotation=90)
    axes[0, 0].set(ylabel="powers of two", ylim=(0, None))
    axes[0, len(alphas) // 2].legend()
    caption = (
        "The distance of the 10 % and 90 % quantiles of log2 |update|/α, mean of the last half of "
        "the epochs, of every cell of both grids. At λ = 0 both are Adam. Networks that have "
        "learned nothing are left out."
    )
    return [Figure(file, "At equal α and λ, whose updates spread further?", caption, figure)]


def _shared(
    protocol: Protocol, arms: Sequence[Arm], records: Sequence[Record]
) -> list[tuple[Record, Record]]:
    """Records of both arms with the same α and λ > 0 whose networks have learned something."""
    first, second = (
        {
            (r["learning_rate"], r["weight_decay"]): r
            for r in arm.tuned(protocol, records)
            if r["weight_decay"] > 0 and verdicts.learned(r)
        }
        for arm in arms
    )
    return [(first[at], second[at]) for at in first if at in second]


def _spread(record: Record) -> float:
    spread = spread_through_training(record)
    return float(np.mean(spread[len(spread) // 2 :]))


def _over_seeds(runs: Sequence[Record], epochs: int) -> str:
    """The mean spread over the last half of some epochs, with its 95 % interval over seeds."""
    means = [
        np.mean(spread_through_training(r)[epochs // 2 : epochs])
        for r in runs
        if len(r["epoch"]) >= epochs
    ]
    if len(means) < 2:
        return f"{np.mean(means):.2f} (1 seed)"
    half = stats.t.ppf(0.975, len(means) - 1) * np.std(means, ddof=1) / np.sqrt(len(means))
    return f"{np.mean(means):.2f} ± {half:.2f} ({len(means)} seeds)"


def _silent(record: Record) -> float:
    """Share of coordinates whose last recorded update is below 2⁻¹⁶ α."""
    counts = np.asarray(record["update_histogram"][-1])
    return float(counts[: -16 - LOWEST_LOG2].sum() / counts.sum())
