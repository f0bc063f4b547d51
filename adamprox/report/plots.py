"""The plots that several figures share, drawn from records with Matplotlib's object interface."""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogFormatter

from adamprox.histograms import LOWEST_LOG2, NUM_BINS, log2_spread
from adamprox.report.claims import best, compact
from adamprox.sweep.results import Record

COLORS = {
    "adam_l2": "#c2543c",
    "adamw": "#2a6f97",
    "adamprox": "#3a8f6b",
    "adamprox_l2": "#7a5195",
    "adamprox_l1": "#b8860b",
    "proxgen": "#8c564b",
    "scale_free_adam_l2": "#4c78a8",
    "adamprox_group": "#d17c1f",
    "sgd": "#6c757d",
    "gd": "#6c757d",
}
LABELS = {
    "adam_l2": "Adam-ℓ2",
    "adamw": "AdamW",
    "adamprox": "AdamProx",
    "adamprox_l2": "AdamProxL2",
    "adamprox_l1": "AdamProxL1",
    "proxgen": "ProxGen",
    "scale_free_adam_l2": "Scale-free Adam-ℓ2",
    "adamprox_group": "AdamProx on channels",
    "sgd": "SGD with momentum",
    "gd": "Gradient descent",
}
_UPRIGHT = 8
"""Labels of columns that have room side by side."""
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#888888",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "hatch.linewidth": 0.8,
}


class Figure(NamedTuple):
    """A drawn figure and what to look at in it.

    Attributes:
      name: File name without its suffix.
      title: A headline.
      caption: One to three sentences that say what to look at.
      canvas: The Matplotlib figure.
    """

    name: str
    title: str
    caption: str
    canvas: Canvas


def canvas(
    rows: int, columns: int, width: float, height: float, **kwargs
) -> tuple[Canvas, np.ndarray]:
    """A figure with a grid of axes, always a 2-D array."""
    figure = Canvas(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def style() -> contextlib.AbstractContextManager[None]:
    """The house style: draw and save figures inside ``with style():``."""
    return matplotlib.rc_context(_STYLE)


def heatmap(
    axes: Axes,
    records: Sequence[Record],
    learning_rates: Sequence[float],
    weight_decays: Sequence[float],
    limits: tuple[float, float],
) -> None:
    """Final test error in percent over (λ, α), one flat tile a cell, on a log color scale.

    The best cell is circled, diverged cells are hatched, cells that were not run are left empty.

    Args:
      axes: Where to draw.
      records: At most one a cell.
      learning_rates: The rows, from the bottom.
      weight_decays: The columns, from the left.
      limits: Errors in percent at the two ends of the color scale.
    """
    grid = np.full((len(learning_rates), len(weight_decays)), np.nan)
    place = {}
    for record in records:
        at = (
            learning_rates.index(record["learning_rate"]),
            weight_decays.index(record["weight_decay"]),
        )
        place[record["key"]] = at
        if record["final_test_error"] is None:
            _hatch(axes, *at)
        else:
            grid[at] = 100 * record["final_test_error"]
    image = axes.imshow(
        grid, cmap="viridis", norm=LogNorm(*limits), origin="lower", aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            dark = float(image.norm(value)) < 0.6  # pyright: ignore[reportArgumentType]
            axes.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize=8.5,
                color="white" if dark else "#222222",
            )  # fmt: skip
    winner = best(list(records))
    if winner is not None:
        row, column = place[winner["key"]]
        _circle(axes, row, column)
    axes.set_facecolor("#f1f1ee")
    axes.set_xticks(range(len(weight_decays)), [compact(v) for v in weight_decays])
    if len(weight_decays) > _UPRIGHT:
        axes.tick_params(axis="x", rotation=45)
    axes.set_yticks(range(len(learning_rates)), [compact(v) for v in learning_rates])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _hatch(axes: Axes, row: int, column: int) -> None:
    axes.add_patch(
        Rectangle(
            (column - 0.5, row - 0.5), 1, 1, facecolor="#ffffff", edgecolor="#b23a2e", hatch="////",
            linewidth=0,
        )
    )  # fmt: skip


def _circle(axes: Axes, row: int, column: int) -> None:
    """A ring that stays round whatever the aspect of the tiles: drawn as a large marker."""
    axes.plot(
        [column], [row], marker="o", markersize=27, markerfacecolor="none", markeredgecolor="#e4572e",
        markeredgewidth=2.2,
    )  # fmt: skip


def error_limits(records: Sequence[Record]) -> tuple[float, float]:
    """Ends of a shared color scale: the lowest error of all, and 90 % or the highest.

    90 % is chance on ten classes.
    """
    errors = [100 * r["final_test_error"] for r in records if r["final_test_error"] is not None]
    return max(min(errors, default=1.0), 0.1), max([90.0, *errors])


def plain_ticks(*logarithmic: Axis) -> None:
    """Label axes with 60 and 70, not with 6 × 10¹ and 7 × 10¹, where there is room between the tens."""
    for axis in logarithmic:
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(LogFormatter())


def label_grid(axes: np.ndarray) -> None:
    """λ under the bottom row, α at the left column."""
    for ax in axes[-1]:
        ax.set_xlabel("weight decay λ (per step)")
    for ax in axes[:, 0]:
        ax.set_ylabel("learning rate α")


def curves(loss_axes: Axes, error_axes: Axes, record: Record) -> None:
    """Training loss (log) and test error in percent against the epoch, of one cell."""
    name = record["optimizer"]
    label = f"{LABELS[name]}, α = {compact(record['learning_rate'])}, λ = {compact(record['weight_decay'])}"
    loss_axes.semilogy(record["epoch"], record["train_loss"], color=COLORS[name], label=label)
    visited = [
        (e, 100 * t)
        for e, t in zip(record["epoch"], record["test_error"], strict=True)
        if t is not None
    ]
    error_axes.plot(
        *zip(*visited, strict=True), color=COLORS[name], marker="o", ms=3.5, label=label
    )
    loss_axes.set(xlabel="epoch", title="training loss (mean over the epoch)")
    error_axes.set(xlabel="epoch", ylabel="%", title="test error")


def spread_through_training(record: Record) -> list[float]:
    """The 10–90 % spread of each epoch's update histogram, in powers of two."""
    return [float(log2_spread(np.asarray(counts))) for counts in record["update_histogram"]]


def histogram(axes: Axes, record: Record) -> None:
    """Share of coordinates by log2 |update|/α through training, early epochs pale, the last bold."""
    name = record["optimizer"]
    edges = LOWEST_LOG2 + np.arange(NUM_BINS + 1)
    counts = np.asarray(record["update_histogram"], float)
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    # The very first step is ±α everywhere; drawing it would flatten all others.
    first = min(1, len(shares) - 1)
    shown = np.unique(np.linspace(first, len(shares) - 1, 5).round().astype(int))
    for rank, epoch in enumerate(shown):
        last = epoch == shown[-1]
        axes.stairs(
            shares[epoch], edges, color=COLORS[name],
            alpha=1.0 if last else 0.18 + 0.12 * rank, linewidth=2 if last else 1.2, fill=False,
        )  # fmt: skip
    axes.stairs(shares[-1], edges, color=COLORS[name], alpha=0.12, fill=True)
    spread = spread_through_training(record)[-1]
    axes.set_title(
        f"{LABELS[name]}, α = {compact(record['learning_rate'])}, λ = {compact(record['weight_decay'])}"
    )
    axes.text(
        0.03, 0.95, f"10–90 % spread\nat the end: {spread:.1f} powers of two", transform=axes.transAxes,
        va="top", color="#444444",
    )  # fmt: skip
    axes.set_xlabel("log2 |update| / α")
    axes.set_xlim(LOWEST_LOG2, LOWEST_LOG2 + NUM_BINS)
