"""Lead and spread: does AdamW lead where the other method's updates spread more?

Claim (§4.1, Figs. 2 and 3): the spread of update magnitudes and AdamW's lead belong together. All pairs of
AdamW and another method count: Adam-ℓ2 with and without BatchNorm, and the methods of the factorial.
The module lies here because it needs the methods of `factorial`.
Command: python -m experiments spread_and_lead --preset reduced
Expect: a positive rank correlation. All runs are those of fig02, fig03 and factorial.
"""

import functools
from typing import NamedTuple

import numpy as np

from adamprox.report import Claim, Figure
from adamprox.report.claims import gap
from adamprox.report.plots import COLORS, LABELS, canvas
from adamprox.training import TrainingRun
from experiments.alternatives.factorial import Factorial
from experiments.claims import FEWEST, Finding, NotTested, claim, need_judged, spread
from experiments.paper.fig02_03_accuracy import WithBatchNorm, WithoutBatchNorm
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Tuned, complete, wanted


class Pair(NamedTuple):
    """AdamW and another method on one network: differences of spread and of error.

    Attributes:
      other: The other method.
      place: Depth of a ResNet or name of another network, and BatchNorm if there is any.
      spread: Spread of the other method's updates minus that of AdamW's, in powers of two.
      lead: Lead of AdamW in test error, in percentage points.
    """

    other: Tuned
    place: str
    spread: float
    lead: float


class SpreadAndLead(Study):
    """AdamW against every other tuned method on every network, with and without BatchNorm."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune the methods of Figs. 2 and 3 and of the factorial experiment."""
        self.protocol = protocol
        factorial = [
            [method for method in row if method.optimizer != "adam_l2"]  # it is Fig. 3's
            for row in Factorial(protocol, records).rows.values()
        ]
        published = WithBatchNorm(protocol, records).rows, WithoutBatchNorm(protocol, records).rows
        self.rows = [*published[0], *published[1].values(), *factorial]
        self.runs = wanted(method for row in self.rows for method in row)

    @functools.cached_property
    def pairs(self) -> list[Pair]:
        """All pairs whose runs are complete."""
        found = []
        for row in self.rows:
            adamw = next(method for method in row if method.optimizer == "adamw")
            others = [method for method in row if method is not adamw]
            found += [_pair(adamw, other) for other in others if complete((adamw, other))]
        return found

    def figures(self) -> list[Figure]:
        """Draw the lead against the spread, one point a pair."""
        if not self.pairs:
            return []
        figure, axes = canvas(1, 1, 7, 4.2)
        for optimizer in dict.fromkeys(pair.other.optimizer for pair in self.pairs):
            own = [pair for pair in self.pairs if pair.other.optimizer == optimizer]
            style = {"color": COLORS[optimizer], "label": LABELS[optimizer]}
            axes[0, 0].plot([p.spread for p in own], [p.lead for p in own], "o", **style)
        for pair in self.pairs:
            at = (pair.spread, pair.lead)
            axes[0, 0].annotate(pair.place, at, (5, 3), textcoords="offset points", fontsize=8)
        axes[0, 0].axhline(0, color="#999999", lw=0.8, zorder=0)
        axes[0, 0].axvline(0, color="#999999", lw=0.8, zorder=0)
        axes[0, 0].set(
            xlabel="spread of the other method minus AdamW's, powers of two",
            ylabel="AdamW's lead in test error, points",
        )
        axes[0, 0].legend()
        caption = (
            "Each point is AdamW and another method at their best (α, λ) on one network; a number is the depth of "
            "a ResNet. If a wide spread and a high error belong together, the points rise from the lower left to "
            "the upper right."
        )
        return [Figure("spread_and_lead", "Lead against spread of updates.", caption, figure)]

    def claims(self) -> list[Claim]:
        """Judge the rank correlation of spread and lead."""
        statement = "AdamW's lead is larger where the other method's updates spread more."
        criterion = (
            "Spearman's rank correlation above 0 by more than its margin of error (95 %, Fisher's z), over at "
            f"least {FEWEST} pairs"
        )
        return [claim("§4.1, Figs. 2 and 3", statement, criterion, self._correlation)]

    def _correlation(self) -> Finding:
        need_judged(self.protocol)
        if len(self.pairs) < FEWEST:
            raise NotTested(f"{len(self.pairs)} pairs have finished; {FEWEST} are needed.")
        measured, verdict = spread.rank_correlation(
            [pair.spread for pair in self.pairs], [pair.lead for pair in self.pairs]
        )
        wider, total = sum(pair.spread < 0 for pair in self.pairs), len(self.pairs)
        note = f"AdamW's updates spread more in {wider} of {total}. Pairs on one network share AdamW's runs, so that the interval is too narrow."
        return Finding(f"{measured} over {total} pairs", verdict, note)


def _pair(adamw: Tuned, other: Tuned) -> Pair:
    first = adamw.finished[0]
    network = TrainingRun.from_columns(first).network.title.split()[0].removeprefix("ResNet-")
    place = f"{network}{' with BatchNorm' if first['batch_norm'] else ''}"
    means = [
        float(np.mean([spread.mean_spread(r) for r in method.finished]))
        for method in (other, adamw)
    ]
    lead = 100 * gap(other.seeds, adamw.seeds).difference
    return Pair(other, place, means[0] - means[1], lead)


EXPERIMENT = Experiment(
    name="spread_and_lead",
    title="Spread and lead · Do they belong together?",
    claim="AdamW's lead is larger where the other method's updates spread more.",
    study=SpreadAndLead,
)
