"""§3: scale-free optimizers do not feel the scale of a gradient coordinate, bit for bit.

Claim (§3): multiply each coordinate's gradients by its own positive constant; with ε = 0 the
iterates of AdamW and AdamProx do not move, those of Adam-ℓ2 do.
Command: python -m experiments scale_freeness
Cost: about 15 s on two CPU cores.
Expect: deviation exactly 0 at ε = 0, growing with ε as gradients of small scale sink under it.
"""

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.plots import COLORS, LABELS, canvas
from experiments.experiment import Experiment
from experiments.scale_freeness_cell import EPSILONS, OPTIMIZERS, ScaleFreenessCell


def plot(_, records) -> list[Figure]:
    """Deviation against ε, one line an optimizer; exact zeros stand on the floor of the plot."""
    record, floor = records[0], 1e-9
    figure, axes = canvas(1, 1, 7.5, 3.8)
    ax = axes[0, 0]
    x = [e or 1e-18 for e in record["epsilons"]]
    for rank, name in enumerate(OPTIMIZERS):
        y = np.maximum(record[name], floor * 1.5**rank)
        ax.loglog(x, y, "o-", color=COLORS[name], label=LABELS[name], ms=5)
    ax.axhspan(floor / 2, floor * 8, color="#2a6f97", alpha=0.08, lw=0)
    ax.text(2e-7, floor * 1.6, "bit-identical", color="#2a6f97")
    ax.set_xticks(x, ["0", *(f"1e{round(np.log10(e))}" for e in record["epsilons"][1:])])
    ax.set(xlabel="ε", ylabel="largest relative deviation", ylim=(floor / 2, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    caption = (
        "How far the parameters move when every gradient coordinate is multiplied by its own power "
        "of two between 2⁻²⁰ and 2²⁰. Look at ε = 0 on the left: all but Adam-ℓ2 stand on the floor."
    )
    return [Figure("scale_freeness", "Who feels the scale of the gradient?", caption, figure)]


def judge(_, records) -> list[Claim]:
    """Exactly zero at ε = 0 for all but Adam-ℓ2."""
    at_zero = {name: records[0][name][0] for name in OPTIMIZERS}
    scale_free = {name: d for name, d in at_zero.items() if name != "adam_l2"}
    holds = all(d == 0 for d in scale_free.values()) and at_zero["adam_l2"] > 0
    steps, r = records[0]["steps"], records[0]["log2_range"]
    worst = max(scale_free.values())
    return [
        Claim(
            "§3",
            "AdamW and every AdamProx are scale-free at ε = 0, Adam-ℓ2 is not.",
            f"deviation after {steps} real gradients scaled by 2^±{r}: {worst:g} (worst of "
            f"{len(scale_free)}), {at_zero['adam_l2']:.1e} (Adam-ℓ2)",
            "exactly 0, bit for bit; above 0 for Adam-ℓ2",
            Verdict.REPRODUCED if holds else Verdict.NOT_REPRODUCED,
        )
    ]


EXPERIMENT = Experiment(
    name="scale_freeness",
    title="Section 3 · Scale-freeness",
    claim="Scaling gradient coordinates moves Adam-ℓ2's iterates and not AdamW's.",
    cost={"smoke": "15 s", "demo": "15 s", "reduced": "15 s", "paper": "15 s"},
    cells=lambda protocol, _: [
        ScaleFreenessCell(epsilons=(0.0, 1e-8) if protocol.preset == "smoke" else EPSILONS)
    ],
    figures=plot,
    claims=judge,
)
