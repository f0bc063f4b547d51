"""An alternative reading of Fig. 5: AdamProx is AdamW at hyperparameters that differ by a factor of 1 + λ.

Claim (of this project): at η = 1, AdamProx(α, λ) is AdamW(α/(1+λ), λ/(1+λ)). Therefore Fig. 5 compares AdamW
with itself, and AdamProx's error equals AdamW's at the hyperparameters of this identity.
Command: python -m experiments reparametrization --preset demo
Expect: three columns of dots at equal height and of equal width.
"""

from adamprox.report import Claim, Figure
from adamprox.report.claims import best, estimate, gap
from adamprox.report.plots import COLORS, canvas
from experiments.claims import TOGETHER, Finding, claim, equal, need_judged, need_records, need_runs
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
        self.families = [records.of(family) for family in families]

    def figures(self) -> list[Figure]:
        """Draw one dot per seed."""
        if not self.families:
            return []
        figure, axes = canvas(1, 1, 6.5, 3.2)
        for place, family in enumerate(self.families):
            errors = [100 * record.error for record in family if record.error is not None]
            axes[0, 0].plot([place] * len(errors), errors, "o", color=COLORS["adamw"], alpha=0.7)
        axes[0, 0].set(ylabel="test error, %", xlim=(-0.5, len(self.families) - 0.5))
        axes[0, 0].set_xticks(range(len(self.families)), NAMES)
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
        """Judge that AdamProx and AdamW at the identity's hyperparameters have the same error."""
        statement = "AdamProx at (α, λ) and AdamW at (α, λ)/(1 + λ) reach the same test error."
        criterion = f"difference within the margin of error (95 %); {TOGETHER}"
        return [claim("§4.3, Fig. 5", statement, criterion, self._measure)]

    def _measure(self) -> Finding:
        need_runs(self.adamw)
        need_records(self.records, self.repeated)
        finished = [[r for r in family if r.error is not None] for family in self.families]
        need_judged(self.protocol, finished and all(len(family) >= SEEDS for family in finished))
        adamw, prox, same = self.families
        difference = gap(prox, same)
        measured = ", ".join(
            f"{estimate(family)} ({name})"
            for family, name in zip(self.families, NAMES, strict=True)
        )
        note = (
            f"The second minus the third is {difference}; minus the first it is {gap(prox, adamw)}."
        )
        return Finding(measured, equal(difference), note)


EXPERIMENT = Experiment(
    name="reparametrization",
    title="Reparametrization · AdamProx as a change of hyperparameters",
    claim="Figure 5 compares AdamW with itself: AdamProx at (α, λ) is AdamW at (α, λ)/(1 + λ).",
    study=Reparametrization,
)
