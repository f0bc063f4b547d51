"""A rival reading of dispersed updates: AdamW's are not, as long as there is something left to learn.

Claim (of this project): at the reduced protocol AdamW's updates spread more than Adam-ℓ2's, at the paper's
own size less. The reduced one has few images and shows them as they are, so they are learned by heart
and gradients vanish. If that is the difference, it must go where nothing can be learned by heart: with
flips and crops, and with all images.
Command: python -m experiments rival_memorization --preset reduced
Cost: 15 s at smoke on two CPU cores; see ``--dry-run`` for the others.
Expect: AdamW's curve above Adam-ℓ2's in the first row of panels, and below it in the last.
"""

from collections.abc import Mapping

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import compact, untested
from adamprox.report.plots import COLORS, LABELS, canvas, spread_through_training
from experiments import comparison, dispersion, verdicts
from experiments.arm import Arm
from experiments.conditions import line, rows, single
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "Rival (g)"


def cells(protocol: Protocol, records=()):
    """The lines of both under every condition."""
    arms = [arm for row in rows(protocol).values() for arm in row]
    return comparison.cells(arms, single(protocol), records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """The spread of updates through training, a row a condition, a column a λ."""
    found = rows(protocol)
    columns = max(len(line(arms[0])) for arms in found.values())
    figure, axes = canvas(len(found), columns, 1 + 2.6 * columns, 1 + 2.2 * len(found), sharey=True)
    for panels, (name, arms) in zip(axes, found.items(), strict=True):
        panels[0].set_ylabel(f"{name}\npowers of two")
        for arm in arms:
            own = {r["weight_decay"]: r for r in arm.tuned(single(protocol), records)}
            for ax, decay in zip(panels, line(arm), strict=True):
                ax.set_title(f"λ = {compact(decay)}")
                if decay in own:
                    spread = spread_through_training(own[decay])
                    ax.plot(own[decay]["epoch"], spread, color=COLORS[arm.optimizer], label=LABELS[arm.optimizer])  # fmt: skip
    if axes[0, 0].lines:
        axes[0, 0].legend()
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    caption = (
        "The distance of the 10 % and 90 % quantiles of log2 |update|/α. Columns have equal λ · T. "
        "Where images are few and always the same, gradients vanish in the end."
    )
    title = "How far updates spread while there is something to learn."
    return [Figure("rival_memorization", title, caption, figure)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Under every condition, whose spread is smaller; does AdamW's fall against Adam-ℓ2's?"""
    found = rows(protocol)
    each = [
        dispersion.less_dispersed_cell_by_cell(
            single(protocol), adamw, l2, records, SECTION, f"With {name}: "
        )
        for name, (adamw, l2) in found.items()
    ]
    return [*each, _falls(single(protocol), found, records)]


def _falls(protocol: Protocol, found: Mapping[str, list[Arm]], records) -> Claim:
    """AdamW's spread over Adam-ℓ2's is smaller under the last condition than under the first."""
    first, *_, last = found.values()
    statement = "AdamW's spread falls against Adam-ℓ2's where images cannot be learned by heart."
    bar = "a smaller ratio of spreads at more than half of all λ · T (95 %)"
    if reason := verdicts.unfinished(protocol, (*first, *last), records):
        return verdicts.not_run(SECTION, statement, reason)
    if reason := untested(protocol.preset):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    pairs = [
        pair for pair in zip(*(_by_place(protocol, arms, records) for arms in (first, last)), strict=True)
        if None not in pair
    ]  # fmt: skip
    if not pairs:
        reason = f"At no λ · T each of the four networks {verdicts.LEARNED}."
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    before, after = np.array(pairs, float).T
    share, verdict = dispersion.most(after < before, "of λ · T")
    measured = (
        f"smaller at {share}; median ratio {np.median(after):.2f} for {np.median(before):.2f}"
    )
    return Claim(SECTION, statement, measured, bar, verdict, "One seed a cell.")


def _by_place(protocol: Protocol, arms: list[Arm], records) -> list[float | None]:
    """Ratios of spreads in the order of λ, None where a network has learned nothing."""
    found = dispersion.ratios(protocol, arms, records)
    return [found.get(decay) for decay in line(arms[0])]


EXPERIMENT = Experiment(
    name="rival_memorization",
    title="Rival (g) · Updates once images are learned by heart",
    claim="Where images cannot be learned by heart, AdamW's updates are less dispersed than Adam-ℓ2's.",
    cost={"smoke": "15 s", "reduced": "2 h"},
    cells=cells,
    figures=plot,
    claims=judge,
)
