"""Plots that several figures share, drawn from records with Matplotlib's object interface."""

import contextlib
import io
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogFormatter

from adamprox.histograms import LOWEST_LOG2, NUM_BINS, log2_spread
from adamprox.report.claims import compact
from adamprox.report.heatmaps import Heatmap, Heatmaps, draw_all, figure_size
from adamprox.sweep.record import Record


class _Colors(dict[str, str]):
    """Colors by optimizer; those of other optimizers follow from their names."""

    def __missing__(self, optimizer: str) -> str:
        return _OTHER_COLORS[zlib.crc32(optimizer.encode()) % len(_OTHER_COLORS)]


class _Labels(dict[str, str]):
    """Names of optimizers in figures; an imported optimizer has the name of its function."""

    def __missing__(self, optimizer: str) -> str:
        return optimizer.partition(":")[2].partition("#")[0] or optimizer


def distinct_labels(optimizers: Iterable[str]) -> dict[str, str]:
    """Return names in one figure by optimizer; where two would be equal, imported ones have their module.

    Example:
      >>> distinct_labels(["mine:make_tx#0123456789ab", "other:make_tx#0123456789ab", "adamw"]).values()
      dict_values(['mine:make_tx', 'other:make_tx', 'AdamW'])
    """
    names = list(dict.fromkeys(optimizers))
    labels = [LABELS[name] for name in names]
    clash = {label for label in labels if labels.count(label) > 1}
    return {
        name: name.partition("#")[0] if label in clash and ":" in name else label
        for name, label in zip(names, labels, strict=True)
    }


_OTHER_COLORS = ("#b5179e", "#00838f", "#6a994e")
COLORS = _Colors(
    {
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
)
LABELS = _Labels(
    {
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
)
HIGHEST_LOSS = 10.0
"""Upper end of a loss axis in nats: 4.3 times the loss at chance level with 10 classes."""
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
    "svg.hashsalt": "adamprox",
    "hatch.linewidth": 0.8,
}


class Figure(NamedTuple):
    """A drawn figure with its caption.

    Attributes:
      name: File name without its suffix.
      title: Headline of the figure.
      caption: One to three sentences that describe it.
      canvas: Matplotlib figure, written to the files.
      heatmaps: Data of the tiles, from which the page draws tables; None for other figures.
    """

    name: str
    title: str
    caption: str
    canvas: Canvas
    heatmaps: Heatmaps | None = None

    def _repr_png_(self) -> bytes:
        """Return the picture, which Jupyter shows."""
        buffer = io.BytesIO()
        self.canvas.savefig(buffer, format="png")
        return buffer.getvalue()


def canvas(
    rows: int, columns: int, width: float, height: float, **kwargs
) -> tuple[Canvas, np.ndarray]:
    """Return a figure with a grid of axes, always a 2-D array."""
    figure = Canvas(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def style() -> contextlib.AbstractContextManager[None]:
    """Return the common style: draw and save figures inside ``with style():``."""
    return matplotlib.rc_context(_STYLE)


def heatmap_figure(
    name: str, title: str, caption: str, rows: Sequence[Sequence[Heatmap]]
) -> list[Figure]:
    """Return a figure of heatmaps with common axes and colors, [] if there are no records.

    Args:
      name: File name without its suffix.
      title: Headline of the figure.
      caption: Text under the figure.
      rows: Rows of heatmaps; those without records are not drawn.
    """
    heatmaps = Heatmaps.of(rows)
    if heatmaps is None:
        return []
    size = figure_size(heatmaps)
    figure, axes = canvas(len(heatmaps.rows), max(map(len, heatmaps.rows)), *size)
    draw_all(axes, heatmaps)
    return [Figure(name, title, caption, figure, heatmaps)]


def plain_ticks(*logarithmic: Axis) -> None:
    """Label logarithmic axes with 60 and 70 instead of 6 × 10¹ and 7 × 10¹."""
    for axis in logarithmic:
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.4)))


def curves(loss_axes: Axes, error_axes: Axes, record: Record, name: str = "") -> None:
    """Draw training loss (log) and test error in percent of one run against the epoch.

    The loss axis ends at `HIGHEST_LOSS`; the title of a cut axis says so. The curve is labelled with
    ``name``, by default the optimizer's.
    """
    color, label = COLORS[record["optimizer"]], _described(record, name)
    loss_axes.autoscale(axis="y")
    loss_axes.semilogy(record["epoch"], record["train_loss"], color=color, label=label)
    visited = [
        (e, 100 * t)
        for e, t in zip(record["epoch"], record["test_error"], strict=True)
        if t is not None
    ]
    error_axes.plot(*zip(*visited, strict=True), color=color, marker="o", ms=3.5, label=label)
    title = "training loss (mean over the epoch)"
    if loss_axes.get_ylim()[1] > HIGHEST_LOSS:
        loss_axes.set_ylim(top=HIGHEST_LOSS)
        title += f", cut off above {HIGHEST_LOSS:g}"
    plain_ticks(loss_axes.yaxis)
    loss_axes.set(xlabel="epoch", title=title)
    error_axes.set(xlabel="epoch", ylabel="%", title="test error")


def _described(record: Record, name: str) -> str:
    """Return the optimizer of a run, or ``name``, with its α and λ."""
    alpha, decay = compact(record["learning_rate"]), compact(record["weight_decay"])
    return f"{name or LABELS[record['optimizer']]}, α = {alpha}, λ = {decay}"


def spread_through_training(record: Record) -> np.ndarray:
    """Return the 10–90 % spread of each epoch's update histogram, in powers of two."""
    spreads = [float(log2_spread(np.asarray(counts))) for counts in record["update_histogram"]]
    return np.array(spreads)


def histogram(axes: Axes, record: Record, name: str = "") -> None:
    """Draw the share of coordinates by log2 |update|/α, early epochs pale, the last bold.

    The title has ``name``, by default the optimizer's.
    """
    color = COLORS[record["optimizer"]]
    edges = LOWEST_LOG2 + np.arange(NUM_BINS + 1)
    counts = np.asarray(record["update_histogram"], float)
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    # At the first step every update is ±α; that single bin would dwarf all others.
    first = min(1, len(shares) - 1)
    shown = np.unique(np.linspace(first, len(shares) - 1, 5).round().astype(int))
    for rank, epoch in enumerate(shown):
        last = epoch == shown[-1]
        axes.stairs(
            shares[epoch], edges, color=color,
            alpha=1.0 if last else 0.18 + 0.12 * rank, linewidth=2 if last else 1.2, fill=False,
        )  # fmt: skip
    axes.stairs(shares[-1], edges, color=color, alpha=0.12, fill=True)
    spread = spread_through_training(record)[-1]
    axes.set_title(_described(record, name))
    axes.text(
        0.03, 0.95, f"10–90 % spread\nat the end: {spread:.1f} powers of two", transform=axes.transAxes,
        va="top", color="#444444", bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1},
    )  # fmt: skip
    axes.set_xlabel("log2 |update| / α")
    axes.set_xlim(LOWEST_LOG2, LOWEST_LOG2 + NUM_BINS)
