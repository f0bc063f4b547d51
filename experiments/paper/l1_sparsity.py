"""§5: AdamProx with the ℓ1 norm, or with a norm of channels, trains sparse networks.

Claim (§5): with the proximal operator of another regularizer the same step trains sparse networks, fully
connected and convolutional, at little loss of accuracy.
Command: python -m experiments l1_sparsity --preset demo
Expect: with ℓ1, half of the parameters exactly zero before the error rises; with groups, fewer whole channels.
AdamW's decay makes weights small and never zero. Nothing is pruned or rounded.
"""

import dataclasses
from collections.abc import Mapping

from adamprox.report import Claim, Figure
from adamprox.report.claims import compact
from adamprox.report.plots import COLORS, LABELS, canvas, plain_ticks
from experiments.claims import sparsity
from experiments.claims.sparsity import Line, Zeros
from experiments.protocol import Experiment, Options, Protocol, Records, Study

ALPHA = 1e-3
ZEROS = {
    "adamprox_l1": Zeros("zero_share", 0.5, "parameters"),
    "adamprox_group": Zeros("zero_channel_share", 0.25, "output channels"),
    "adamw": None,
}
"""Optimizer to the zeros that it should make, None if none."""

NETWORKS: Mapping[str, Options] = {
    "fully connected": {"network": "mlp", "depth": 3, "width": 128},
    "convolutional": {},
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Values of λ/α, and options by network.

    The ℓ1 step keeps a coordinate at zero while Adam's step α·u has |u| < λ/α on average.
    """

    ratios: tuple[float, ...] = (0.0, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)
    networks: Mapping[str, Options] = dataclasses.field(default_factory=lambda: NETWORKS)


class Sparsity(Study):
    """Runs along λ for every optimizer on both networks."""

    def __init__(self, protocol: Protocol, records: Records):
        """Find the runs; the claims on zeros compare two of them with more seeds."""
        settings = protocol.settings_of("l1_sparsity", Settings)
        self.networks = list(settings.networks)
        self.decays = [float(f"{ALPHA * ratio:.6g}") for ratio in settings.ratios]
        self.lines = [
            Line(
                name,
                [protocol.run(optimizer, ALPHA, decay, **options) for decay in self.decays],
                zeros,
                protocol,
                records,
            )
            for name, options in settings.networks.items()
            for optimizer, zeros in ZEROS.items()
        ]
        self.runs = [run for line in self.lines for run in line.runs]

    def figures(self) -> list[Figure]:
        """Draw test error against the share of exact zeros, one panel per network."""
        figure, axes = canvas(1, len(self.networks), 10.5, 3.8, sharey=True)
        for ax, network in zip(axes[0], self.networks, strict=True):
            for line in self.lines:
                if line.network == network:
                    _draw(ax, line)
            ax.set(title=network, xlabel="exactly zero, %", xlim=(-3, 103))
        plain_ticks(axes[0, 0].yaxis)
        axes[0, 0].set_ylabel("test error, %")
        axes[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
        caption = (
            f"λ grows along every line from 0 to {compact(self.decays[-1])}. Networks further right are sparser; "
            "lower ones have a lower error. Nothing is pruned or rounded. AdamW, at the same values of λ, has "
            "no zeros."
        )
        return [Figure("l1_sparsity", "Test error against exact zeros.", caption, figure)]

    def claims(self) -> list[Claim]:
        """Judge the zeros of both operators on both networks, and those of AdamW."""
        by_optimizer = [line for name in ZEROS for line in self.lines if line.optimizer == name]
        sparse = [sparsity.sparse(line) for line in by_optimizer if line.zeros]
        decayed = [line for line in self.lines if not line.zeros]
        return [*sparse, sparsity.no_zeros(decayed)]


def _draw(ax, line: Line) -> None:
    y = [100 * r["final_test_error"] for r in line.finished]
    zeros = [100 * r["zero_share"] for r in line.finished]
    color, label = COLORS[line.optimizer], LABELS[line.optimizer]
    ax.semilogy(zeros, y, "o-", color=color, label=f"{label}: parameters")
    if line.zeros and line.zeros.column != "zero_share":
        x = [100 * r[line.zeros.column] for r in line.finished]
        ax.semilogy(x, y, "s--", color=color, mfc="white", label=f"{label}: channels")


EXPERIMENT = Experiment(
    name="l1_sparsity",
    title="Section 5 · Sparse networks",
    claim="Adam with a proximal step for ℓ1, or for groups (channels), trains sparse networks.",
    study=Sparsity,
)
