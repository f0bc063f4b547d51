"""Figs. 7 to 12: magnitudes of the updates through training, one figure per network.

Claim (appendix): without BatchNorm the magnitudes of AdamW's updates stay concentrated and Adam-ℓ2's spread
out, on ResNets of 20, 44, 56, 110 and 218 layers and on DenseNet. Fig. 3 judges the best runs;
here both have equal α and λ.
Command: python -m experiments fig07 --preset demo (fig08 to fig12 have no network there)
Expect: a narrower peak of AdamW, by more on deeper networks. All runs are those of fig03.
"""

import functools

from adamprox.report import Claim, Figure
from adamprox.report.plots import COLORS, LABELS, canvas, spread_through_training
from experiments import figures
from experiments.claims import spread
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, wanted

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
            *figures.spread_against_decay(self.methods, f"{self.file}_spread_by_point"),
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


EXPERIMENTS = [
    Experiment(
        name=f"fig{number:02d}",
        title=f"Figure {number} · Updates of {network} through training",
        claim="At equal α and λ AdamW's updates spread less than Adam-ℓ2's.",
        study=functools.partial(Updates, f"fig{number:02d}", network),
    )
    for number, network in enumerate(NETWORKS, 7)
]
