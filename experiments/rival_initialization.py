"""A rival of the protocol: one fixed initialization hides how much depends on it.

Claim (of this project): at depth 110 the gradient at initialization varies tenfold from one draw of the
parameters to the next. A comparison at one initialization, as published, may be luck.
Command: python -m experiments rival_initialization --preset reduced
Cost: see ``--dry-run``; 20 s at smoke on two CPU cores.
Expect: AdamW ahead at every initialization, or the verdict of Fig. 3 to be one of a single draw.
"""

import dataclasses

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import percent, untested
from adamprox.report.plots import COLORS, LABELS, canvas
from adamprox.sweep import cell_key
from experiments import comparison, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "Rival (e)"
OPTIMIZERS = ("adam_l2", "adamw")
INITIALIZATIONS = 5


def arms(protocol: Protocol) -> list[Arm]:
    """Both, tuned at the published initialization."""
    return [Arm(name, options=protocol.deep) for name in OPTIMIZERS]


def repeated(protocol: Protocol, arm: Arm, records):
    """The best cell of an arm at every initialization; none before it is known."""
    best = arm.best(protocol, records)
    if best is None:
        return []
    at = best["learning_rate"], best["weight_decay"]
    first = protocol.cell(arm.optimizer, *at, **arm.options)
    return [dataclasses.replace(first, init_seed=seed) for seed in range(INITIALIZATIONS)]


def cells(protocol: Protocol, records=()):
    """The grids, then the initializations."""
    pair = arms(protocol)
    again = [cell for arm in pair for cell in repeated(protocol, arm, records)]
    return [*comparison.cells(pair, protocol, records), *again]


def errors(protocol: Protocol, records) -> np.ndarray:
    """Test errors, float[2, initializations], NaN where a run diverged or is not there."""
    known = {r["key"]: r["final_test_error"] for r in records}
    rows = [
        [known.get(cell_key(cell)) for cell in repeated(protocol, arm, records)]
        for arm in arms(protocol)
    ]
    return np.array([row or [None] * INITIALIZATIONS for row in rows], float)


def plot(protocol: Protocol, records) -> list[Figure]:
    """A line an optimizer over the initializations."""
    figure, axes = canvas(1, 1, 6.5, 3.2)
    for name, row in zip(OPTIMIZERS, errors(protocol, records), strict=True):
        axes[0, 0].plot(
            range(INITIALIZATIONS), 100 * row, "o-", color=COLORS[name], label=LABELS[name]
        )
    axes[0, 0].set(xlabel="initialization", ylabel="test error, %", xticks=range(INITIALIZATIONS))
    axes[0, 0].legend()
    caption = "The best cell of each, tuned at initialization 0, run from others."
    return [Figure("rival_initialization", "Other draws of the parameters.", caption, figure)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """AdamW is ahead at every initialization."""
    statement = "AdamW's lead over Adam-ℓ2 does not depend on the initialization."
    bar = f"ahead at all {INITIALIZATIONS} initializations by more than the noise of the test set; behind by more: fails"
    if reason := verdicts.unfinished(protocol, arms(protocol), records):
        return [verdicts.not_run(SECTION, statement, reason)]
    again = [cell for arm in arms(protocol) for cell in repeated(protocol, arm, records)]
    if reason := verdicts.without_record(again, records):
        return [verdicts.not_run(SECTION, statement, reason)]
    rows = errors(protocol, records)
    if reason := untested(protocol.preset, bool(np.isfinite(rows).any(axis=1).all())):
        return [Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)]
    l2, adamw = np.where(np.isfinite(rows), rows, 1.0)  # a diverged run is all wrong
    leads, size = l2 - adamw, records[0]["test_examples"]
    unsure = 2 * np.sqrt((l2 * (1 - l2) + adamw * (1 - adamw)) / size)
    verdict = Verdict.NOT_REPRODUCED if (leads < -unsure).any() else Verdict.INCONCLUSIVE
    if (leads > unsure).all():
        verdict = Verdict.REPRODUCED
    listed = ", ".join(percent(lead) for lead in leads)
    measured = f"ahead at {np.sum(leads > 0)} of {leads.size}; leads {listed}"
    note = f"Leads below {percent(unsure.max())} are noise of the test set. One seed an initialization."
    return [Claim(SECTION, statement, measured, bar, verdict, note)]


EXPERIMENT = Experiment(
    name="rival_initialization",
    title="Rival (e) · Other initializations",
    claim="AdamW's lead over Adam-ℓ2 is one at every initialization, not only at the one published.",
    cost={"smoke": "20 s", "reduced": "2 h", "paper": "1.5 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
