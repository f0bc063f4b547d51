"""Cells and figures that experiments on tuned optimizers share."""

from collections.abc import Sequence

from adamprox.report import Figure
from adamprox.report.heatmaps import Heatmap
from adamprox.report.plots import LABELS, canvas, curves, heatmap_figure, histogram
from adamprox.sweep import Cell, Record
from experiments.arm import Arm
from experiments.protocol import Protocol

Rows = Sequence[Sequence[Arm]]


def cells(arms: Sequence[Arm], protocol: Protocol, records: Sequence[Record]) -> list[Cell]:
    """What the arms need, given what they have."""
    return [cell for arm in arms for cell in arm.cells(protocol, records)]


def name(arm: Arm) -> str:
    """What a figure calls an arm."""
    return arm.label or LABELS[arm.optimizer]


def heatmaps(
    protocol: Protocol, rows: Rows, records: Sequence[Record], file: str, title: str, caption: str
) -> list[Figure]:
    """Return a figure of heatmaps, one for each method that has records; nothing if none has."""
    found = [
        [
            Heatmap(name(arm), arm.tuned(protocol, records), arm.runs(protocol, records))
            for arm in row
        ]
        for row in rows
    ]
    return heatmap_figure(file, title, caption, found)


def best_curves(
    protocol: Protocol, arms: Sequence[Arm], records: Sequence[Record], file: str
) -> list[Figure]:
    """Training loss and test error of the best cell of each arm; none if all diverged."""
    winners = [winner for arm in arms if (winner := arm.best(protocol, records))]
    if not winners:
        return []
    figure, axes = canvas(1, 2, 10, 3.4)
    for record in winners:
        curves(axes[0, 0], axes[0, 1], record)
    axes[0, 0].legend()
    caption = (
        "Training loss on the left, test error on the right: what regularization costs and brings."
    )
    return [Figure(file, "The best cell of each.", caption, figure)]


def best_histograms(
    protocol: Protocol, arms: Sequence[Arm], records: Sequence[Record], file: str, title: str
) -> list[Figure]:
    """The updates through training of the best cell of each arm; none if all diverged."""
    winners = [winner for arm in arms if (winner := arm.best(protocol, records))]
    if not winners:
        return []
    figure, axes = canvas(1, len(winners), 4 * len(winners), 3.2, sharey=True)
    for ax, record in zip(axes[0], winners, strict=True):
        histogram(ax, record)
    axes[0, 0].set_ylabel("share of coordinates, %")
    caption = (
        "|update|/α of every coordinate at the first step of an epoch, from early (pale) to last "
        "(filled). The decay of AdamW and AdamProx is left out, Adam-ℓ2 has λx in the gradient by "
        "construction. A narrow hump means that all coordinates move at one pace."
    )
    return [Figure(file, title, caption, figure)]
