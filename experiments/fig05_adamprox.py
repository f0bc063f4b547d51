"""Fig. 5: AdamProx and AdamW are the same optimizer, to first order.

Claim (§4.3, Fig. 5): AdamProx performs like AdamW, cell by cell.
Command: python -m experiments fig05 --preset demo
Cost: 55 s at demo on two CPU cores (all its cells are those of fig03).
Expect: differences of the size of the test set's noise, except where λ is so large that training fails.
"""

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import compact, noise, percent, untested
from adamprox.report.plots import LABELS, canvas, error_limits, heatmap
from experiments.experiment import Experiment
from experiments.protocol import Protocol

OPTIMIZERS = ("adamw", "adamprox")


def cells(protocol: Protocol):
    """Both grids."""
    return [cell for name in OPTIMIZERS for cell in protocol.grid(name)]


def pairs(records):
    """(AdamW, AdamProx) records of equal (α, λ), where both finished."""
    half = len(records) // 2
    both = zip(records[:half], records[half:], strict=True)
    return [(w, p) for w, p in both if None not in (w["final_test_error"], p["final_test_error"])]


def plot(protocol: Protocol, records) -> list[Figure]:
    """Two heatmaps, and one optimizer's error against the other's."""
    figure, axes = canvas(1, 3, 12, 3.4)
    limits, half = error_limits(records), len(records) // 2
    for ax, name, grid in zip(axes[0], OPTIMIZERS, (records[:half], records[half:]), strict=False):
        heatmap(ax, grid, protocol.learning_rates, protocol.weight_decays, limits)
        ax.set(title=LABELS[name], xlabel="weight decay λ (per step)", ylabel="learning rate α")
    ax = axes[0, 2]
    errors = 100 * np.array([[r["final_test_error"] for r in pair] for pair in pairs(records)])
    ax.loglog([limits[0], 95], [limits[0], 95], color="#bbbbbb", lw=1, zorder=0)
    if errors.size:
        ax.loglog(*errors.T, "o", color="#3a8f6b", ms=6, alpha=0.8)
    ax.set(title="test error, %", xlabel="AdamW", ylabel="AdamProx")
    caption = (
        "The same cells for both. In the scatter plot every cell is a dot; on the diagonal the two "
        "agree."
    )
    return [Figure("fig05_adamprox", "Decay the weights, or minimize?", caption, figure)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Cell by cell within noise, among the cells that train."""
    statement = "AdamProx performs like AdamW, cell by cell."
    bar = "within two standard errors in at least 90 % of the cells that train (error below 50 %)"
    found = [pair for pair in pairs(records) if min(r["final_test_error"] for r in pair) < 0.5]
    if reason := untested(protocol.preset, *found[:1] or [None]):
        return [Claim("§4.3, Fig. 5", statement, "—", bar, Verdict.NOT_TESTED, reason)]
    gaps = np.array([_gap(pair) for pair in found])
    close = np.array([abs(gap) <= noise(*pair) for gap, pair in zip(gaps, found, strict=True)])
    measured = f"{close.sum()} of {close.size} cells; median difference {percent(float(np.median(abs(gaps))))}"
    verdict = Verdict.HOLDS if close.mean() >= 0.9 else Verdict.FAILS
    far = [pair for pair in pairs(records) if abs(_gap(pair)) > noise(*pair)]
    note = "Beyond noise, of all cells: " + "; ".join(map(_describe, far)) + "." if far else ""
    return [Claim("§4.3, Fig. 5", statement, measured, bar, verdict, note)]


def _gap(pair) -> float:
    return pair[1]["final_test_error"] - pair[0]["final_test_error"]


def _describe(pair) -> str:
    w, p = pair
    errors = f"{percent(w['final_test_error'])} and {percent(p['final_test_error'])}"
    return f"({compact(w['learning_rate'])}, {compact(w['weight_decay'])}) with {errors}"


EXPERIMENT = Experiment(
    name="fig05",
    title="Figure 5 · AdamProx",
    claim="AdamProx performs like AdamW.",
    cost={"smoke": "30 s", "demo": "55 s"},
    cells=cells,
    figures=plot,
    claims=judge,
)
