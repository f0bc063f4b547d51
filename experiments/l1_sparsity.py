"""§5: other regularizers for free. AdamProxL1 and a group variant train sparse networks.

Claim (§5): with the proximal operator of another regularizer the same step trains sparse networks, on
fully connected and on convolutional ones, at little loss of accuracy.
Command: python -m experiments l1_sparsity --preset demo
Cost: 40 s at smoke and at demo on two CPU cores.
Expect: half of the parameters exactly zero before the error rises. Groups are all or nothing, so whole
channels cost more. Decay (AdamW) makes weights small and never zero. Nothing is pruned or rounded.
"""

from collections.abc import Sequence

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import compact, noise, percent, untested
from adamprox.report.plots import COLORS, LABELS, canvas, plain_ticks
from adamprox.sweep import Record
from adamprox.training import TrainingCell
from experiments import verdicts
from experiments.experiment import Experiment
from experiments.protocol import Protocol

ALPHA = 1e-3
# λ/α: a coordinate that Adam moves by α·u is held at zero by an l1 of λ while |u| < λ/α on average.
SHORT_RUN = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6)
LONG_RUN = (0.0, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)
OPTIMIZERS = ("adamprox_l1", "adamprox_group", "adamw")
LITTLE = {"adamprox_l1": ("zero_share", 0.5), "adamprox_group": ("zero_channel_share", 0.25)}
"""The column that must reach the bar, at an error that is not above that of λ = 0 beyond noise."""


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


def planned(protocol: Protocol, network: str, name: str) -> list[TrainingCell]:
    """A path over λ of one optimizer on one network."""
    options = networks(protocol)[network]
    return [
        protocol.cell(name, ALPHA, weight_decay, batch_norm=False, **options)
        for weight_decay in decays(protocol)
    ]


def cells(protocol: Protocol, _=()) -> list[TrainingCell]:
    """A path over λ for every optimizer on both networks."""
    return [
        cell
        for network in networks(protocol)
        for name in OPTIMIZERS
        for cell in planned(protocol, network, name)
    ]


def path(protocol: Protocol, records, network: str, name: str) -> list[Record]:
    """The runs of one optimizer on one network that ended well, by λ."""
    family = networks(protocol)[network].get("network", "resnet")
    mine = [r for r in records if (r["network"], r["optimizer"]) == (family, name)]
    finished = [r for r in mine if r["final_test_error"] is not None and "zero_share" in r]
    return sorted(finished, key=lambda r: r["weight_decay"])


def plot(protocol: Protocol, records) -> list[Figure]:
    """Test error against the share of exact zeros, along λ, a panel a network."""
    shown = networks(protocol)
    figure, axes = canvas(1, len(shown), 10.5, 3.8, sharey=True)
    for ax, network in zip(axes[0], shown, strict=True):
        for name in OPTIMIZERS:
            runs = path(protocol, records, network, name)
            y = [100 * r["final_test_error"] for r in runs]
            zeros = [100 * r["zero_share"] for r in runs]
            ax.semilogy(zeros, y, "o-", color=COLORS[name], label=f"{LABELS[name]}: parameters")
            if name == "adamprox_group":
                x = [100 * r["zero_channel_share"] for r in runs]
                label = f"{LABELS[name]}: channels"
                ax.semilogy(x, y, "s--", color=COLORS[name], mfc="white", label=label)
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


def sparse(protocol: Protocol, records, network: str, name: str) -> Claim:
    """Whether some λ makes the network sparse at an error within noise of that at λ = 0."""
    column, share = LITTLE[name]
    what = "parameters" if column == "zero_share" else "output channels"
    statement = f"{LABELS[name]} makes the {network} network sparse at little loss of accuracy."
    bar = (
        f"at least {percent(share)} of the {what} exactly zero, error not above λ = 0 beyond noise"
    )
    if reason := verdicts.without_record(planned(protocol, network, name), records):
        return verdicts.not_run("§5", statement, reason)
    runs = path(protocol, records, network, name)
    dense = next((r for r in runs if r["weight_decay"] == 0), None)
    if (reason := untested(protocol.preset, dense, len(runs) > 1)) or not dense:
        return Claim("§5", statement, "—", bar, Verdict.NOT_TESTED, reason or "")
    error = dense["final_test_error"]
    good = [r for r in runs if r["final_test_error"] - error <= noise(r, dense)]
    top = max(good, key=lambda r: r[column])
    measured = (
        f"{percent(top[column])} at λ = {compact(top['weight_decay'])}, test error "
        f"{percent(top['final_test_error'])} for {percent(error)}"
    )
    verdict = Verdict.HOLDS if top[column] >= share else Verdict.FAILS
    note = f"{len(runs)} values of λ, one seed."
    if protocol.preset == "demo":
        note += " The demo's runs are short: a channel has a few hundred steps to become empty."
    return Claim("§5", statement, measured, bar, verdict, note)


def contrast(protocol: Protocol, records: Sequence[Record]) -> Claim:
    """AdamW's zeros, at every λ on both networks."""
    statement, bar = "At the same λ AdamW makes no parameter exactly zero.", "none in any run"
    cells = [cell for network in networks(protocol) for cell in planned(protocol, network, "adamw")]
    if reason := verdicts.without_record(cells, records):
        return verdicts.not_run("§5", statement, reason)
    runs = [r for network in networks(protocol) for r in path(protocol, records, network, "adamw")]
    if reason := untested(protocol.preset, runs):
        return Claim("§5", statement, "—", bar, Verdict.NOT_TESTED, reason)
    worst = max(r["zero_share"] for r in runs)
    verdict = Verdict.FAILS if worst else Verdict.HOLDS
    return Claim("§5", statement, f"at most {100 * worst:.3g} % in {len(runs)} runs", bar, verdict)


EXPERIMENT = Experiment(
    name="l1_sparsity",
    title="Section 5 · Sparse networks",
    claim="With the prox of ℓ1, of parameters or of channels, the same step trains sparse networks.",
    cost={"smoke": "40 s", "demo": "40 s", "reduced": "25 min", "paper": "1 month"},
    cells=cells,
    figures=plot,
    claims=lambda protocol, records: [
        *(sparse(protocol, records, n, name) for name in LITTLE for n in networks(protocol)),
        contrast(protocol, records),
    ],
)
