"""A rival reading of Fig. 3: AdamW is not better, only easier to tune.

Claim (of this project): on a grid that ends where the paper's does, λ is too small to be felt by Adam-ℓ2,
whatever cell one picks. A lead that is gone once every grid goes on until its best cell lies inside is one
of tuning.
Command: python -m experiments rival_tuning --preset reduced
Cost: none beside that of the grids of Fig. 3 on the deep network; see ``--dry-run``.
Expect: AdamW's curve below Adam-ℓ2's on the shared grid; the question is where the two end on their own.
"""

from collections.abc import Sequence

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.budget import expected_best
from adamprox.report.claims import noise, percent, untested
from adamprox.report.plots import COLORS, LABELS, canvas
from adamprox.sweep import Record
from experiments import comparison, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "Rival (f)"
TRIALS = 4
"""A few tries of somebody who has not much time."""


def arms(protocol: Protocol) -> list[Arm]:
    """Adam-ℓ2 and AdamW, both tuned until their best cells lie inside."""
    return [Arm(name, options=protocol.deep) for name in ("adam_l2", "adamw")]


def cells(protocol: Protocol, records=()):
    """Both grids."""
    return comparison.cells(arms(protocol), protocol, records)


def shared(protocol: Protocol, arm: Arm, records: Sequence[Record]) -> list[Record]:
    """The records of the grid that both optimizers are given before any is extended."""
    return [
        r
        for r in arm.tuned(protocol, records)
        if r["learning_rate"] in protocol.learning_rates
        and r["weight_decay"] in protocol.weight_decays
    ]


def plot(protocol: Protocol, records) -> list[Figure]:
    """The expected best error against the number of cells tried, on both kinds of grid."""
    figure, axes = canvas(1, 2, 10, 3.6, sharey=True)
    for arm in arms(protocol):
        for ax, found in zip(axes[0], _grids(protocol, arm, records), strict=True):
            y = 100 * expected_best(found)
            ax.plot(range(1, len(y) + 1), y, "o-", ms=4,
                    color=COLORS[arm.optimizer], label=LABELS[arm.optimizer])  # fmt: skip
    for ax, title in zip(axes[0], ("the grid that both share", "each one's own grid"), strict=True):
        ax.set(title=title, xlabel="cells tried, at random")
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0, 0].set_ylabel("expected lowest test error, %")
    axes[0, 1].legend()
    caption = (
        f"{protocol.trained_on(protocol.deep)}. To the left somebody with little time, to the right "
        "somebody who tries every cell. A gap on the left alone is one of tuning."
    )
    return [Figure("rival_tuning", "Better, or easier to tune?", caption, figure)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Ahead after a few tries, and ahead in the end."""
    l2, adamw = arms(protocol)
    where = "Tuned until the best cell lies inside: "
    return [
        _easier(protocol, l2, adamw, records),
        verdicts.lower_error(protocol, adamw, l2, records, SECTION, where),
    ]


def _easier(protocol: Protocol, l2: Arm, adamw: Arm, records) -> Claim:
    statement = f"On the grid that both share, {TRIALS} random cells of AdamW find a lower error."
    bar = "lower by more than two standard errors of the test set"
    if reason := verdicts.unfinished(protocol, (l2, adamw), records):
        return verdicts.not_run(SECTION, statement, reason)
    pair = [shared(protocol, arm, records) for arm in (adamw, l2)]
    if reason := untested(protocol.preset, all(len(found) >= TRIALS for found in pair)):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    curves = [expected_best(found) for found in pair]
    few, many = ([float(curve[k]) for curve in curves] for k in (TRIALS - 1, -1))
    lead, unsure = few[1] - few[0], _noise(few, pair)
    verdict = verdicts.beyond_noise(lead, unsure)
    measured = (
        f"{percent(few[0])} (AdamW), {percent(few[1])} (Adam-ℓ2) after {TRIALS}; "
        f"{percent(many[0])} and {percent(many[1])} after all {len(pair[0])}"
    )
    return Claim(SECTION, statement, measured, bar, verdict, "One seed a cell.")


def _noise(errors: Sequence[float], pair: Sequence[Sequence[Record]]) -> float:
    examples = pair[0][0]["test_examples"]
    return noise(*(Record({"final_test_error": e, "test_examples": examples}) for e in errors))


def _grids(protocol: Protocol, arm: Arm, records) -> list[list[Record]]:
    return [shared(protocol, arm, records), arm.tuned(protocol, records)]


EXPERIMENT = Experiment(
    name="rival_tuning",
    title="Rival (f) · Better, or easier to tune?",
    claim="AdamW is easier to tune than Adam-ℓ2, and better when both are tuned to the end.",
    cost={"smoke": "15 s", "demo": "15 s", "reduced": "2 h", "paper": "1.5 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
