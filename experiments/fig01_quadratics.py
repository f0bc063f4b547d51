"""Fig. 1: gradient descent sees the condition number, AdamW does not.

Claim (§3, Fig. 1): on two quadratics with the same minimizer and condition numbers 1 and 1e5, tuned
gradient descent follows different trajectories; tuned AdamW, being scale-free, follows one.
Command: python -m experiments fig01
Cost: seconds at every preset (one jitted program).
Expect: AdamW's two trajectories on top of each other; gradient descent in one step, or nowhere.
"""

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.plots import COLORS, LABELS, canvas
from experiments.experiment import Experiment
from experiments.quadratics_cell import METHODS, MINIMIZER, START, QuadraticsCell


def distance(record, method: str) -> float:
    """The largest distance between the two trajectories of a method, step by step."""
    first, second = (np.asarray(record[f"{method}_{i}_path"]) for i in (0, 1))
    return float(np.linalg.norm(first - second, axis=1).max())


def plot(_, records) -> list[Figure]:
    """Two panels, one a method, with the trajectories on both problems over the level lines."""
    record = records[0]
    figure, axes = canvas(1, 2, 9.5, 4.0, sharex=True, sharey=True)
    for ax, method in zip(axes[0], METHODS, strict=True):
        for i, (width, style) in enumerate([(4.5, "-"), (1.6, "--")]):
            path = np.asarray(record[f"{method}_{i}_path"])
            size, kappa = record[f"{method}_{i}_step_size"], record["condition_numbers"][i]
            color = COLORS[method] if i == 0 else "#222222"
            label = f"κ = {kappa:g}, step size {size:.2g}"
            ax.plot(*path.T, style, lw=width, color=color, alpha=0.5 if i == 0 else 1, label=label)
        ax.plot(*START, "o", color="#222222", ms=5)
        ax.plot(*MINIMIZER, "*", color="#e4572e", ms=14, zorder=5)
        gap = distance(record, method)
        ax.set(title=f"{LABELS[method]}: apart by up to {gap:.1g}", xlabel="x₁ (curvature 1)")
        ax.legend(loc="upper right")
    axes[0, 0].set_ylabel("x₂ (curvature κ)")
    caption = (
        "From the dot to the star, the minimizer of both problems. The broad line is condition "
        "number 1, the dashed one 1e5. Gradient descent's part: on the second problem it drops in x₂ "
        "and then crawls. AdamW's lie on each other."
    )
    return [Figure("fig01_quadratics", "One landscape, stretched 100,000 times.", caption, figure)]


def judge(_, records) -> list[Claim]:
    """AdamW's trajectories agree to rounding; gradient descent's do not."""
    gaps = {method: distance(records[0], method) for method in METHODS}
    holds = gaps["adamw"] <= 1e-4 and gaps["gd"] >= 0.1
    return [
        Claim(
            "§3, Fig. 1",
            "The condition number of a diagonal quadratic changes gradient descent's trajectory "
            "and not AdamW's (ε = 0, step sizes tuned).",
            f"trajectories apart by up to {gaps['adamw']:.1e} (AdamW), {gaps['gd']:.2f} (GD)",
            "AdamW ≤ 1e-4, GD ≥ 0.1 (the start is 2.2 from the minimizer)",
            Verdict.REPRODUCED if holds else Verdict.NOT_REPRODUCED,
        )
    ]


EXPERIMENT = Experiment(
    name="fig01",
    title="Figure 1 · Quadratics",
    claim="The condition number changes gradient descent's trajectory, not AdamW's.",
    cost={"smoke": "3 s", "demo": "3 s", "reduced": "3 s", "paper": "3 s"},
    cells=lambda *_: [QuadraticsCell()],
    figures=plot,
    claims=judge,
)
