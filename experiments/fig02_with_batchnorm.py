"""Fig. 2: with BatchNorm, Adam-ℓ2 and AdamW do equally well.

Claim (§4.1, Fig. 2): with BatchNorm a network's function does not change with the scale of its weights,
and the best test errors of Adam-ℓ2 and AdamW are about the same.
Command: python -m experiments fig02 --preset reduced
Cost: see ``--dry-run``; 30 s at smoke on two CPU cores.
Expect: the two heatmaps' best cells within each other's noise; large learning rates that work.
"""

from adamprox.report import Claim, Figure
from adamprox.report.plots import LABELS
from experiments import comparison, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "§4.1, Fig. 2"


def rows(protocol: Protocol) -> dict[str, list[Arm]]:
    """A network of the paper to Adam-ℓ2 and AdamW on it, with BatchNorm."""
    return {
        network: [
            Arm(
                name,
                options={**options, "batch_norm": True},
                label=f"{LABELS[name]}, {network} with BatchNorm",
            )
            for name in ("adam_l2", "adamw")
        ]
        for network, options in protocol.networks.items()
    }


def cells(protocol: Protocol, records=()):
    """Both grids on every network."""
    return comparison.cells([a for row in rows(protocol).values() for a in row], protocol, records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """A row of heatmaps a network."""
    caption = (
        "Final test error in percent with BatchNorm, the best cell ringed. Compare the rings of a row: "
        "with BatchNorm it should not matter which way the weights are regularized."
    )
    grid = list(rows(protocol).values())
    title = "With BatchNorm."
    return comparison.heatmaps(protocol, grid, records, "fig02_heatmaps", title, caption)


def judge(protocol: Protocol, records) -> list[Claim]:
    """Equal best errors, network by network."""
    return [
        verdicts.equal_error(protocol, l2, adamw, records, SECTION)
        for l2, adamw in rows(protocol).values()
    ]


EXPERIMENT = Experiment(
    name="fig02",
    title="Figure 2 · With BatchNorm",
    claim="With BatchNorm Adam-ℓ2 and AdamW reach the same error.",
    cost={"smoke": "30 s", "reduced": "19 h", "paper": "6 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
