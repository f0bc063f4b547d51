"""Figs. 7 to 12: magnitudes of the updates through training, one figure per network.

Claim (appendix): without BatchNorm the magnitudes of AdamW's updates stay concentrated and Adam-ℓ2's spread
out, on ResNets of 20, 44, 56, 110 and 218 layers and on DenseNet. Fig. 3 judges the best runs;
here both have equal α and λ.
spread_and_lead asks whether the two belong together, over all pairs of AdamW and another method.
Commands: python -m experiments fig07 --preset demo (fig08 to fig12 have no network there);
python -m experiments spread_and_lead --preset reduced
Expect: a narrower peak of AdamW, by more on deeper networks. All runs are those of fig02, fig03 and factorial.
"""

import functools
from typing import NamedTuple

import numpy as np

from adamprox.report import Claim, Figure, figures
from adamprox.report.claims import gap
from adamprox.report.plots import COLORS, LABELS, canvas, spread_through_training
from adamprox.training import TrainingRun
from experiments.alternatives.factorial import Factorial
from experiments.claims import FEWEST, Finding, NotTested, claim, need_judged, spread
from experiments.paper.fig02_03_accuracy import WithBatchNorm, WithoutBatchNorm
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, Tuned, complete, wanted

NETWORKS = ("ResNet-20", "ResNet-44", "ResNet-56", "ResNet-110", "ResNet-218", "DenseNet")


class Updates(Study):
    """Adam-ℓ2 and AdamW on one network; no runs if the preset does not have the network."""

    def __init__(self, file: str, network: str, protocol: Protocol, records: Records):
        """Tune both."""
        self.file, self.network, self.protocol = file, network, protocol
        on = [protocol.networks[network]] if network in protocol.networks else []
        self.methods = [
            Method.on(found, name).tuned_on(protocol, records)
            for found in on
            for name in ("adam_l2", "adamw")
        ]
        self.runs = wanted(self.methods)

    def figures(self) -> list[Figure]:
        """Draw histograms and spread of the best runs through training, and the spread of all runs."""
        if not self.methods:
            return []
        title = f"{self.protocol.trained_on(self.protocol.networks[self.network])}."
        return [
            *figures.best_histograms(self.methods, f"{self.file}_histograms", title),
            *self._spread(),
            *spread.against_decay(self.methods, f"{self.file}_spread_by_point"),
        ]

    def _spread(self) -> list[Figure]:
        winners = [method.best for method in self.methods if method.best]
        if not winners:
            return []
        figure, axes = canvas(1, 1, 6.5, 3.2)
        for record in winners:
            style = {"color": COLORS[record.optimizer], "label": LABELS[record.optimizer]}
            axes[0, 0].plot(record.epochs, spread_through_training(record), **style)
        axes[0, 0].set(xlabel="epoch", ylabel="powers of two", ylim=(0, None))
        axes[0, 0].legend()
        caption = (
            "Distance between the 10th and the 90th percentile of log2 |update|/α at every epoch."
        )
        return [Figure(f"{self.file}_spread", "Spread of update magnitudes.", caption, figure)]

    def claims(self) -> list[Claim]:
        """Judge the spread at equal α and λ."""
        if not self.methods:
            return []
        l2, adamw = self.methods
        section, where = "Appendix, Figs. 7–12", f"{self.network}: "
        return [spread.smaller_spread_at_equal_points(adamw, l2, section, where)]


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


EXPERIMENTS = [
    Experiment(
        name=f"fig{number:02d}",
        title=f"Figure {number} · Updates of {network} through training",
        claim="At equal α and λ AdamW's updates spread less than Adam-ℓ2's.",
        study=functools.partial(Updates, f"fig{number:02d}", network),
    )
    for number, network in enumerate(NETWORKS, 7)
]
SPREAD_AND_LEAD = Experiment(
    name="spread_and_lead",
    title="Spread and lead · Do they belong together?",
    claim="AdamW's lead is larger where the other method's updates spread more.",
    study=SpreadAndLead,
)
