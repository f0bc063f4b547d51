"""Figures of tuned methods that several experiments share."""

from collections.abc import Mapping, Sequence

from adamprox.report.claims import compact
from adamprox.report.heatmaps import Heatmap
from adamprox.report.plots import (
    COLORS,
    LABELS,
    Figure,
    canvas,
    curves,
    distinct_labels,
    heatmap_figure,
    histogram,
)
from experiments.claims import learned
from experiments.claims.spread import mean_spread
from experiments.tuning import Tuned


def heatmaps(rows: Sequence[Sequence[Tuned]], file: str, title: str, caption: str) -> list[Figure]:
    """Return a figure of heatmaps, one per method with records; [] without records."""
    found = [[Heatmap(m.name, m.tried, m.seeds) for m in row] for row in rows]
    return heatmap_figure(file, title, caption, found)


def best_curves(methods: Sequence[Tuned], file: str) -> list[Figure]:
    """Return a figure of training loss and test error of the best runs; [] if all diverged."""
    winners = [method.best for method in methods if method.best]
    if not winners:
        return []
    figure, axes = canvas(1, 2, 10, 3.4)
    labels = distinct_labels(record.optimizer for record in winners)
    for record in winners:
        curves(axes[0, 0], axes[0, 1], record, labels[record.optimizer])
    axes[0, 0].legend()
    caption = "Training loss on the left, test error on the right, of the best run of each method."
    return [Figure(file, "Learning curves of the best runs.", caption, figure)]


def best_histograms(methods: Sequence[Tuned], file: str, title: str) -> list[Figure]:
    """Return a figure of update histograms of the best runs; [] if all diverged."""
    winners = [method.best for method in methods if method.best]
    if not winners:
        return []
    figure, axes = canvas(1, len(winners), 4 * len(winners), 3.2, sharey=True)
    labels = distinct_labels(record.optimizer for record in winners)
    for ax, record in zip(axes[0], winners, strict=True):
        histogram(ax, record, labels[record.optimizer])
    axes[0, 0].set_ylabel("share of coordinates, %")
    caption = (
        "|update|/α of every coordinate at the first step of an epoch, from early epochs (pale) to the last "
        "(filled). AdamW's and AdamProx's decay is left out; Adam-ℓ2's is part of its gradient. In a narrow "
        "peak all coordinates move by similar amounts."
    )
    return [Figure(file, title, caption, figure)]


def by_network(
    rows: Mapping[str, Sequence[Tuned]], titles: Mapping[str, str], prefix: str, caption: str
) -> list[Figure]:
    """Return heatmaps, and curves and histograms of the best runs, of the methods on each network.

    Args:
      rows: Methods by the name of their network.
      titles: Titles of the heatmaps by the name of the network.
      prefix: First part of the file names.
      caption: Caption of the heatmaps.
    """
    drawn = []
    for name, methods in rows.items():
        file = f"{prefix}_{name.lower().replace('-', '_')}"
        drawn += [
            *heatmaps([methods], f"{file}_heatmaps", titles[name], caption),
            *best_curves(methods, f"{file}_curves"),
            *best_histograms(methods, f"{file}_histograms", "Magnitudes of the updates."),
        ]
    return drawn


def spread_against_decay(methods: Sequence[Tuned], file: str) -> list[Figure]:
    """Return a figure of the spread against λ, one panel per α; [] without records."""
    found = {
        (method, r.learning_rate, r.weight_decay): mean_spread(r)
        for method in methods
        for r in method.tried
        if learned(r)
    }
    alphas, decays = (
        sorted(set(values)) for values in ([at[1] for at in found], [at[2] for at in found])
    )
    if not found:
        return []
    figure, axes = canvas(1, len(alphas), 1 + 2.8 * len(alphas), 3.2, sharey=True)
    for ax, alpha in zip(axes[0], alphas, strict=True):
        for method in methods:
            own = [(i, found.get((method, alpha, decay))) for i, decay in enumerate(decays)]
            own = [(i, spread) for i, spread in own if spread is not None]
            if own:
                style = {"color": COLORS[method.optimizer], "label": LABELS[method.optimizer]}
                ax.plot(*zip(*own, strict=True), "o-", **style)
        ax.set(title=f"α = {compact(alpha)}", xlabel="λ")
        ax.set_xticks(range(len(decays)), [compact(v) for v in decays], rotation=90)
    axes[0, 0].set(ylabel="powers of two", ylim=(0, None))
    axes[0, len(alphas) // 2].legend()
    caption = (
        "Distance between the 10th and the 90th percentile of log2 |update|/α, averaged over the second "
        "half of the epochs. At λ = 0 both are Adam. Networks that are no better than chance are left out."
    )
    return [Figure(file, "Spread of update magnitudes at equal α and λ.", caption, figure)]
