"""Figs. 5 and 6: the proximal steps of ½‖x‖² (AdamProx) and of ‖x‖₂ (AdamProxL2) against AdamW.

Claims: AdamProx performs like AdamW (§4.3, Fig. 5). AdamProxL2 does at least as well as AdamW (§5, Fig. 6).
Commands: python -m experiments fig05 --preset demo; python -m experiments fig06 --preset demo
Expect: differences within the margin of the test set, except where a large λ makes training fail; for
AdamProxL2 a best λ of AdamW's times the norm of the weights.
"""

from collections.abc import Sequence

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import compact, noise, percent, points
from adamprox.report.heatmaps import error_limits
from adamprox.report.plots import LABELS, canvas, plain_ticks
from adamprox.sweep import Record
from experiments import figures
from experiments.claims import (
    FEWEST,
    LEARNED,
    ONE_SEED,
    Finding,
    NotTested,
    accuracy,
    claim,
    counted,
    learned,
    met,
    need_judged,
    need_runs,
    share,
)
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, Tuned, wanted

# Approximate norm of a He-normal ResNet's weights. A step of AdamProxL2 shrinks x by λ/‖x‖₂.
NORM = 30.0


class AdamProx(Study):
    """AdamW and AdamProx on the deep network and, if the preset has one, on DenseNet."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune both on every network; DenseNet has a third of the epochs, as published."""
        optimizers = ("adamw", "adamprox")
        deep = [
            Method(name, options=protocol.deep.options, grid=protocol.deep_grid(name))
            for name in optimizers
        ]
        methods = {"": deep}
        if "DenseNet" in protocol.networks:
            third = max(1, protocol.training["epochs"] // 3)
            options = {**protocol.networks["DenseNet"].options, "epochs": third}
            methods["DenseNet: "] = [
                Method(n, options=options, label=f"{LABELS[n]} (DenseNet)") for n in optimizers
            ]
        self.rows = {
            where: [method.tuned_on(protocol, records) for method in row]
            for where, row in methods.items()
        }
        self.runs = wanted(method for row in self.rows.values() for method in row)

    def figures(self) -> list[Figure]:
        """Draw both grids, and one optimizer's errors against the other's."""
        caption = "Final test error in percent; a ring marks the best run of each grid."
        rows = list(self.rows.values())
        return [
            *figures.heatmaps(rows, "fig05_heatmaps", "AdamW and AdamProx.", caption),
            *self._pairs(),
        ]

    def _pairs(self) -> list[Figure]:
        found = [pair for row in self.rows.values() for pair in _pairs(row)]
        if not found:
            return []
        figure, axes = canvas(1, 1, 4.2, 3.6)
        ax = axes[0, 0]
        limits = error_limits([record for pair in found for record in pair])
        errors = 100 * np.array([[one.error, other.error] for one, other in found], float)
        ax.loglog(limits, limits, color="#bbbbbb", lw=1, zorder=0)
        ax.loglog(*errors.T, "o", color="#3a8f6b", ms=6, alpha=0.8)
        ax.set(title="test error, %", xlabel="AdamW", ylabel="AdamProx")
        plain_ticks(ax.xaxis, ax.yaxis)
        caption = "One dot for each grid point; on the diagonal both errors are equal. A run that diverged is at 100 %."
        title = "AdamProx's test error against AdamW's."
        return [Figure("fig05_pairs", title, caption, figure)]

    def claims(self) -> list[Claim]:
        """Judge all grid points at which a network trains, one claim per network."""
        return [_same(where, row) for where, row in self.rows.items()]


def _same(where: str, row: Sequence[Tuned]) -> Claim:
    criterion = (
        f"errors within two standard errors at 90 % or more of at least {FEWEST} grid points with λ > 0 at "
        f"which either network {LEARNED}"
    )

    def measure() -> Finding:
        need_runs(*row)
        everything = _pairs(row)
        need_judged(row[0].protocol, everything)
        # At λ = 0 the two are the same algorithm.
        found = [p for p in everything if p[0].weight_decay and any(map(learned, p))]
        if not found:
            raise NotTested("No network is better than chance.")
        gaps = [_gap(pair) for pair in found]
        close = sum(gap <= noise(*pair) for gap, pair in zip(gaps, found, strict=True))
        equal, *_ = share(close, len(found), "grid points")
        measured = f"equal at {equal}; median difference {points(float(np.median(gaps)))}"
        verdict = met(close >= 0.9 * len(found))
        far = [pair for pair in everything if _gap(pair) > noise(*pair)]
        note = f" Different, of all grid points: {'; '.join(map(_described, far))}." if far else ""
        verdict = Verdict.INCONCLUSIVE if len(found) < FEWEST else verdict
        return Finding(measured, verdict, ONE_SEED + note)

    statement = f"{where}AdamProx performs like AdamW at every grid point."
    return claim("§4.3, Fig. 5", statement, criterion, measure)


def _pairs(row: Sequence[Tuned]) -> list[tuple[Record, Record]]:
    """Return the records of AdamW and AdamProx at every (α, λ), unless both diverged."""
    first, second = ({(r.learning_rate, r.weight_decay): r for r in method.tried} for method in row)
    return [
        (counted(first[at]), counted(second[at]))
        for at in first
        if at in second and not (first[at].diverged and second[at].diverged)
    ]


def _gap(pair: tuple[Record, Record]) -> float:
    return abs(pair[1]["final_test_error"] - pair[0]["final_test_error"])


def _described(pair: tuple[Record, Record]) -> str:
    one = pair[0]
    at = f"({compact(one.learning_rate)}, {compact(one.weight_decay)})"
    errors = ("diverged" if r.diverged else percent(r["final_test_error"]) for r in pair)
    return f"{at} with {' vs '.join(errors)}"


class AdamProxL2(Study):
    """AdamW, and AdamProxL2 on a grid with about the same initial shrinkage."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune both on the deep network."""
        self.protocol = protocol
        grid = protocol.deep_grid("adamw")
        scaled = tuple(float(f"{NORM * value:.3g}") for value in grid.weight_decays)
        own = protocol.deep.grids.get("adamprox_l2", grid._replace(weight_decays=scaled))
        self.methods = [
            Method(name, options=protocol.deep.options, grid=its).tuned_on(protocol, records)
            for name, its in (("adamw", grid), ("adamprox_l2", own))
        ]
        self.runs = wanted(self.methods)

    def figures(self) -> list[Figure]:
        """Draw heatmaps and learning curves."""
        caption = (
            "Final test error in percent; a ring marks the best run of each grid. A step of AdamProxL2 "
            "shrinks the norm of all parameters by λ."
        )
        title = f"AdamW and AdamProxL2: {self.protocol.trained_on(self.protocol.deep)}."
        maps = [
            drawn
            for method in self.methods
            for drawn in figures.heatmaps([[method]], f"fig06_{method.optimizer}", title, caption)
        ]
        return [*maps, *figures.best_curves(self.methods, "fig06_curves")]

    def claims(self) -> list[Claim]:
        """Judge that AdamProxL2 is not worse than AdamW."""
        adamw, l2 = self.methods
        return [accuracy.as_good(l2, adamw, "§5, Fig. 6")]


FIG05 = Experiment(
    name="fig05",
    title="Figure 5 · AdamProx",
    claim="AdamProx performs like AdamW.",
    study=AdamProx,
)
FIG06 = Experiment(
    name="fig06",
    title="Figure 6 · AdamProxL2",
    claim="AdamProxL2 does at least as well as AdamW.",
    study=AdamProxL2,
)
