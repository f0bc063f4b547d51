"""§5: other regularizers for free. AdamProxL1 and a group variant train sparse networks.

Claim (§5): with the proximal operator of another regularizer the same step trains sparse networks, on
fully connected and on convolutional ones, at little loss of accuracy.
Command: python -m experiments l1_sparsity --preset demo
Cost: 40 s at smoke and at demo on two CPU cores.
Expect: half of the parameters exactly zero before the error rises. Groups are all or nothing, so whole
channels cost more. Decay (AdamW) makes weights small and never zero. Nothing is pruned or rounded.
"""

from adamprox.report import Claim, Figure
from adamprox.report.claims import compact
from adamprox.report.plots import COLORS, LABELS, canvas, plain_ticks
from adamprox.sweep import Record
from adamprox.training import TrainingCell
from experiments import sparsity
from experiments.experiment import Experiment
from experiments.protocol import Protocol
from experiments.sparsity import Path

ALPHA = 1e-3
# λ/α: a coordinate that Adam moves by α·u is held at zero by an l1 of λ while |u| < λ/α on average.
SHORT_RUN = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6)
LONG_RUN = (0.0, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)
OPTIMIZERS = ("adamprox_l1", "adamprox_group", "adamw")


def networks(protocol: Protocol) -> dict[str, dict]:
    """What a network is called, to its options; the demo's runs are longer than other figures'."""
    demo = protocol.preset == "demo"
    length = {"epochs": 84, "evaluate_every": 28} if demo else {}
    convolutional = {"depth": 8} if demo else {}
    return {
        "fully connected": {"network": "mlp", "depth": 3, "width": 128, **length},
        "convolutional": {**convolutional, **length},
    }


def decays(protocol: Protocol) -> list[float]:
    """λ, the same for all optimizers and networks."""
    ratios = {"smoke": (0.0, 0.3), "demo": SHORT_RUN}.get(protocol.preset, LONG_RUN)
    return [float(f"{ALPHA * ratio:.6g}") for ratio in ratios]


def paths(protocol: Protocol) -> list[Path]:
    """A path over λ for every optimizer on both networks."""
    return [
        Path(network, tuple(protocol.cell(name, ALPHA, d, **options) for d in decays(protocol)))
        for network, options in networks(protocol).items()
        for name in OPTIMIZERS
    ]


def cells(protocol: Protocol, records=()) -> list[TrainingCell]:
    """All paths, then more seeds of the cells that the claims on zeros compare."""
    every = paths(protocol)
    again = [
        cell
        for path in every
        if path.optimizer in sparsity.LITTLE
        for seeds in path.compared(protocol, records)
        for cell in seeds[1:]
    ]
    return [*(cell for path in every for cell in path.cells), *again]


def plot(protocol: Protocol, records) -> list[Figure]:
    """Test error against the share of exact zeros, along λ, a panel a network."""
    shown = networks(protocol)
    figure, axes = canvas(1, len(shown), 10.5, 3.8, sharey=True)
    for ax, network in zip(axes[0], shown, strict=True):
        for path in paths(protocol):
            if path.network == network:
                _draw(ax, path.optimizer, path.runs(records))
        ax.set(title=network, xlabel="exactly zero, %", xlim=(-3, 103))
    plain_ticks(axes[0, 0].yaxis)
    axes[0, 0].set_ylabel("test error, %")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    caption = (
        f"Along every line λ grows from 0 to {compact(decays(protocol)[-1])}. To the right at one "
        "height is sparsity for free. Zeros are counted in the parameters as they are: none is pruned "
        "or rounded. AdamW, at the same λ, stays at the left edge."
    )
    return [Figure("l1_sparsity", "How many weights does it take?", caption, figure)]


def _draw(ax, name: str, runs: list[Record]) -> None:
    y = [100 * r["final_test_error"] for r in runs]
    zeros = [100 * r["zero_share"] for r in runs]
    ax.semilogy(zeros, y, "o-", color=COLORS[name], label=f"{LABELS[name]}: parameters")
    if name == "adamprox_group":
        x = [100 * r["zero_channel_share"] for r in runs]
        label = f"{LABELS[name]}: channels"
        ax.semilogy(x, y, "s--", color=COLORS[name], mfc="white", label=label)


def judge(protocol: Protocol, records) -> list[Claim]:
    """Zeros at little loss by either operator on either network, and none by decay."""
    every = paths(protocol)
    claims = [
        sparsity.sparse(protocol, path, records)
        for name in sparsity.LITTLE
        for path in every
        if path.optimizer == name
    ]
    decayed = [path for path in every if path.optimizer == "adamw"]
    return [*claims, sparsity.no_zeros(protocol, decayed, records)]


EXPERIMENT = Experiment(
    name="l1_sparsity",
    title="Section 5 · Sparse networks",
    claim="With the prox of ℓ1, of parameters or of channels, the same step trains sparse networks.",
    cost={"smoke": "40 s", "demo": "40 s", "reduced": "30 min", "paper": "1 month"},
    cells=cells,
    figures=plot,
    claims=judge,
)
