"""Presets: networks, data and grids, with every departure from the published protocol.

Each module of this folder is one preset, as data. No experiment depends on the name of a preset.
"""

import dataclasses
import itertools
from typing import Any

from adamprox.checks import did_you_mean
from adamprox.training import TrainingRun
from adamprox.training.recipes import RECIPES
from experiments.presets.demo import DEMO
from experiments.presets.paper import EXPERIMENTS, PAPER
from experiments.presets.reduced import REDUCED
from experiments.presets.smoke import SMOKE
from experiments.protocol import Network, Protocol

_REPETITIONS = 1000
"""Number of seeds after the first that are left for repetitions of best runs; presets use at most 7."""

PRESETS = {preset.preset: preset for preset in (SMOKE, DEMO, REDUCED, PAPER)}


def protocol(preset: str, **overrides: object) -> Protocol:
    """Return the protocol of a preset, with all overrides that are not None.

    Raises:
      ValueError: The preset is unknown, or a value is invalid; the message names it.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    changed = {name: value for name, value in overrides.items() if value is not None}
    grids = {
        name: changed.pop(name) for name in ("learning_rates", "weight_decays") if name in changed
    }
    base = PRESETS[preset]
    replaced: dict[str, Any] = {**grids, "training": {**base.training, **changed}}
    if grids or "depth" in changed:  # the grids of single networks do not apply
        replaced["networks"] = {n: Network(options=w.options) for n, w in base.networks.items()}
        replaced["deep"] = Network(options=base.deep.options)
    replaced["settings"] = {  # nor do those of experiments
        name: {key: value for key, value in its.items() if key not in grids}
        for name, its in base.settings.items()
    }
    if "depth" in changed:  # one network, in every figure
        depth = changed["depth"]
        replaced["networks"] = {f"ResNet-{depth}": Network(options={"depth": depth})}
        replaced["deep"] = Network()
    result = dataclasses.replace(base, **replaced)
    _check(result)
    return result


def replaced_options(chosen: Protocol) -> str:
    """Return the options that replace values of the preset, such as ``epochs=3, seed=1``.

    Example:
      >>> [replaced_options(protocol("paper", **o)) for o in ({"epochs": 3}, {"seed": 0}, {"depth": 20})]
      ['epochs=3', '', 'depth=20']
    """
    base = PRESETS.get(chosen.preset, chosen)
    usual = {**TrainingRun.defaults(), **base.training}
    found = {n: v for n, v in chosen.training.items() if usual.get(n) != v}
    if chosen.networks.keys() != base.networks.keys():
        found["depth"] = chosen.training["depth"]
    # A grid that is given also replaces those of networks, even if it is the preset's.
    given = "depth" not in found and chosen.networks != base.networks
    for name in ("learning_rates", "weight_decays"):
        if given or getattr(chosen, name) != getattr(base, name):
            found[name] = getattr(chosen, name)
    return ", ".join(f"{name}={value}" for name, value in found.items())


def _check(result: Protocol) -> None:
    """Refuse names that nothing has, grids that are not increasing, and values that no run can have."""
    grids = [
        grids
        for network in (*result.networks.values(), result.deep)
        for grids in (network.grids, network.batch_norm_grids, network.control_grids)
    ]
    for name, given, known in (
        ("experiments", result.experiments, EXPERIMENTS),
        ("settings", result.settings, EXPERIMENTS),
        ("grids", [optimizer for grid in grids for optimizer in grid], [*RECIPES]),
    ):
        for each in given:
            if each not in known:
                raise ValueError(f"{name} must not name {each}{did_you_mean(each, known)}")
    for name in ("learning_rates", "weight_decays"):
        values = getattr(result, name)
        if not values or list(values) != sorted(set(values)):
            raise ValueError(f"{name} must be increasing and not empty, got {list(values)}")
    for multiplier in result.loss_multipliers:
        grid = result.grid("adam_l2", multiplier)
        for alpha, weight_decay in itertools.product(grid.learning_rates, grid.weight_decays):
            run = result.run("adam_l2", alpha, weight_decay, multiplier)
            if run.seed >= 2**31 - _REPETITIONS:
                raise ValueError(f"seed must be in 0 … 2^31 − {_REPETITIONS + 1}, got {run.seed}")
