"""Fig. 3: without BatchNorm, AdamW beats Adam-ℓ2, and its updates are less dispersed.

Claim (§4.1, Fig. 3): training deep networks without BatchNorm, AdamW's best test error is lower than
Adam-ℓ2's, the more so the deeper the network, and the magnitudes of its updates are concentrated where
Adam-ℓ2's are spread out.
Command: python -m experiments fig03 --preset demo
Cost: 80 s at demo on two CPU cores; see ``--dry-run`` for the others.
Expect: the histograms to differ plainly; errors within the noise of a small test set.
"""

from adamprox.report import Claim, Figure
from experiments import comparison, dispersion, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "§4.1, Fig. 3"
OPTIMIZERS = ("adam_l2", "adamw", "adamprox")


def rows(protocol: Protocol) -> dict[str, list[Arm]]:
    """A network of the paper to its three arms."""
    return {
        network: [Arm.on(network, optimizer, protocol) for optimizer in OPTIMIZERS]
        for network in protocol.networks
    }


def cells(protocol: Protocol, records=()):
    """The grids of the three optimizers on every network."""
    return comparison.cells([a for row in rows(protocol).values() for a in row], protocol, records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """Heatmaps; curves of the best cells; their update histograms."""
    caption = (
        "Final test error in percent; the best cell is ringed, empty tiles were not run. The same λ "
        "is a different thing to the left and to the right: AdamW decays by it at every step, "
        "Adam-ℓ2 adds it to gradients that Adam then divides by their own size."
    )
    figures = []
    for network, arms in rows(protocol).items():
        title = f"{protocol.trained_on(protocol.networks[network])}."
        file = f"fig03_{network.lower().replace('-', '_')}"
        figures += [
            *comparison.heatmaps(protocol, [arms], records, f"{file}_heatmaps", title, caption),
            *comparison.best_curves(protocol, arms, records, f"{file}_curves"),
            *comparison.best_histograms(
                protocol, arms, records, f"{file}_histograms", "How large the updates are."
            ),
        ]
    return figures


def judge(protocol: Protocol, records) -> list[Claim]:
    """Lower best error, beyond noise; smaller spread of updates; a gap that grows with depth."""
    claims = []
    for network, (l2, adamw, _) in rows(protocol).items():
        where = f"{network} without BatchNorm: "
        claims += [
            verdicts.lower_error(protocol, adamw, l2, records, SECTION, where),
            dispersion.less_dispersed(protocol, adamw, l2, records, SECTION, where),
        ]
    resnets = [arms[:2] for name, arms in rows(protocol).items() if name.startswith("ResNet")]
    pairs = [(adamw, l2) for l2, adamw in resnets]
    return [*claims, verdicts.widening_gap(protocol, pairs, records, SECTION)]


def headline(protocol: Protocol, records) -> list[tuple[str, str]]:
    """Return the lead of AdamW over Adam-ℓ2 on every network that has run."""
    leads = {
        network: verdicts.lead(protocol, adamw, l2, records)
        for network, (l2, adamw, _) in rows(protocol).items()
    }
    what = "lead of AdamW over Adam-ℓ2 in test error"
    return [
        (str(lead), f"{what}, {network} without BatchNorm (± 95 %)")
        for network, lead in leads.items()
        if lead
    ]


EXPERIMENT = Experiment(
    name="fig03",
    title="Figure 3 · Deep networks without BatchNorm",
    claim="Without BatchNorm AdamW reaches a lower error than Adam-ℓ2, with less dispersed updates.",
    cost={"smoke": "30 s", "demo": "80 s", "reduced": "25 h", "paper": "9 years"},
    cells=cells,
    figures=plot,
    headline=headline,
    claims=judge,
)
