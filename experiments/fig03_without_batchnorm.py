"""Fig. 3: without BatchNorm, AdamW beats Adam-ℓ2, and its updates are less dispersed.

Claim (§4.1, Fig. 3): training deep ResNets without BatchNorm, AdamW's best test error is lower than
Adam-ℓ2's, and the magnitudes of its updates are concentrated where Adam-ℓ2's are spread out.
Command: python -m experiments fig03 --preset demo
Cost: 80 s at demo on two CPU cores.
Expect: the histograms to differ plainly; errors within the noise of a small test set.
"""

from adamprox.report import Claim, Figure
from experiments import comparison
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

L2, ADAMW, ADAMPROX = ARMS = (Arm("adam_l2"), Arm("adamw"), Arm("adamprox"))


def cells(protocol: Protocol, records=()):
    """The grids of the three optimizers."""
    return comparison.cells(ARMS, protocol, records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """Heatmaps; curves of the best cells; their update histograms."""
    caption = (
        "Final test error in percent; the best cell is ringed, empty tiles were not run. The same λ "
        "is a different thing to the left and to the right: AdamW decays by it at every step, "
        "Adam-ℓ2 adds it to gradients that Adam then divides by their own size."
    )
    title = f"{protocol.trained_on}."
    return [
        comparison.heatmaps(protocol, [ARMS], records, "fig03_heatmaps", title, caption),
        *comparison.best_curves(protocol, ARMS, records, "fig03_curves"),
        *comparison.best_histograms(
            protocol, ARMS, records, "fig03_histograms", "How large the updates are."
        ),
    ]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Lower best error, beyond noise; smaller spread of updates in most epochs."""
    section = "§4.1, Fig. 3"
    return [
        comparison.lower_error(protocol, ADAMW, L2, records, section, "Without BatchNorm, "),
        comparison.less_dispersed(protocol, ADAMW, L2, records, section),
    ]


EXPERIMENT = Experiment(
    name="fig03",
    title="Figure 3 · A deep network without BatchNorm",
    claim="Without BatchNorm AdamW reaches a lower error than Adam-ℓ2, with less dispersed updates.",
    cost={"smoke": "30 s", "demo": "80 s"},
    cells=cells,
    figures=plot,
    claims=judge,
)
