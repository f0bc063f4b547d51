"""Data of heatmaps of test errors over (λ, α), and their drawing with Matplotlib."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from adamprox.report.claims import best, compact
from adamprox.sweep.record import Record

_UPRIGHT = 8
"""Largest number of columns whose labels fit side by side."""
_DIGITS = 9.0
"""Size of the digits in points, which is 9 px for a figure of `WIDEST` inches at 736 px."""
_LETTER = 0.095
"""Width of a letter of a title, in inches."""
WIDEST = 10.0
"""Largest width of a figure, in inches."""


class Heatmap(NamedTuple):
    """Runs of one method on its grid.

    Attributes:
      title: Name of the method.
      records: Records of the grid, at most one for each (α, λ).
      repeated: Records of grid points that ran with several seeds, the first seed included.
    """

    title: str
    records: Sequence[Record]
    repeated: Sequence[Record] = ()


class Heatmaps(NamedTuple):
    """Heatmaps with common axes and colors.

    Attributes:
      rows: Rows of heatmaps; none is empty.
      learning_rates: Values of α in increasing order.
      weight_decays: Values of λ in increasing order.
      limits: Errors in percent at the two ends of the color scale.
    """

    rows: Sequence[Sequence[Heatmap]]
    learning_rates: Sequence[float]
    weight_decays: Sequence[float]
    limits: tuple[float, float]

    @classmethod
    def of(cls, rows: Sequence[Sequence[Heatmap]]) -> "Heatmaps | None":
        """Return the heatmaps with records, with common axes; None if there are no records."""
        kept = [found for row in rows if (found := [m for m in row if m.records])]
        records = [record for row in kept for heatmap in row for record in heatmap.records]
        if not records:
            return None
        alphas, decays = (
            sorted({r[axis] for r in records}) for axis in ("learning_rate", "weight_decay")
        )
        return cls(kept, alphas, decays, error_limits(records))


def error_limits(records: Sequence[Record]) -> tuple[float, float]:
    """Return the ends of a color scale in percent: the lowest error, and 90 or the highest.

    With ten classes chance level is 90 %.
    """
    errors = [100 * r["final_test_error"] for r in records if r["final_test_error"] is not None]
    return max(min(errors, default=1.0), 0.1), max([90.0, *errors])


def figure_size(heatmaps: Heatmaps) -> tuple[float, float]:
    """Return the width and height in inches that the tiles and their titles need."""
    title = max(len(heatmap.title) for row in heatmaps.rows for heatmap in row)
    column = max(0.52 * (len(heatmaps.weight_decays) + 0.5), _LETTER * title)
    width = max(0.8 + column * max(map(len, heatmaps.rows)), 3.6)
    height = 0.4 + 0.36 * max(len(heatmaps.learning_rates), 2)
    return min(width, WIDEST), 0.6 + height * len(heatmaps.rows)


def draw_all(axes: np.ndarray, heatmaps: Heatmaps) -> None:
    """Draw all heatmaps on a grid of axes; only the outer ones get labels."""
    for row, panels in zip(heatmaps.rows, axes, strict=True):
        for heatmap, ax in zip(row, panels, strict=False):
            _draw(ax, heatmap, heatmaps)
        for ax in panels[len(row) :]:
            ax.remove()
        for ax in panels[1 : len(row)]:
            ax.set_yticks([])
        panels[0].set_ylabel("learning rate α")
    for column in range(axes.shape[1]):
        *upper, lowest = (ax for ax in axes[:, column] if ax.figure is not None)
        lowest.set_xlabel("weight decay λ (per step)")
        for ax in upper:
            ax.set_xticks([])


def _draw(axes: Axes, heatmap: Heatmap, common: Heatmaps) -> None:
    """Draw the errors in percent, a tile for each grid point, on a logarithmic color scale.

    A ring marks the lowest error and hatching marks runs that diverged. Grid points without a
    run stay empty.
    """
    alphas, decays = common.learning_rates, common.weight_decays
    grid = np.full((len(alphas), len(decays)), np.nan)
    for record in heatmap.records:
        at = alphas.index(record["learning_rate"]), decays.index(record["weight_decay"])
        if record["final_test_error"] is None:
            _hatch(axes, *at)
        else:
            grid[at] = 100 * record["final_test_error"]
    image = axes.imshow(
        grid, cmap="viridis", norm=LogNorm(*common.limits), origin="lower", aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            dark = float(image.norm(value)) < 0.6  # pyright: ignore[reportArgumentType]
            axes.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize=_DIGITS,
                color="white" if dark else "#222222",
            )  # fmt: skip
    winner = best(heatmap.records)
    if winner is not None:
        _ring(axes, alphas.index(winner["learning_rate"]), decays.index(winner["weight_decay"]))
    axes.set(title=heatmap.title, facecolor="#f1f1ee")
    axes.set_xticks(range(len(decays)), [compact(v) for v in decays])
    if len(decays) > _UPRIGHT:
        axes.tick_params(axis="x", rotation=45)
    axes.set_yticks(range(len(alphas)), [compact(v) for v in alphas])
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


def _ring(axes: Axes, row: int, column: int) -> None:
    """Draw a ring as a marker, which stays round on tiles of any aspect."""
    axes.plot(
        [column], [row], marker="o", markersize=24, markerfacecolor="none", markeredgecolor="#e4572e",
        markeredgewidth=2.0, clip_on=False,
    )  # fmt: skip
