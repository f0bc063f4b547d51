"""A rival way to take the prox: in Adam's own metric it is not scale-free.

Claim (of this project): what makes AdamProx robust against a loss multiplier is the metric M = ηI of its
proximal step. Taken in Adam's diagonal metric, as ProxGen does, the best λ moves with the multiplier.
Command: python -m experiments rival_metric --preset reduced
Cost: see ``--dry-run``; 20 s at smoke on two CPU cores.
Expect: AdamProx's row at rest, ProxGen's pattern shifted to the right by the multiplier, as Adam-ℓ2's.
"""

from adamprox.report import Claim, Figure
from adamprox.report.plots import LABELS
from experiments import comparison, moved_grid
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "Rival (d)"
OPTIMIZERS = ("adamprox", "proxgen")


def rows(protocol: Protocol) -> list[list[Arm]]:
    """A row a metric, a column a multiplier."""
    return [
        [
            Arm(
                name,
                multiplier,
                protocol.deep,
                grid=protocol.deep_grid(grid_of, multiplier),
                label=f"{LABELS[name]}, loss × {multiplier:g}",
            )
            for multiplier in protocol.loss_multipliers
        ]
        for name, grid_of in zip(OPTIMIZERS, ("adamprox", "adam_l2"), strict=True)
    ]


def cells(protocol: Protocol, records=()):
    """Both at every multiplier."""
    return comparison.cells([arm for row in rows(protocol) for arm in row], protocol, records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """All grids."""
    caption = (
        "Final test error in percent, the best cell ringed. In Adam's metric the threshold of a "
        "coordinate is λα/√v: a larger loss makes it smaller, and only a larger λ makes up for it."
    )
    title = f"Whose metric? {protocol.trained_on(protocol.deep)}."
    return comparison.heatmaps(protocol, rows(protocol), records, "rival_metric", title, caption)


def judge(protocol: Protocol, records) -> list[Claim]:
    """Whether each grid moves with the multiplier."""
    both: dict[str, list[Arm]] = dict(zip(OPTIMIZERS, rows(protocol), strict=True))
    return [c._replace(section=SECTION) for c in moved_grid.judge(protocol, both, records)]


EXPERIMENT = Experiment(
    name="rival_metric",
    title="Rival (d) · The prox in Adam's own metric",
    claim="In Adam's metric the proximal step is not scale-free: its best λ moves with the loss.",
    cost={"smoke": "20 s", "reduced": "80 min", "paper": "5 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
