"""A rival reading of what the reduced protocol says of dispersion: that it shows the same few images.

Claim (of this project): at the reduced protocol AdamW's updates spread more than Adam-ℓ2's, at the paper's
own size less. If that is because the reduced one shows a few images, always as they are, then AdamW's must
spread less than Adam-ℓ2's where images are more and come flipped and shifted.
Command: python -m experiments rival_images --preset reduced
Cost: 15 s at smoke on two CPU cores; see ``--dry-run`` for the others.
Expect: AdamW's curve above Adam-ℓ2's in the first row of panels; below it in the second if it is so.
"""

from collections.abc import Mapping

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import compact, untested
from adamprox.report.plots import COLORS, LABELS, canvas, spread_through_training
from experiments import comparison, dispersion, verdicts
from experiments.arm import Arm
from experiments.conditions import line, rows
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "Rival (g)"


def cells(protocol: Protocol, records=()):
    """The lines of both under every condition."""
    arms = [arm for row in rows(protocol).values() for arm in row]
    return comparison.cells(arms, protocol.as_it_is(), records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """The spread of updates through training, a row a condition, a column a λ."""
    found = rows(protocol)
    if not found:
        return []
    columns = max(len(line(arms[0])) for arms in found.values())
    figure, axes = canvas(len(found), columns, 1 + 2.6 * columns, 1 + 2.2 * len(found), sharey=True)
    for panels, (name, arms) in zip(axes, found.items(), strict=True):
        panels[0].set_ylabel(f"{name}\npowers of two")
        for arm in arms:
            own = {r["weight_decay"]: r for r in arm.tuned(protocol.as_it_is(), records)}
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
        "A curve at the lower edge is that of a network that has learned nothing."
    )
    title = "How far updates spread with few images and with more."
    return [Figure("rival_images", title, caption, figure)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Under either condition, whose spread is smaller; does AdamW's fall against Adam-ℓ2's?"""
    found = rows(protocol)
    each = [
        dispersion.less_dispersed_cell_by_cell(
            protocol.as_it_is(), adamw, l2, records, SECTION, f"With {name}: "
        )
        for name, (adamw, l2) in found.items()
    ]
    return [*each, _falls(protocol.as_it_is(), found, records)] if found else []


def _falls(protocol: Protocol, found: Mapping[str, list[Arm]], records) -> Claim:
    """AdamW's spread over Adam-ℓ2's is smaller under the second condition than under the first."""
    first, last = found.values()
    statement = "AdamW's spread falls against Adam-ℓ2's where images are more, flipped and shifted."
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
    name="rival_images",
    title="Rival (g) · The same few images",
    claim="With more images, flipped and shifted, AdamW's updates are less dispersed than Adam-ℓ2's.",
    cost={"smoke": "15 s", "reduced": "1 h"},
    cells=cells,
    figures=plot,
    claims=judge,
)
