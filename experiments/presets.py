"""The presets: what is trained at each, and every departure from the published protocol."""

import dataclasses
import itertools
from typing import Any

from adamprox.sweep.grid import Grid
from experiments.protocol import Protocol

_DEPTHS = (20, 44, 56, 110, 218)
_RESNETS = {f"ResNet-{depth}": {"depth": depth} for depth in _DEPTHS}
_SMALL_DENSENET = {"network": "mlp", "depth": 4}  # stands for it where it is only drawn

PRESETS = {
    # Every network is a tiny one, so that every figure is drawn within seconds.
    "smoke": Protocol(
        preset="smoke",
        training={"train_size": 64, "depth": 8, "epochs": 2, "batch_size": 32},
        learning_rates=(1e-3,),
        weight_decays=(0.0, 3e-3),
        loss_multipliers=(1.0, 10.0),
        networks={**{name: {"depth": 8} for name in _RESNETS}, "DenseNet": _SMALL_DENSENET},
        deep={"network": "mlp", "depth": 3},  # compiles in a second
    ),
    # 256 images are learned by heart in half the epochs: from there on regularization decides.
    # λ is larger than the paper's because a decay of λ per step remembers 1/λ steps, and a run
    # has 112 of them.
    "demo": Protocol(
        preset="demo",
        training={
            "train_size": 256,
            "depth": 20,
            "epochs": 28,
            "batch_size": 64,
            "evaluate_every": 7,
        },
        learning_rates=(5e-4, 1e-3, 2e-3),
        weight_decays=(0.0, 3e-4, 3e-3, 3e-2),
        l2_extension=(0.3,),
        networks={"ResNet-20": {"depth": 20}},
    ),
    # Real images at a sixteenth of the paper's pixels, a tenth of its images and a fiftieth of its
    # steps (2,400 for 117,300, in batches of 64): every λ is the paper's times 50, so that λ·T
    # stays. No flips or shifts, so that images can be learned by heart in so short a time.
    "reduced": Protocol(
        preset="reduced",
        training={
            "dataset": "cifar10",
            "image_size": 8,
            "train_size": 5120,
            "validation_size": 5000,
            "depth": 20,
            "epochs": 30,
            "batch_size": 64,
            "evaluate_every": 6,
        },
        learning_rates=(5e-4, 1e-3, 5e-3),
        weight_decays=(0.0, 5e-4, 2.5e-3, 5e-3, 2.5e-2, 5e-2),
        l2_extension=(0.25, 0.5),
        # Around the best cells of Fig. 3 with 56 layers, at the α of each; for Adam-ℓ2 also a λ that
        # AdamW would take, since what is changed may bring its best λ down there.
        deep_grids={
            "adam_l2": Grid((1e-3,), (0.0, 2.5e-3, 2.5e-2, 5e-2, 0.25)),
            "adamw": Grid((5e-4,), (0.0, 5e-4, 2.5e-3)),
            "adamprox": Grid((5e-4,), (0.0, 5e-4, 2.5e-3)),
            # Finer: it shrinks weights by λ/‖x‖₂, the faster the smaller they are.
            "adamprox_l2": Grid((5e-4,), (0.0, 1.5e-3, 5e-3, 1.5e-2, 3e-2, 7.5e-2)),
        },
        extensions=4,
        seeds=5,
        networks={
            **_RESNETS,
            "DenseNet": {"network": "densenet", "depth": 40, "dataset": "cifar100"},
        },
        # A cell takes six minutes. Around the best cells at 56 layers, α of either for both, and
        # the smallest λ that both have.
        network_grids={
            "ResNet-110": {
                "adam_l2": Grid((5e-4, 1e-3), (0.0, 2.5e-3, 2.5e-2, 5e-2, 0.25)),
                "adamw": Grid((5e-4, 1e-3), (0.0, 5e-4, 2.5e-3)),
                "adamprox": Grid((5e-4, 1e-3), (0.0, 5e-4, 2.5e-3)),
            }
        },
        network_seeds={"ResNet-110": 3},
        control_grids={
            "ResNet-110": {
                "adam_l2": Grid((1e-3,), (0.0, 2.5e-3, 2.5e-2)),
                "adamw": Grid((1e-3,), (0.0, 5e-4, 2.5e-3)),
            }
        },
        control_seeds=5,
        deep={"depth": 56},
    ),
    # §4: the published protocol. λ·T at 300 epochs of 391 steps.
    "paper": Protocol(
        preset="paper",
        training={
            "dataset": "cifar10",
            "depth": 20,
            "epochs": 300,
            "batch_size": 128,
            "augment": True,
            "evaluate_train": True,
        },
        learning_rates=(5e-5, 1e-4, 5e-4, 1e-3, 5e-3),
        weight_decays=(0.0, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3),
        l2_extension=(5e-3, 1e-2),
        extensions=6,
        seeds=3,
        networks={
            **_RESNETS,
            "DenseNet": {"network": "densenet", "depth": 100, "dataset": "cifar100"},
        },
        deep={"depth": 110},
    ),
}


def protocol(preset: str, **overrides: object) -> Protocol:
    """The protocol of a preset, with what is not None in ``overrides`` put in its place.

    Raises:
      ValueError: No such preset, or a value that cannot be trained; the message names it.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    changed = {name: value for name, value in overrides.items() if value is not None}
    grids = {
        name: changed.pop(name) for name in ("learning_rates", "weight_decays") if name in changed
    }
    base = PRESETS[preset]
    replaced: dict[str, Any] = {**grids, "training": {**base.training, **changed}}
    if grids or "depth" in changed:
        # Chosen for another network or from other values.
        replaced.update(deep_grids={}, network_grids={}, network_seeds={}, control_grids={})
    if "depth" in changed:  # one network, in every figure
        depth = changed["depth"]
        replaced.update(networks={f"ResNet-{depth}": {"depth": depth}}, deep={})
    result = dataclasses.replace(base, **replaced)
    for name in ("learning_rates", "weight_decays"):
        values = getattr(result, name)
        if not values or list(values) != sorted(set(values)):
            raise ValueError(f"{name} must be increasing and not empty, got {list(values)}")
    # Every cell checks its values when it is made: make them all, before anything is written.
    for multiplier in result.loss_multipliers:
        grid = result.grid("adam_l2", multiplier)
        for alpha, weight_decay in itertools.product(grid.learning_rates, grid.weight_decays):
            result.cell("adam_l2", alpha, weight_decay, multiplier)
    return result
