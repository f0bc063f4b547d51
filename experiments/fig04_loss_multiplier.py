"""Fig. 4: multiply the loss, and Adam-ℓ2 must be tuned again; AdamW need not.

Claim (§4.2, Fig. 4): with the loss multiplied by 10 and 100 AdamW's best (α, λ) stays where it was;
Adam-ℓ2's moves, and by identity it must move to λ times the multiplier.
Command: python -m experiments fig04 --preset demo
Cost: 220 s at demo on two CPU cores (39 of its 126 cells are those of fig03).
Expect: the rows of AdamW and AdamProx unchanged from left to right; Adam-ℓ2's pattern shifted right by one or two tiles.
"""

from adamprox.report import Claim, Figure
from adamprox.report.plots import LABELS
from experiments import comparison, moved_grid
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

OPTIMIZERS = ("adam_l2", "adamw", "adamprox")


def rows(protocol: Protocol) -> list[list[Arm]]:
    """A row an optimizer, a column a multiplier."""
    return [
        [
            Arm(
                name,
                multiplier,
                protocol.deep,
                grid=protocol.deep_grid(name, multiplier),
                label=f"{LABELS[name]}, loss × {multiplier:g}",
            )
            for multiplier in protocol.loss_multipliers
        ]
        for name in OPTIMIZERS
    ]


def cells(protocol: Protocol, records=()):
    """Every grid at every multiplier."""
    return comparison.cells([arm for row in rows(protocol) for arm in row], protocol, records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """All grids."""
    caption = (
        "Final test error in percent, the best cell ringed. Read each row from left to right. By the "
        "paper AdamW's and AdamProx's tiles stay as they are, and Adam-ℓ2's pattern moves to the right "
        "with the multiplier, one tile for each factor of ten."
    )
    title = f"The loss multiplied: {protocol.trained_on(protocol.deep)}."
    name = "fig04_loss_multiplier"
    return comparison.heatmaps(protocol, rows(protocol), records, name, title, caption)


def judge(protocol: Protocol, records) -> list[Claim]:
    """Where the best cell of loss × 1 stands at each larger multiplier, and the whole pattern."""
    return moved_grid.judge(protocol, dict(zip(OPTIMIZERS, rows(protocol), strict=True)), records)


EXPERIMENT = Experiment(
    name="fig04",
    title="Figure 4 · The loss multiplied",
    claim="Multiplying the loss moves Adam-ℓ2's best (α, λ) and not AdamW's.",
    cost={"smoke": "30 s", "demo": "220 s", "reduced": "2 h", "paper": "7 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
