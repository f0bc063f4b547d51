"""The authors' best cells without BatchNorm, at their own hyperparameters.

Claim (§4.1, Fig. 3): at the (α, λ) that the authors found best for each, AdamW's test error is lower than
Adam-ℓ2's, and its updates are less dispersed. No errors are published; an independent run of ResNet-20
with AdamW at α = 1e-3 ended its 100 epochs with 84 to 85 % of the test images right.
Command: python -m experiments published_cells --preset paper --depth 20 --epochs 100
Cost: 3 to 4 min a cell of it on an H100 that two cells share; without --epochs and --depth see ``--dry-run``.
Expect: errors of the two at 20 layers that one seed cannot tell apart, and updates that can be told apart.
"""

from adamprox.report import Claim, Figure, Verdict
from adamprox.sweep.grid import Grid
from adamprox.training import TrainingCell
from experiments import comparison, dispersion, single_cells
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "§4.1, Fig. 3"
ADAM_L2_AND_ADAMW = {
    "ResNet-20": ((1e-3, 5e-4), (1e-3, 5e-5)),
    "ResNet-44": ((5e-4, 5e-4), (5e-4, 5e-5)),
    "ResNet-56": ((5e-4, 5e-4), (5e-4, 5e-5)),
    "ResNet-110": ((1e-3, 5e-4), (5e-4, 1e-4)),
    "ResNet-218": ((5e-4, 5e-3), (5e-4, 5e-5)),
    "DenseNet": ((5e-4, 1e-3), (1e-3, 5e-5)),
}
"""Network to the best (α, λ) of Adam-ℓ2 and of AdamW: twelve of the nineteen commands that the authors publish."""

INDEPENDENT = ("ResNet-20", 100, 0.84)
"""Network, epochs, and the share of test images that AdamW got right elsewhere."""


def pairs(protocol: Protocol) -> dict[str, list[Arm]]:
    """A network of the paper to Adam-ℓ2 and AdamW, each at one cell; at smoke one network is enough."""
    left_out = set(ADAM_L2_AND_ADAMW) - {INDEPENDENT[0]} if protocol.preset == "smoke" else set()
    return {
        network: [
            Arm(optimizer, options=options, grid=Grid((alpha,), (weight_decay,)))
            for optimizer, (alpha, weight_decay) in zip(
                ("adam_l2", "adamw"), ADAM_L2_AND_ADAMW[network], strict=True
            )
        ]
        for network, options in protocol.networks.items()
        if network in ADAM_L2_AND_ADAMW and network not in left_out
    }


def cells(protocol: Protocol, records=()) -> list[TrainingCell]:
    """Two a network, the shallow ones first."""
    arms = [arm for pair in pairs(protocol).values() for arm in pair]
    return comparison.cells(arms, protocol.as_it_is(), records)  # pyright: ignore


def plot(protocol: Protocol, records) -> list[Figure]:
    """Curves and update histograms of the two, a figure each a network."""
    figures = []
    for network, arms in pairs(protocol).items():
        file = f"published_cells_{network.lower().replace('-', '_')}"
        title = f"The authors' best cells: {protocol.trained_on(protocol.networks[network])}."
        figures += comparison.best_curves(protocol.as_it_is(), arms, records, f"{file}_curves")
        figures += comparison.best_histograms(
            protocol.as_it_is(), arms, records, f"{file}_histograms", title
        )
    return figures


def judge(protocol: Protocol, records) -> list[Claim]:
    """Whose error is lower, whose updates are narrower, and is AdamW's error as it was elsewhere?"""
    if protocol.preset not in EXPERIMENT.cost:
        return [_not_scaled(network) for network in pairs(protocol)]
    single, claims = protocol.as_it_is(), []
    for network, (l2, adamw) in pairs(protocol).items():
        where = f"{network}, authors' cells: "
        claims += [
            single_cells.lower_error(single, adamw, l2, records, SECTION, where),
            dispersion.less_dispersed(single, adamw, l2, records, SECTION, where),
        ]
        if network == INDEPENDENT[0]:
            claims.append(single_cells.reaches(single, adamw, records, SECTION, *INDEPENDENT))
    return claims


def _not_scaled(network: str) -> Claim:
    reason = "The authors' λ is for runs as long as theirs: --preset paper."
    statement = f"{network}, authors' cells: AdamW's test error is lower than Adam-ℓ2's."
    return Claim(SECTION, statement, "—", "—", Verdict.NOT_TESTED, reason)


EXPERIMENT = Experiment(
    name="published_cells",
    title="Published cells · Without BatchNorm, at the authors' (α, λ)",
    claim="At the authors' best cells AdamW errs as little as elsewhere and less than Adam-ℓ2, with less dispersed updates.",
    cost={"smoke": "15 s", "paper": "2 months"},
    cells=cells,
    figures=plot,
    claims=judge,
)
