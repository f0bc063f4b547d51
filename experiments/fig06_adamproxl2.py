"""Fig. 6: the regularizer ‖x‖₂ without its square, minimized exactly, gives a good optimizer for free.

Claim (§5, Fig. 6): AdamProxL2, the proximal step of λ‖x‖₂, does at least as well as AdamW.
Command: python -m experiments fig06 --preset demo
Cost: 40 s at demo on two CPU cores (the cells of AdamW are those of fig03).
Expect: a λ larger than AdamW's by about the norm of the weights: a step shrinks x by λ/‖x‖₂, not by λ.
"""

from adamprox.report import Claim, Figure
from experiments import comparison, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

# The norm of a He-normal ResNet's weights is some tens: λ/‖x‖₂ of AdamProxL2 is λ of AdamW.
NORM = 30.0


def arms(protocol: Protocol) -> list[Arm]:
    """AdamW, and AdamProxL2 on its own grid or one that shrinks the initial weights about equally."""
    grid = protocol.deep_grid("adamw")
    scaled = tuple(float(f"{NORM * value:.3g}") for value in grid.weight_decays)
    own = protocol.deep_grids.get("adamprox_l2", grid._replace(weight_decays=scaled))
    return [
        Arm("adamw", options=protocol.deep, grid=grid),
        Arm("adamprox_l2", options=protocol.deep, grid=own),
    ]


def cells(protocol: Protocol, records=()):
    """Both grids."""
    return comparison.cells(arms(protocol), protocol, records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """Heatmaps, curves and histograms."""
    caption = (
        "Final test error in percent, the best cell ringed; AdamProxL2's λ is in units of the norm of "
        "all parameters, a step shrinks it by λ whatever it is."
    )
    title = f"Without the square: {protocol.trained_on(protocol.deep)}."
    maps = [
        figure
        for arm in arms(protocol)
        for figure in comparison.heatmaps(
            protocol, [[arm]], records, f"fig06_{arm.optimizer}", title, caption
        )
    ]
    return [*maps, *comparison.best_curves(protocol, arms(protocol), records, "fig06_curves")]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Not worse than AdamW beyond noise."""
    adamw, l2 = arms(protocol)
    return [verdicts.as_good(protocol, l2, adamw, records, "§5, Fig. 6")]


EXPERIMENT = Experiment(
    name="fig06",
    title="Figure 6 · AdamProxL2",
    claim="AdamProxL2 does at least as well as AdamW.",
    cost={"smoke": "20 s", "demo": "40 s", "reduced": "20 min", "paper": "1 year"},
    cells=cells,
    figures=plot,
    claims=judge,
)
