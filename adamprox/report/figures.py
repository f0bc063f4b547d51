"""Figures of tuned methods that several experiments share."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from adamprox.report.heatmaps import Heatmap
from adamprox.report.plots import (
    Figure,
    canvas,
    curves,
    distinct_labels,
    heatmap_figure,
    histogram,
)
from adamprox.sweep import Record


class TunedMethod(Protocol):
    """Method with the records of its grid.

    Attributes:
      tried: Records of its grid.
      seeds: Records of the best grid point.
      best: Record of the best run; None without one.
    """

    tried: list[Record]
    seeds: list[Record]
    best: Record | None

    @property
    def name(self) -> str:
        """Name of the method."""
        ...


def heatmaps(
    rows: Sequence[Sequence[TunedMethod]], file: str, title: str, caption: str
) -> list[Figure]:
    """Return a figure of heatmaps, one per method with records; [] without records."""
    found = [[Heatmap(m.name, m.tried, m.seeds) for m in row] for row in rows]
    return heatmap_figure(file, title, caption, found)


def best_curves(methods: Sequence[TunedMethod], file: str) -> list[Figure]:
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


def best_histograms(methods: Sequence[TunedMethod], file: str, title: str) -> list[Figure]:
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
    rows: Mapping[str, Sequence[TunedMethod]], titles: Mapping[str, str], prefix: str, caption: str
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
