"""Fig. 3: without BatchNorm, AdamW beats Adam-ℓ2, and its updates are less dispersed.

Claim (§4.1, Fig. 3): training deep ResNets without BatchNorm, AdamW's best test error is lower than
Adam-ℓ2's, and the magnitudes of its updates are concentrated where Adam-ℓ2's are spread out.
Command: python -m experiments fig03 --preset demo
Cost: 80 s at demo on two CPU cores.
Expect: the histograms to differ plainly; errors within the noise of a small test set.
"""

import numpy as np

from adamprox.histograms import LOWEST_LOG2
from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import best, noise, percent, select, untested
from adamprox.report.plots import (
    LABELS,
    canvas,
    curves,
    error_limits,
    heatmap,
    histogram,
    label_grid,
    spread_through_training,
)
from experiments.experiment import Experiment
from experiments.protocol import Protocol

OPTIMIZERS = ("adam_l2", "adamw", "adamprox")


def cells(protocol: Protocol):
    """The grids of the three optimizers at loss multiplier 1."""
    return [cell for name in OPTIMIZERS for cell in protocol.grid(name)]


def plot(protocol: Protocol, records) -> list[Figure]:
    """Heatmaps; curves of the best cells; their update histograms."""
    grids = [select(records, optimizer=name) for name in OPTIMIZERS]
    winners = [winner for winner in map(best, grids) if winner]
    return [_heatmaps(protocol, grids), *(_best_cells(winners) if winners else [])]


def _heatmaps(protocol, grids) -> Figure:
    figure, axes = canvas(1, 3, 12, 3.2)
    limits = error_limits([record for grid in grids for record in grid])
    columns = protocol.weight_decays_of("adam_l2")
    for ax, name, grid in zip(axes[0], OPTIMIZERS, grids, strict=True):
        heatmap(ax, grid, protocol.learning_rates, columns, limits)
        ax.set_title(LABELS[name])
    label_grid(axes)
    caption = (
        "Final test error in percent; the best cell is ringed, empty tiles were not run. The same λ "
        "is a different thing to the left and to the right: AdamW decays by it at every step, "
        "Adam-ℓ2 adds it to gradients that Adam then divides by their own size."
    )
    title = f"ResNet-{protocol.depth} without BatchNorm on {protocol.train_size or 'all'} digits."
    return Figure("fig03_heatmaps", title, caption, figure)


def _best_cells(winners) -> list[Figure]:
    figure, axes = canvas(1, 2, 10, 3.4)
    for record in winners:
        curves(axes[0, 0], axes[0, 1], record)
    axes[0, 0].legend()
    lines = Figure(
        "fig03_curves",
        "The best cell of each.",
        "Training loss on the left, test error on the right: what regularization costs and brings.",
        figure,
    )
    figure, axes = canvas(1, len(winners), 12, 3.2, sharey=True)
    for ax, record in zip(axes[0], winners, strict=True):
        histogram(ax, record)
    axes[0, 0].set_ylabel("share of coordinates, %")
    bars = Figure(
        "fig03_histograms",
        "How large the updates are.",
        "|update|/α of every coordinate at the first step of an epoch, from early (pale) to last "
        "(filled). AdamW's and AdamProx's are without the decay, Adam-ℓ2's have λx in the gradient by "
        "construction. A narrow hump means that all coordinates move at one pace.",
        figure,
    )
    return [lines, bars]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Lower best error, beyond noise; smaller spread of updates in most epochs."""
    l2, adamw = (best(select(records, optimizer=name)) for name in ("adam_l2", "adamw"))
    return [_lower_error(l2, adamw, protocol), _less_dispersed(l2, adamw, protocol)]


def _lower_error(l2, adamw, protocol: Protocol) -> Claim:
    statement = "Without BatchNorm, AdamW's best test error is lower than Adam-ℓ2's."
    bar = "lower by more than two standard errors of the difference"
    if reason := untested(protocol.preset, l2, adamw):
        return Claim("§4.1, Fig. 3", statement, "—", bar, Verdict.NOT_TESTED, reason)
    gap, unsure = l2["final_test_error"] - adamw["final_test_error"], noise(l2, adamw)
    verdict = (
        Verdict.HOLDS if gap > unsure else Verdict.FAILS if gap < -unsure else Verdict.UNDECIDED
    )
    measured = (
        f"{percent(adamw['final_test_error'])} (AdamW), {percent(l2['final_test_error'])} (Adam-ℓ2)"
    )
    note = f"One seed, {l2['test_examples']} test images: differences below {percent(unsure)} are noise."
    return Claim("§4.1, Fig. 3", statement, measured, bar, verdict, note)


def _less_dispersed(l2, adamw, protocol: Protocol) -> Claim:
    statement = "AdamW's updates are less dispersed than Adam-ℓ2's (best cells)."
    bar = "smaller 10–90 % spread in at least 90 % of the last half of the epochs"
    reason = untested(protocol.preset, l2, adamw)
    if not reason and l2["weight_decay"] == 0:
        reason = "Adam-ℓ2's best cell has λ = 0, where both are Adam."
    if reason:
        return Claim("§4.1, Fig. 3", statement, "—", bar, Verdict.NOT_TESTED, reason)
    epochs = min(len(r["epoch"]) for r in (l2, adamw))
    spreads = [np.asarray(spread_through_training(r))[epochs // 2 : epochs] for r in (l2, adamw)]
    share = float(np.mean(spreads[1] < spreads[0]))
    measured = (
        f"{spreads[1].mean():.2f} (AdamW), {spreads[0].mean():.2f} (Adam-ℓ2) powers of two; smaller "
        f"in {100 * share:.0f} % of epochs"
    )
    silent = [_silent(r) for r in (l2, adamw)]
    note = (
        f"At the end {percent(silent[1])} of AdamW's coordinates and {percent(silent[0])} of Adam-ℓ2's "
        "move by less than 2⁻¹⁶ α, as a coordinate does whose gradient has long been zero (a dead "
        "unit); in Adam-ℓ2 λx would keep such a coordinate moving."
    )
    verdict = Verdict.HOLDS if share >= 0.9 else Verdict.FAILS
    return Claim("§4.1, Fig. 3", statement, measured, bar, verdict, note)


def _silent(record) -> float:
    """Share of coordinates whose last recorded update is below 2⁻¹⁶ α."""
    counts = np.asarray(record["update_histogram"][-1])
    return float(counts[: -16 - LOWEST_LOG2].sum() / counts.sum())


EXPERIMENT = Experiment(
    name="fig03",
    title="Figure 3 · A deep network without BatchNorm",
    claim="Without BatchNorm AdamW reaches a lower error than Adam-ℓ2, with less dispersed updates.",
    cost={"smoke": "30 s", "demo": "80 s"},
    cells=cells,
    figures=plot,
    claims=judge,
)
