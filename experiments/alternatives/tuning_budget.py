"""An alternative explanation of Fig. 3: AdamW is easier to tune, and not better when tuned.

Claim (of this project): on the paper's grid, every λ is too small to affect Adam-ℓ2. If the lead vanishes on
grids that are extended until the best run lies inside, tuning is the reason.
Command: python -m experiments tuning_budget --preset reduced
Cost: none beyond the grids of Fig. 3 on the deep network.
Expect: AdamW's curve below Adam-ℓ2's on the shared grid; the right ends of the curves on the extended grids
decide.
"""

import math
from collections.abc import Sequence

import numpy as np

from adamprox.report import Claim, Figure
from adamprox.report.claims import Gap, noise, percent
from adamprox.report.plots import COLORS, LABELS, canvas
from adamprox.sweep import Record
from experiments.claims import ONE_SEED, Finding, accuracy, by_margin, claim, need_judged, need_runs
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, Tuned, wanted

SECTION = "Tuning budget"
TRIALS = 4
"""Number of runs of a small tuning budget."""


def expected_best(records: Sequence[Record]) -> np.ndarray:
    """Return the mean lowest test error of k runs drawn from a grid without replacement.

    Args:
      records: Records of n runs; a run that diverged counts as an error of 100 %.

    Returns:
      float[n] for k = 1 … n. With errors e₁ ≤ … ≤ eₙ, it is Σ eᵢ C(n−i, k−1) / C(n, k).

    Example:
      >>> expected_best([{"final_test_error": e} for e in (0.1, 0.3)]).round(3).tolist()
      [0.2, 0.1]

    Source: Dodge et al., Show Your Work (2019), who draw with replacement.
    """
    errors = sorted(1.0 if (e := r["final_test_error"]) is None else e for r in records)
    n = len(errors)
    return np.array(
        [
            sum(e * math.comb(n - i, k - 1) for i, e in enumerate(errors, 1)) / math.comb(n, k)
            for k in range(1, n + 1)
        ]
    )


class TuningBudget(Study):
    """Adam-ℓ2 and AdamW, both tuned until their best runs lie inside their grids."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune both."""
        self.protocol = protocol
        self.l2, self.adamw = (
            Method(name, options=protocol.deep.options).tuned_on(protocol, records)
            for name in ("adam_l2", "adamw")
        )
        self.runs = wanted([self.l2, self.adamw])

    def _shared(self, method: Tuned) -> list[Record]:
        """Return the records of the common grid, without extensions."""
        rates, decays = self.protocol.learning_rates, self.protocol.weight_decays
        return [r for r in method.tried if r.learning_rate in rates and r.weight_decay in decays]

    def figures(self) -> list[Figure]:
        """Draw the expected best error against the number of runs, on both kinds of grid."""
        figure, axes = canvas(1, 2, 10, 3.6, sharey=True)
        for method in (self.l2, self.adamw):
            style = {"color": COLORS[method.optimizer], "label": LABELS[method.optimizer]}
            for ax, found in zip(axes[0], (self._shared(method), method.tried), strict=True):
                y = 100 * expected_best(found)
                ax.plot(range(1, len(y) + 1), y, "o-", ms=4, **style)
        for ax, title in zip(
            axes[0], ("the grid that both share", "each one's own grid"), strict=True
        ):
            ax.set(title=title, xlabel="runs tried, at random")
            ax.xaxis.get_major_locator().set_params(integer=True)
        axes[0, 0].set_ylabel("expected lowest test error, %")
        axes[0, 1].legend()
        caption = (
            f"{self.protocol.trained_on(self.protocol.deep)}. Expected test error of the best of k runs that "
            "are drawn at random from the grid. If the curves differ only on the left, AdamW is easier to "
            "tune, but not better."
        )
        return [Figure("tuning_budget", "Expected lowest error after k runs.", caption, figure)]

    def claims(self) -> list[Claim]:
        """Judge the lead after a few tries, and in the end."""
        statement = f"On the shared grid, the best of {TRIALS} random runs has a lower expected error with AdamW."
        criterion = "lower than with Adam-ℓ2 by more than two standard errors of the test set"
        where = "With each grid extended until its best run lies inside: "
        return [
            claim(SECTION, statement, criterion, self._easier),
            accuracy.lower_error(self.adamw, self.l2, SECTION, where),
        ]

    def _easier(self) -> Finding:
        need_runs(self.l2, self.adamw)
        pair = [self._shared(method) for method in (self.adamw, self.l2)]
        need_judged(self.protocol, all(len(found) >= TRIALS for found in pair))
        curves = [expected_best(found) for found in pair]
        few, many = ([float(curve[k]) for curve in curves] for k in (TRIALS - 1, -1))
        measured = (
            f"{percent(few[0])} vs {percent(few[1])} after {TRIALS} runs; "
            f"{percent(many[0])} vs {percent(many[1])} after all {len(pair[0])}"
        )
        expected = [
            Record({**r, "final_test_error": e}) for (r, *_), e in zip(pair, few, strict=True)
        ]
        verdict = by_margin(Gap(few[1] - few[0], noise(*expected)))
        return Finding(measured, verdict, ONE_SEED)


EXPERIMENT = Experiment(
    name="tuning_budget",
    title="Tuning budget · Easier to tune",
    claim="AdamW is easier to tune than Adam-ℓ2, and better when both are fully tuned.",
    study=TuningBudget,
)
