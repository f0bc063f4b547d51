"""A rival explanation: not scale-freeness, but a second moment that cannot forget.

Claim (of this project): a deep network without BatchNorm starts with gradients far above all later ones.
Adam's √v forgets them as e^(−t/2000); until then λx is invisible to Adam-ℓ2, while AdamW decays all
along. If that is why AdamW wins, its lead must vanish where the second moment can forget: β₂ = 0.99,
moments started anew after 20 steps, gradients clipped to norm 1, or SkipInit, which has no explosion.
Command: python -m experiments rival_second_moment --preset reduced
Cost: see ``--dry-run``; 30 s at smoke on two CPU cores.
Expect: a lead that stays where scale-freeness is the reason, and goes where forgetting is.
"""

from adamprox.report import Claim, Figure
from experiments import comparison, forgetting, verdicts
from experiments.controls import Controlled, controlled
from experiments.experiment import Experiment
from experiments.protocol import Protocol


def cells(protocol: Protocol, records=()):
    """All grids."""
    rows = [row for found in controlled(protocol) for row in found.rows.values()]
    return comparison.cells([arm for row in rows for arm in row], protocol, records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """A row of heatmaps a control, a figure a network."""
    return [
        figure for found in controlled(protocol) for figure in _heatmaps(protocol, found, records)
    ]


def _heatmaps(protocol: Protocol, found: Controlled, records) -> list[Figure]:
    caption = (
        "Final test error in percent, the best cell of each grid ringed. The first row is the paper's "
        "comparison; in the others nothing can be hidden behind a huge first gradient."
    )
    name = f"rival_second_moment {found.network}".strip().lower()
    file = name.translate(str.maketrans(" -", "__"))
    title = f"Moments that can forget: {protocol.trained_on(found.options)}."
    rows = list(found.rows.values())
    return comparison.heatmaps(protocol, rows, records, file, title, caption)


def judge(protocol: Protocol, records) -> list[Claim]:
    """Is AdamW ahead as published, and not under a control; is the lead, and Adam-ℓ2's λ, smaller there?"""
    return [c for found in controlled(protocol) for c in _judge(protocol, found, records)]


def _judge(protocol: Protocol, found: Controlled, records) -> list[Claim]:
    pairs = [(adamw, l2) for l2, adamw in found.rows.values()]
    published, *others = pairs
    leads = [verdicts.lead(protocol, adamw, l2, records) for adamw, l2 in pairs]
    names = list(found.rows)
    where = f"{found.network}: " if found.network else ""
    return [
        verdicts.lower_error(protocol, *published, records, forgetting.SECTION, ""),
        *(verdicts.no_lead(protocol, *pair, records, forgetting.SECTION) for pair in others),
        forgetting.explains(where, names, leads),
        forgetting.shrinks(where, leads),
        forgetting.decay_comes_down(protocol, where, names, [l2 for _, l2 in pairs], records),
    ]


EXPERIMENT = Experiment(
    name="rival_second_moment",
    title="Rival (a) · A second moment that cannot forget",
    claim="AdamW leads because Adam-ℓ2 cannot forget its first gradients: where it can, its λ comes down and the lead goes.",
    cost={"smoke": "30 s", "reduced": "6 h", "paper": "7 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
