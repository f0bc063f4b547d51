"""Fig. 5: AdamProx and AdamW are the same optimizer, to first order.

Claim (§4.3, Fig. 5): AdamProx performs like AdamW, cell by cell.
Command: python -m experiments fig05 --preset demo
Cost: 55 s at demo on two CPU cores (all its cells are those of fig03).
Expect: differences of the size of the test set's noise, except where λ is so large that training fails.
"""

from collections.abc import Sequence

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import compact, noise, percent, untested
from adamprox.report.heatmaps import error_limits
from adamprox.report.plots import LABELS, canvas, plain_ticks
from experiments import comparison, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

OPTIMIZERS = ("adamw", "adamprox")


def rows(protocol: Protocol) -> dict[str, list[Arm]]:
    """The deep network and, where the preset has one, a DenseNet for a third of the epochs."""
    deep = [Arm(n, options=protocol.deep, grid=protocol.deep_grid(n)) for n in OPTIMIZERS]
    if "DenseNet" not in protocol.networks:
        return {"": deep}
    third = max(1, protocol.training["epochs"] // 3)
    options = {**protocol.networks["DenseNet"], "epochs": third}
    dense = [Arm(n, options=options, label=f"{LABELS[n]}, DenseNet") for n in OPTIMIZERS]
    return {"": deep, "DenseNet: ": dense}


def cells(protocol: Protocol, records=()):
    """Both grids of every network."""
    return comparison.cells([a for row in rows(protocol).values() for a in row], protocol, records)


def pairs(protocol: Protocol, arms: Sequence[Arm], records):
    """(AdamW, AdamProx) records of equal α and λ, where both finished."""
    first, second = (
        {
            (r["learning_rate"], r["weight_decay"]): r
            for r in arm.tuned(protocol, records)
            if r["final_test_error"] is not None
        }
        for arm in arms
    )
    return [(first[at], second[at]) for at in first if at in second]


def plot(protocol: Protocol, records) -> list[Figure]:
    """Two heatmaps, and one optimizer's error against the other's."""
    caption = "Final test error in percent of the same cells, the best ringed."
    maps = comparison.heatmaps(
        protocol,
        list(rows(protocol).values()),
        records,
        "fig05_heatmaps",
        "Decay the weights, or minimize?",
        caption,
    )
    figure, axes = canvas(1, 1, 4.2, 3.6)
    ax = axes[0, 0]
    lowest, highest = error_limits(records)
    found = [pair for row in rows(protocol).values() for pair in pairs(protocol, row, records)]
    errors = 100 * np.array([[r["final_test_error"] for r in pair] for pair in found])
    ax.loglog([lowest, highest], [lowest, highest], color="#bbbbbb", lw=1, zorder=0)
    if errors.size:
        ax.loglog(*errors.T, "o", color="#3a8f6b", ms=6, alpha=0.8)
    ax.set(title="test error, %", xlabel="AdamW", ylabel="AdamProx")
    plain_ticks(ax.xaxis, ax.yaxis)
    caption = "Every cell is a dot; on the diagonal the two agree."
    return [*maps, Figure("fig05_pairs", "Cell by cell.", caption, figure)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Cell by cell within noise, among the cells that train."""
    return [_same(protocol, network, arms, records) for network, arms in rows(protocol).items()]


def _same(protocol: Protocol, network: str, arms: Sequence[Arm], records) -> Claim:
    statement = f"{network}AdamProx performs like AdamW, cell by cell."
    bar = (
        f"within two standard errors in at least 90 % of at least {verdicts.FEWEST} cells of λ > 0 in which "
        f"either {verdicts.LEARNED}"
    )
    if reason := verdicts.unfinished(protocol, arms, records):
        return verdicts.not_run("§4.3, Fig. 5", statement, reason)
    everything = pairs(protocol, arms, records)
    # Without decay the two are the same algorithm.
    found = [p for p in everything if p[0]["weight_decay"] and any(map(verdicts.learned, p))]
    reason = untested(protocol.preset, everything)
    if reason or not found:
        reason = reason or "No network has learned anything."
        return Claim("§4.3, Fig. 5", statement, "—", bar, Verdict.NOT_TESTED, reason)
    gaps = np.array([_gap(pair) for pair in found])
    close = np.array([abs(gap) <= noise(*pair) for gap, pair in zip(gaps, found, strict=True)])
    measured = f"{close.sum()} of {close.size} cells; median difference {percent(float(np.median(abs(gaps))))}"
    verdict = Verdict.REPRODUCED if close.mean() >= 0.9 else Verdict.NOT_REPRODUCED
    if close.size < verdicts.FEWEST:
        verdict = Verdict.INCONCLUSIVE
    far = [pair for pair in everything if abs(_gap(pair)) > noise(*pair)]
    note = "Beyond noise, of all cells: " + "; ".join(map(_describe, far)) + "." if far else ""
    return Claim("§4.3, Fig. 5", statement, measured, bar, verdict, note)


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
    cost={"smoke": "30 s", "demo": "55 s", "reduced": "40 min", "paper": "1.5 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
