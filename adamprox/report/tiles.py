"""Heatmaps as HTML tables; every tile contains the data of its run."""

import html
import json
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm, to_hex

from adamprox.histograms import log2_spread
from adamprox.report.claims import best, compact, estimate, percent
from adamprox.report.heatmaps import Heatmap, Heatmaps
from adamprox.sweep.record import Record

_POINTS = 40
"""Largest number of points of a learning curve."""


def tables(heatmaps: Heatmaps) -> str:
    """Return the heatmaps as HTML tables, one per method, in the rows of the figure."""
    columns = len(heatmaps.weight_decays)
    widths = f"--wide:{2.5 + 1.55 * columns:.1f}rem;--least:{2.4 + 1.5 * columns:.1f}rem"
    many = " many" if columns > 7 else ""  # labels are then upright
    rows = ("".join(_table(heatmap, heatmaps) for heatmap in row) for row in heatmaps.rows)
    return "".join(f'<div class="row{many}" style="{widths}">{row}</div>' for row in rows)


def _table(heatmap: Heatmap, common: Heatmaps) -> str:
    at = {(r["learning_rate"], r["weight_decay"]): r for r in heatmap.records}
    winner = best(heatmap.records)
    focus = winner or heatmap.records[0]
    body = ""
    for alpha in reversed(common.learning_rates):
        tiles = (
            _tile(at.get((alpha, decay)), heatmap, common.limits, winner, focus)
            for decay in common.weight_decays
        )
        body += f'<tr><th scope="row">{compact(alpha)}</th>{"".join(tiles)}</tr>'
    decays = "".join(f'<th scope="col">{compact(v)}</th>' for v in common.weight_decays)
    return (
        f'<div class="map"><table><caption>{html.escape(heatmap.title)}</caption><tbody>{body}'
        f'<tr><th scope="row">α \\ λ</th>{decays}</tr></tbody></table></div>'
    )


def _tile(
    record: Record | None,
    heatmap: Heatmap,
    limits: tuple[float, float],
    winner: Record | None,
    focus: Record,
) -> str:
    """Return one tile; in each table the Tab key stops only at the tile of ``focus``."""
    if record is None:
        return "<td></td>"
    data = json.dumps(_data(record, heatmap), ensure_ascii=False, separators=(",", ":"))
    stop = 0 if record is focus else -1
    rest = f'tabindex="{stop}" data-t="{html.escape(data)}"'
    error = record["final_test_error"]
    if error is None:
        return f'<td class="lost" {rest}>div</td>'
    place = float(np.clip(LogNorm(*limits)(100 * error), 0, 1))
    color = to_hex(matplotlib.colormaps["viridis"](place))
    names = " ".join(
        name for name, holds in (("dark", place < 0.6), ("best", record is winner)) if holds
    )
    shown = f'class="{names}" ' if names else ""
    return f'<td {shown}style="background:{color}" {rest}>{100 * error:.1f}</td>'


def _data(record: Record, heatmap: Heatmap) -> dict[str, Any]:
    """Return error, seeds, spread of updates and learning curve of a run for the page."""
    point = record["learning_rate"], record["weight_decay"]
    runs = [r for r in heatmap.repeated if (r["learning_rate"], r["weight_decay"]) == point]
    error = record["final_test_error"]
    data = {
        "e": None if error is None else percent(error),
        "n": f"mean of its seeds: {estimate(runs)}" if len(runs) > 1 else "1 seed",
        "s": _spread(record),
        "c": _curve(record),
    }
    return {name: value for name, value in data.items() if value}


def _spread(record: Record) -> str:
    """Return the spread of updates in the last epoch, in powers of two; empty if unknown."""
    histograms = record.get("update_histogram")
    if not histograms or not sum(histograms[-1]):
        return ""
    return f"{float(log2_spread(np.asarray(histograms[-1]))):.1f}"


def _curve(record: Record) -> str:
    """Return test errors as ``epoch:error`` in tenths of a percent, at most 40 of them."""
    epochs, errors = record.get("epoch") or (), record.get("test_error") or ()
    known = [(e, t) for e, t in zip(epochs, errors, strict=True) if t is not None]
    return " ".join(f"{epoch}:{1000 * error:.0f}" for epoch, error in _thinned(known))


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    if len(points) <= _POINTS:
        return list(points)
    chosen = np.linspace(0, len(points) - 1, _POINTS).round().astype(int)
    return [points[i] for i in chosen]
