"""Figs. 7 to 12: how large the updates are, all through training, network by network.

Claim (appendix): without BatchNorm the magnitudes of AdamW's updates stay concentrated while Adam-ℓ2's
spread out, on ResNets of 20, 44, 56, 110 and 218 layers and on DenseNet.
Command: python -m experiments fig07 --preset demo        (to fig12, which the demo leaves out)
Cost: nothing beyond fig03's cells, which they are.
Expect: AdamW's hump narrower than Adam-ℓ2's from early on, the more plainly the deeper the network.
"""

import functools

import numpy as np

from adamprox.report import Claim, Figure
from adamprox.report.plots import COLORS, canvas, spread_through_training
from experiments import comparison, dispersion, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.presets import PRESETS
from experiments.protocol import Protocol

COSTS = {"smoke": "30 s", "demo": "30 s", "reduced": "1 to 8 h", "paper": "0.2 to 3 years"}
NETWORKS = ("ResNet-20", "ResNet-44", "ResNet-56", "ResNet-110", "ResNet-218", "DenseNet")


def arms(network: str, protocol: Protocol) -> list[Arm]:
    """Adam-ℓ2 and AdamW on the network, none where the preset leaves it out."""
    if network not in protocol.networks:
        return []
    return [Arm.on(network, name, protocol) for name in ("adam_l2", "adamw")]


def cells(network: str, protocol: Protocol, records=()):
    """Both grids."""
    return comparison.cells(arms(network, protocol), protocol, records)


def plot(name: str, network: str, protocol: Protocol, records) -> list[Figure]:
    """Histograms of the best cells, their spread at every epoch, and that of every cell."""
    pair = arms(network, protocol)
    if not pair:
        return []
    title = f"{protocol.trained_on(protocol.networks[network])}."
    figures = comparison.best_histograms(protocol, pair, records, f"{name}_histograms", title)
    winners = [winner for arm in pair if (winner := arm.best(protocol, records))]
    if winners:
        figures.append(_spreads(name, winners))
    return figures + dispersion.against_decay(protocol, pair, records, f"{name}_spread_by_cell")


def _spreads(name: str, winners) -> Figure:
    figure, axes = canvas(1, 1, 6.5, 3.2)
    for record in winners:
        spread = np.asarray(spread_through_training(record))
        optimizer = record["optimizer"]
        axes[0, 0].plot(
            record["epoch"], spread, color=COLORS[optimizer], label=comparison.LABELS[optimizer]
        )
    axes[0, 0].set(xlabel="epoch", ylabel="powers of two", ylim=(0, None))
    axes[0, 0].legend()
    caption = "The distance of the 10 % and 90 % quantiles of log2 |update|/α, epoch by epoch."
    return Figure(f"{name}_spread", "How far the updates are spread.", caption, figure)


def judge(network: str, protocol: Protocol, records) -> list[Claim]:
    """A smaller spread of AdamW's, in the best cells and at equal α and λ."""
    section = "Appendix, Figs. 7–12"
    pair = arms(network, protocol)
    if not pair:
        statement = f"On {network} AdamW's updates are less dispersed than Adam-ℓ2's."
        reason = f"The preset {protocol.preset} leaves {network} out."
        return [verdicts.not_run(section, statement, reason)]
    l2, adamw = pair
    compared = protocol, adamw, l2, records, section, f"{network}: "
    return [
        dispersion.less_dispersed(*compared),
        dispersion.less_dispersed_cell_by_cell(*compared),
    ]


EXPERIMENTS = [
    Experiment(
        name=f"fig{number:02d}",
        title=f"Figure {number} · Updates of {network} through training",
        claim="AdamW's updates stay less dispersed than Adam-ℓ2's.",
        cost={
            preset: cost for preset, cost in COSTS.items() if network in PRESETS[preset].networks
        },
        cells=functools.partial(cells, network),
        figures=functools.partial(plot, f"fig{number:02d}", network),
        claims=functools.partial(judge, network),
    )
    for number, network in enumerate(NETWORKS, 7)
]
