"""A factorial experiment: does Adam-ℓ2 lose because it scales the decay, or because it mixes it in?

Adam-ℓ2 does two things to λx: it mixes λx into the moments, and it divides λx by √v̂ (scaling). AdamW does
neither. ProxGen only scales, scale-free Adam-ℓ2 only mixes. If scale-freeness causes AdamW's lead,
scale-free Adam-ℓ2 performs like AdamW, and ProxGen like Adam-ℓ2.
Command: python -m experiments factorial --preset reduced
Cost: see ``--dry-run``; 30 s at smoke on two CPU cores.
Expect: a large effect of scaling and none of mixing where scale-freeness is the reason; the reverse
where the moments are.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import percent, untested
from adamprox.report.plots import LABELS
from adamprox.sweep import Record
from adamprox.sweep.grid import Grid
from experiments import comparison, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol

SECTION = "Factorial"
NETWORKS = ("ResNet-20", "ResNet-56", "ResNet-110")
OPTIMIZERS = ("adamw", "scale_free_adam_l2", "proxgen", "adam_l2")
"""Neither, mixing alone, scaling alone, both."""


def rows(protocol: Protocol) -> dict[str, list[Arm]]:
    """A network to its four arms; without a network of the three, to those of the deep one."""
    networks = [name for name in NETWORKS if name in protocol.networks]
    if protocol.preset == "smoke" or not networks:
        return {"": [_arm("", name, protocol, protocol.deep) for name in OPTIMIZERS]}
    return {
        network: [_arm(network, name, protocol, protocol.networks[network]) for name in OPTIMIZERS]
        for network in networks
    }


def _arm(network: str, optimizer: str, protocol: Protocol, options: Mapping) -> Arm:
    """Both optimizers that scale λx share Adam-ℓ2's grid, the two others AdamW's.

    λ = 0 is Adam in all four, and is run for Adam-ℓ2 and AdamW alone.
    """
    like = "adam_l2" if optimizer in ("proxgen", "adam_l2") else "adamw"
    grids = protocol.network_grids.get(network, {})
    grid = grids.get(like) or protocol.grid(like)
    decays = grid.weight_decays if optimizer == like else tuple(filter(None, grid.weight_decays))
    rates = tuple(a for a in grid.learning_rates if a in protocol.factorial_rates)
    return Arm(
        optimizer,
        options=options,
        grid=Grid(rates or grid.learning_rates, decays),
        more_rates=False,
        label=f"{LABELS[optimizer]}{', ' if network else ''}{network}",
    )


def cells(protocol: Protocol, records=()):
    """All grids."""
    return comparison.cells([a for row in rows(protocol).values() for a in row], protocol, records)


def plot(protocol: Protocol, records) -> list[Figure]:
    """A row of heatmaps a network."""
    caption = (
        "Final test error in percent, the best of each grid ringed. From left to right: λx neither mixed "
        "nor scaled, mixed alone, scaled alone, both."
    )
    grid = list(rows(protocol).values())
    title = "Mixing and scaling, one at a time."
    return [comparison.heatmaps(protocol, grid, records, "factorial", title, caption)]


def judge(protocol: Protocol, records) -> list[Claim]:
    """The two predictions of scale-freeness, and the size of both effects, network by network."""
    claims = []
    for network, (adamw, mixing, scaling, l2) in rows(protocol).items():
        arms = (adamw, mixing, scaling, l2)
        claims += [
            verdicts.equal_error(protocol, mixing, adamw, records, SECTION),
            verdicts.equal_error(protocol, scaling, l2, records, SECTION),
            _effect(protocol, network, "scaling", arms, (-1, -1, 1, 1), records),
            _effect(protocol, network, "mixing", arms, (-1, 1, -1, 1), records),
        ]
    return claims


def _effect(
    protocol: Protocol,
    network: str,
    name: str,
    arms: Sequence[Arm],
    signs: Sequence[int],
    records: Sequence[Record],
) -> Claim:
    """The claim that one of the two raises the test error, whether or not the other is there."""
    statement = f"{network}{': ' if network else ''}{name} raises the test error."
    bar = "mean over the other factor higher by more than the margin of error (95 %)"
    if reason := verdicts.unfinished(protocol, arms, records):
        return verdicts.not_run(SECTION, statement, reason)
    errors = [
        [
            r["final_test_error"]
            for r in arm.runs(protocol, records)
            if r["final_test_error"] is not None
        ]
        for arm in arms
    ]
    if reason := untested(protocol.preset, *(len(found) > 1 for found in errors)):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    effect, margin = main_effect(errors, signs)
    measured = f"{100 * effect:.1f} ± {100 * margin:.1f} points"
    means = ", ".join(
        f"{percent(float(np.mean(e)))} ({LABELS[arm.optimizer]}, {len(e)} seeds)"
        for e, arm in zip(errors, arms, strict=True)
    )
    note = f"Means: {means}."
    return Claim(SECTION, statement, measured, bar, verdicts.beyond_noise(effect, margin), note)


def main_effect(errors: Sequence[Sequence[float]], signs: Sequence[int]) -> tuple[float, float]:
    """Return a main effect of a 2×2 design and the half-width of its 95 % interval.

    ½ Σ sᵢ ēᵢ, with Welch's degrees of freedom.

    Args:
      errors: Errors over seeds of the four combinations, two or more each.
      signs: −1 where the factor is absent, 1 where it is present.

    Returns:
      The effect and its margin of error, both in the unit of ``errors``.

    Example:
      >>> effect, margin = main_effect([[0.1, 0.2]] * 2 + [[0.3, 0.4]] * 2, (-1, -1, 1, 1))
      >>> round(effect, 3), round(margin, 3)
      (0.2, 0.139)
    """
    effect = sum(s * float(np.mean(e)) for s, e in zip(signs, errors, strict=True)) / 2
    variances = [float(np.var(e, ddof=1)) / len(e) / 4 for e in errors]
    total = sum(variances)
    if not total:
        return effect, 0.0
    spread = sum(v**2 / (len(e) - 1) for v, e in zip(variances, errors, strict=True))
    return effect, float(stats.t.ppf(0.975, total**2 / spread)) * math.sqrt(total)


EXPERIMENT = Experiment(
    name="factorial",
    title="Factorial · Mixing and scaling, one at a time",
    claim="Adam-ℓ2 errs more than AdamW because it divides λx by √v̂, not because it mixes λx into its moments.",
    cost={"smoke": "30 s", "reduced": "6 h", "paper": "5 years"},
    cells=cells,
    figures=plot,
    claims=judge,
)
