"""An alternative explanation: the lead depends on the one initialization of the published runs.

Claim (of this project): at depth 110 the gradient at initialization varies tenfold between draws of the
parameters. The published comparison at one initialization may depend on that draw.
Command: python -m experiments initialization --preset reduced
Expect: AdamW ahead at every initialization, or a verdict of Fig. 3 that depends on a single draw.
"""

import dataclasses

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import points
from adamprox.report.plots import COLORS, LABELS, canvas
from adamprox.training import TrainingRun
from experiments.claims import ONE_SEED, Finding, claim, need_judged, need_records, need_runs
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, Tuned

INITIALIZATIONS = 5


class Initialization(Study):
    """Adam-ℓ2 and AdamW, tuned at the published initialization, and their best runs from others."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune both; once the best runs are known, find their repetitions."""
        self.protocol, self.records = protocol, records
        self.methods = [
            Method(name, options=protocol.deep.options).tuned_on(protocol, records)
            for name in ("adam_l2", "adamw")
        ]
        self.repeated = [self._repeated(method) for method in self.methods]
        self.runs = [
            *(run for method in self.methods for run in method.runs),
            *(run for runs in self.repeated for run in runs),
        ]

    def _repeated(self, method: Tuned) -> list[TrainingRun]:
        if method.best is None or method.untuned:
            return []
        at = method.best.learning_rate, method.best.weight_decay
        first = self.protocol.run(method.optimizer, *at, **method.method.options)
        return [dataclasses.replace(first, init_seed=seed) for seed in range(INITIALIZATIONS)]

    @property
    def errors(self) -> np.ndarray:
        """Test errors, float[2, initializations]; NaN for a diverged or missing run."""
        rows = [
            [next((r.error for r in self.records.of([run])), None) for run in runs]
            for runs in self.repeated
        ]
        return np.array([row or [None] * INITIALIZATIONS for row in rows], float)

    def figures(self) -> list[Figure]:
        """Draw test errors over the initializations, one line per optimizer."""
        figure, axes = canvas(1, 1, 6.5, 3.2)
        places = range(INITIALIZATIONS)
        for method, row in zip(self.methods, self.errors, strict=True):
            name = method.optimizer
            axes[0, 0].plot(places, 100 * row, "o-", color=COLORS[name], label=LABELS[name])
        axes[0, 0].set(xlabel="initialization", ylabel="test error, %", xticks=places)
        axes[0, 0].legend()
        caption = (
            "Both optimizers at their best (α, λ), which were tuned at initialization 0. One run for each "
            "initialization."
        )
        return [Figure("initialization", "Test error at several initializations.", caption, figure)]

    def claims(self) -> list[Claim]:
        """Judge that AdamW is ahead at every initialization."""
        statement = "AdamW's test error is lower than Adam-ℓ2's at every initialization."
        criterion = (
            f"AdamW ahead at all {INITIALIZATIONS} initializations by more than the margin of the test set; "
            "not reproduced if behind by more than the margin at one"
        )
        return [claim("Initialization", statement, criterion, self._measure)]

    def _measure(self) -> Finding:
        need_runs(*self.methods)
        need_records(self.records, [run for runs in self.repeated for run in runs])
        rows = self.errors
        need_judged(self.protocol, bool(np.isfinite(rows).any(axis=1).all()))
        l2, adamw = np.where(np.isfinite(rows), rows, 1.0)  # a diverged run has an error of 100 %
        leads, examples = l2 - adamw, self.methods[0].tried[0]["test_examples"]
        margin = 2 * np.sqrt((l2 * (1 - l2) + adamw * (1 - adamw)) / examples)
        verdict = Verdict.NOT_REPRODUCED if (leads < -margin).any() else Verdict.INCONCLUSIVE
        if (leads > margin).all():
            verdict = Verdict.REPRODUCED
        listed = ", ".join(f"{100 * lead:.1f}".replace("-", "−") for lead in leads)
        measured = f"ahead at {np.sum(leads > 0)} of {leads.size}; leads {listed} points"
        note = f"Margin of the test set: {points(float(margin.max()))}. {ONE_SEED}"
        return Finding(measured, verdict, note)


EXPERIMENT = Experiment(
    name="initialization",
    title="Initialization · Other draws of the parameters",
    claim="AdamW leads Adam-ℓ2 at every initialization, not only at the published one.",
    study=Initialization,
)
