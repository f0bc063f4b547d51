"""SGD with momentum does not train a deep ResNet without BatchNorm, at any learning rate.

Claim (§4.1): without BatchNorm, ResNet-110 with SGD of momentum 0.9 and λ = 1e-4 diverges even at a
learning rate of 1e-10.
Command: python -m experiments sgd_divergence --preset reduced
Cost: 20 s at smoke, 60 s at demo (56 layers, most of it compilation) on two CPU cores.
Expect: gradients at the start grow with depth (by 1e9 at 110 layers), so a learning rate that is small
enough not to diverge there is too small to get anywhere; Adam divides by that scale.
"""

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import compact, percent, untested
from adamprox.report.plots import COLORS, LABELS, canvas
from adamprox.sweep import Record
from adamprox.training import TrainingCell
from experiments import verdicts
from experiments.experiment import Experiment
from experiments.protocol import Protocol

WEIGHT_DECAY = 1e-4
LEARNING_RATES = tuple(float(f"1e{k}") for k in range(-10, 0))
TRAINS = 0.7  # a training error below this; guessing among ten classes errs on 0.9
SHORT = {
    "smoke": (8, (1e-10, 1e-1), None),
    "demo": (56, (1e-10, 1e-6, 1e-4, 1e-2), 20),
}
"""Depth, learning rates and epochs where the published ones take too long."""


def depth(protocol: Protocol) -> int:
    """Of the network: 110 but where that takes too long."""
    return SHORT.get(protocol.preset, (110,))[0]


def cells(protocol: Protocol, _=()) -> list[TrainingCell]:
    """SGD at every learning rate, and AdamW once."""
    _, learning_rates, epochs = SHORT.get(protocol.preset, (110, LEARNING_RATES, None))
    options = {"depth": depth(protocol), "batch_norm": False}
    reference = protocol.cell("adamw", 1e-3, WEIGHT_DECAY, **options)
    if epochs:
        reference = reference.with_options(epochs=epochs)
    sgd = reference.with_options(optimizer="sgd")
    return [*(sgd.with_options(learning_rate=a) for a in learning_rates), reference]


def trains(record: Record) -> bool:
    """Whether a run learned more of its training images than chance would."""
    return not record["diverged_step"] and record["train_error"][-1] < TRAINS


def split(records) -> tuple[list[Record], Record | None]:
    """SGD's records by learning rate, and AdamW's, if there is one."""
    sgd = [r for r in records if r["optimizer"] == "sgd"]
    reference = next((r for r in records if r["optimizer"] == "adamw"), None)
    return sorted(sgd, key=lambda r: r["learning_rate"]), reference


def plot(protocol: Protocol, records) -> list[Figure]:
    """Final training error against the learning rate; where it diverged, hatched up to the top."""
    sgd, reference = split(records)
    figure, axes = canvas(1, 1, 7.5, 3.6)
    ax = axes[0, 0]
    for place, record in enumerate(sgd):
        step = record["diverged_step"]
        height = 100.0 if step else 100 * record["train_error"][-1]
        style = {"facecolor": "white", "edgecolor": "#b23a2e", "hatch": "////", "linewidth": 0}
        ax.bar(place, height, 0.8, **(style if step else {"color": COLORS["sgd"]}))
        text = f"diverged\nat step {step}" if step else f"{height:.0f} %"
        ax.text(place, 50 if step else height + 2, text, ha="center", fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    ax.axhline(90, color="#999999", lw=1, ls=":", label="guessing")
    if reference and not reference["diverged_step"]:
        label = f"{LABELS['adamw']}, α = {compact(reference['learning_rate'])}"
        ax.axhline(100 * reference["train_error"][-1], color=COLORS["adamw"], lw=2, label=label)
    ax.set_xticks(range(len(sgd)), [compact(r["learning_rate"]) for r in sgd])
    ax.set(xlabel="learning rate of SGD", ylabel="training error, %", ylim=(0, 108))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    caption = (
        f"ResNet-{depth(protocol)} without BatchNorm, λ = {compact(WEIGHT_DECAY)}: hatched runs ended "
        "in numbers that are not finite, gray ones ran to the end. A column that reaches clearly below "
        "the dotted line has learned something."
    )
    return [Figure("sgd_divergence", "No learning rate is small enough.", caption, figure)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Diverged or at chance at every learning rate, where AdamW trains."""
    sgd, reference = split(records)
    statement = (
        f"SGD with momentum does not train ResNet-{depth(protocol)} without BatchNorm at any of "
        f"{len(sgd)} learning rates."
    )
    bar = f"every run diverges or ends with a training error above {percent(TRAINS)}; AdamW's is below"
    if reason := verdicts.without_record(cells(protocol), records):
        return [verdicts.not_run("§4.1", statement, reason)]
    if (reason := untested(protocol.preset, sgd, reference)) or not reference:
        return [Claim("§4.1", statement, "—", bar, Verdict.NOT_TESTED, reason or "")]
    diverged = [r for r in sgd if r["diverged_step"]]
    learned = [r for r in sgd if trains(r)]
    stuck = len(sgd) - len(diverged) - len(learned)
    measured = f"{len(diverged)} diverged, {stuck} stuck, {len(learned)} trained"
    if learned:
        errors = [
            f"{percent(r['train_error'][-1])} at {compact(r['learning_rate'])}" for r in learned
        ]
        measured += f" (training error {', '.join(errors)})"
    ends = reference["train_error"][-1]
    end = (
        "diverged"
        if reference["diverged_step"]
        else f"ends with a training error of {percent(ends)}"
    )
    measured += f"; AdamW {end}"
    note = (
        ""
        if trains(reference)
        else "AdamW does not train here either, so SGD's failure says little."
    )
    if stuck:
        note = f"{note} The paper says that it diverges; where it is stuck it does not.".strip()
    verdict = Verdict.REPRODUCED if trains(reference) else Verdict.INCONCLUSIVE
    return [
        Claim(
            "§4.1", statement, measured, bar, Verdict.NOT_REPRODUCED if learned else verdict, note
        )
    ]


EXPERIMENT = Experiment(
    name="sgd_divergence",
    title="Section 4.1 · SGD without BatchNorm",
    claim="SGD with momentum does not train a deep ResNet without BatchNorm, however small its steps.",
    cost={"smoke": "20 s", "demo": "60 s", "reduced": "1 h", "paper": "3 months"},
    cells=cells,
    figures=plot,
    claims=judge,
)
