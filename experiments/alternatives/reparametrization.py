"""An alternative reading of Fig. 5: AdamProx is AdamW at hyperparameters that differ by a factor of 1 + λ.

Claim (of this project): at η = 1, AdamProx(α, λ) is AdamW(α/(1+λ), λ/(1+λ)). Therefore Fig. 5 compares AdamW
with itself, and its difference must be smaller than the difference between seeds.
Command: python -m experiments reparametrization --preset demo
Expect: three columns of dots at equal height and of equal width.
"""

import numpy as np

from adamprox.report import Claim, Figure
from adamprox.report.claims import best, estimate, points
from adamprox.report.plots import COLORS, canvas
from experiments.claims import Finding, claim, met, need_judged, need_records, need_runs
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, with_seeds

SEEDS = 3
NAMES = ("AdamW at (α, λ)", "AdamProx at (α, λ)", "AdamW at (α, λ)/(1 + λ)")


class Reparametrization(Study):
    """AdamW's best run of λ > 0, AdamProx there, and AdamW at the hyperparameters of the identity."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune AdamW; once its best run is known, find the repetitions of the three."""
        self.protocol = protocol
        self.adamw = Method("adamw", options=protocol.deep.options).tuned_on(protocol, records)
        top = best([record for record in self.adamw.tried if record.weight_decay])
        families = []
        if top and not self.adamw.untuned:
            alpha, decay = top.learning_rate, top.weight_decay
            at = {"adamw": (alpha, decay), "adamprox": (alpha, decay)}
            points = [*at.items(), ("adamw", (alpha / (1 + decay), decay / (1 + decay)))]
            families = [
                with_seeds(
                    protocol.run(name, *point, **protocol.deep.options), max(SEEDS, protocol.seeds)
                )
                for name, point in points
            ]
        self.records, self.repeated = records, [run for family in families for run in family]
        self.runs = [*self.adamw.runs, *self.repeated]
        self.finished = [
            [record for record in records.of(family) if record.error is not None]
            for family in families
        ]

    def figures(self) -> list[Figure]:
        """Draw one dot per seed."""
        if not self.finished:
            return []
        figure, axes = canvas(1, 1, 6.5, 3.2)
        for place, family in enumerate(self.finished):
            errors = [100 * record["final_test_error"] for record in family]
            axes[0, 0].plot([place] * len(errors), errors, "o", color=COLORS["adamw"], alpha=0.7)
        axes[0, 0].set(ylabel="test error, %", xlim=(-0.5, len(self.finished) - 0.5))
        axes[0, 0].set_xticks(range(len(self.finished)), NAMES)
        caption = "One dot for each seed. The second and the third column are the same optimizer up to rounding."
        return [
            Figure(
                "reparametrization",
                "AdamW, AdamProx, and AdamW at AdamProx's hyperparameters.",
                caption,
                figure,
            )
        ]

    def claims(self) -> list[Claim]:
        """Judge that the difference of means is below the range of seeds."""
        statement = "AdamProx's mean error differs from AdamW's by less than AdamW's seeds differ."
        criterion = "difference of the means smaller than the range of AdamW's seeds"
        return [claim("§4.3, Fig. 5", statement, criterion, self._measure)]

    def _measure(self) -> Finding:
        need_runs(self.adamw)
        need_records(self.records, self.repeated)
        enough = self.finished and all(len(family) >= SEEDS for family in self.finished)
        need_judged(self.protocol, enough)
        errors = [np.array([r["final_test_error"] for r in family]) for family in self.finished]
        difference, spread = (
            float(abs(errors[1].mean() - errors[0].mean())),
            float(np.ptp(errors[0])),
        )
        measured = ", ".join(
            f"{estimate(family)} ({name})"
            for family, name in zip(self.finished, NAMES, strict=True)
        )
        note = f"Means differ by {points(difference)}; AdamW's seeds span {points(spread)}."
        return Finding(measured, met(difference < spread), note)


EXPERIMENT = Experiment(
    name="reparametrization",
    title="Reparametrization · AdamProx as a change of hyperparameters",
    claim="Figure 5 compares AdamW with itself: AdamProx at (α, λ) is AdamW at (α, λ)/(1 + λ).",
    study=Reparametrization,
)
