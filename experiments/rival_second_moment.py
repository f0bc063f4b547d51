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
from adamprox.report.plots import LABELS
from adamprox.sweep.grid import Grid
from experiments import comparison, forgetting, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

# What is changed in both optimizers: a suffix of the recipe's name, options of the cell.
CONTROLS = {
    "as published": ("", {}),
    "β₂ = 0.99": ("_short_memory", {}),
    "moments restarted": ("_restarted", {}),
    "gradients clipped": ("_clipped", {}),
    "SkipInit": ("", {"skip_init": True}),
}


def controls(protocol: Protocol):
    """Those that the network has: SkipInit is for residual branches."""
    residual = {**protocol.training, **protocol.deep}.get("network", "resnet") == "resnet"
    return {name: how for name, how in CONTROLS.items() if residual or "skip_init" not in how[1]}


def rows(protocol: Protocol) -> dict[str, list[Arm]]:
    """A control to Adam-ℓ2 and AdamW under it, both on their own grids."""
    return {
        control: [
            Arm(
                name + suffix,
                options={**protocol.deep, **options},
                grid=_grid(protocol, name),
                more_rates=not protocol.deep_grids,
                label=f"{LABELS[name]} ({control})",
            )
            for name in ("adam_l2", "adamw")
        ]
        for control, (suffix, options) in controls(protocol).items()
    }


def _grid(protocol: Protocol, name: str) -> Grid:
    """Where grids are lines, AdamW's is also tried at the α of Adam-ℓ2's.

    What is changed may move the best α. It is Adam-ℓ2 that the controls are expected to help, so the
    second try goes to the other.
    """
    own, other = protocol.deep_grid(name), protocol.deep_grid("adam_l2")
    return own._replace(learning_rates=tuple(sorted({*own.learning_rates, *other.learning_rates})))


def cells(protocol: Protocol, records=()):
    """All grids."""
    return comparison.cells([a for row in rows(protocol).values() for a in row], protocol, records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """A row of heatmaps a control."""
    caption = (
        "Final test error in percent, the best cell of each grid ringed. The first row is the paper's "
        "comparison; in the others nothing can be hidden behind a huge first gradient."
    )
    grid = list(rows(protocol).values())
    title = f"Moments that can forget: {protocol.trained_on(protocol.deep)}."
    return [comparison.heatmaps(protocol, grid, records, "rival_second_moment", title, caption)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """Is AdamW ahead as published, and not under a control; is the lead, and Adam-ℓ2's λ, smaller there?"""
    pairs = [(adamw, l2) for l2, adamw in rows(protocol).values()]
    published, *others = pairs
    claims = [
        verdicts.lower_error(protocol, *published, records, forgetting.SECTION, ""),
        *(verdicts.no_lead(protocol, *pair, records, forgetting.SECTION) for pair in others),
    ]
    leads = [verdicts.lead(protocol, adamw, l2, records) for adamw, l2 in pairs]
    names = list(controls(protocol))
    return [
        *claims,
        forgetting.explains(names, leads),
        forgetting.shrinks(leads),
        forgetting.decay_comes_down(protocol, names, [l2 for _, l2 in pairs], records),
    ]


EXPERIMENT = Experiment(
    name="rival_second_moment",
    title="Rival (a) · A second moment that cannot forget",
    claim="Where Adam can forget its first gradients, AdamW has no lead.",
    cost={"smoke": "30 s", "reduced": "2 h", "paper": "7 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
