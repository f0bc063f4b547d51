"""A rival reading of Fig. 5: AdamProx against AdamW is a change of hyperparameters by λ, below any noise.

Claim (of this project): at η = 1, AdamProx(α, λ) is AdamW(α/(1+λ), λ/(1+λ)), so that Fig. 5 compares AdamW
with itself at hyperparameters that differ by a factor of 1 + λ. What it shows must be smaller than what
another order of the examples does.
Command: python -m experiments rival_perturbation --preset demo
Cost: 20 s at demo on two CPU cores: a few cells more than fig05's.
Expect: the three columns of dots equally high and equally wide.
"""

import dataclasses

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import estimate, percent, untested
from adamprox.report.plots import COLORS, canvas
from adamprox.sweep import cell_key
from experiments import comparison, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "§4.3, rival (b)"
SEEDS = 3
NAMES = ("AdamW at (α, λ)", "AdamProx at (α, λ)", "AdamW at (α, λ)/(1 + λ)")


def arms(protocol: Protocol) -> list[Arm]:
    """AdamW, whose best cell is what is perturbed."""
    return [Arm("adamw", options=protocol.deep)]


def families(protocol: Protocol, records=()):
    """Cells of the three, one a seed, at the best (α, λ > 0) of AdamW; none before it is known."""
    tuned = arms(protocol)[0].tuned(protocol, records)
    finished = [r for r in tuned if r["final_test_error"] is not None and r["weight_decay"]]
    if not finished:
        return []
    top = min(finished, key=lambda r: r["final_test_error"])
    alpha, decay = top["learning_rate"], top["weight_decay"]
    first = [
        protocol.cell("adamw", alpha, decay, **protocol.deep),
        protocol.cell("adamprox", alpha, decay, **protocol.deep),
        protocol.cell("adamw", alpha / (1 + decay), decay / (1 + decay), **protocol.deep),
    ]
    seeds = range(first[0].seed, first[0].seed + max(SEEDS, protocol.seeds))
    return [[dataclasses.replace(cell, seed=seed) for seed in seeds] for cell in first]


def cells(protocol: Protocol, records=()):
    """AdamW's grid, then all seeds."""
    grid = comparison.cells(arms(protocol), protocol, records)
    return [*grid, *(cell for family in families(protocol, records) for cell in family)]


def runs(protocol: Protocol, records):
    """Records of the three families that finished."""
    known = {r["key"]: r for r in records if r["final_test_error"] is not None}
    keys = [[cell_key(cell) for cell in family] for family in families(protocol, records)]
    return [[known[key] for key in family if key in known] for family in keys]


def plot(protocol: Protocol, records) -> list[Figure]:
    """A dot a seed."""
    found = runs(protocol, records)
    if not found:
        return []
    figure, axes = canvas(1, 1, 6.5, 3.2)
    for place, family in enumerate(found):
        errors = [100 * r["final_test_error"] for r in family]
        axes[0, 0].plot([place] * len(errors), errors, "o", color=COLORS["adamw"], alpha=0.7)
    axes[0, 0].set(ylabel="test error, %", xlim=(-0.5, len(found) - 0.5))
    axes[0, 0].set_xticks(range(len(found)), NAMES)
    caption = "A dot a seed. The second and the third are the same optimizer but for rounding."
    return [Figure("rival_perturbation", "Less than another seed.", caption, figure)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """The difference of means is below the spread of seeds."""
    statement = "AdamProx differs from AdamW by less than one seed from another."
    bar = "difference of means below the range of AdamW's seeds"
    if reason := verdicts.unfinished(protocol, arms(protocol), records):
        return [verdicts.not_run(SECTION, statement, reason)]
    found = runs(protocol, records)
    if reason := untested(protocol.preset, found and all(len(f) >= SEEDS for f in found)):
        return [Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)]
    errors = [np.array([r["final_test_error"] for r in family]) for family in found]
    difference, spread = abs(errors[1].mean() - errors[0].mean()), np.ptp(errors[0])
    measured = ", ".join(f"{estimate(f)} ({n})" for f, n in zip(found, NAMES, strict=True))
    verdict = Verdict.REPRODUCED if difference < spread else Verdict.NOT_REPRODUCED
    note = f"Means differ by {percent(difference)}, seeds of AdamW range over {percent(spread)}."
    return [Claim(SECTION, statement, measured, bar, verdict, note)]


EXPERIMENT = Experiment(
    name="rival_perturbation",
    title="Rival (b) · A change smaller than a seed",
    claim="Fig. 5 compares AdamW with itself at hyperparameters that differ by a factor of 1 + λ.",
    cost={"smoke": "15 s", "demo": "20 s", "reduced": "1 h", "paper": "0.6 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
