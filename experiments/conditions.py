"""What rival (g) changes in both optimizers' images, and their lines over λ under each condition."""

from collections.abc import Mapping
from typing import Any

from adamprox.sweep.grid import Grid
from experiments.arm import Arm
from experiments.protocol import Protocol

ALPHA = 1e-3
_MORE = 4
DECAYS = (5e-4, 2.5e-3, 5e-3, 1e-2, 2.5e-2)
"""λ with few images. Those of the reduced protocol's grid, and one more: five is the fewest cells that say anything."""


def conditions(protocol: Protocol) -> dict[str, dict[str, Any]]:
    """A condition to options of the cell, the first the protocol's own; none where that has all images."""
    size = protocol.training.get("train_size")
    if size is None:
        return {}
    return {
        "few images": {},
        f"{_MORE} times as many, flipped and shifted": {
            "train_size": _MORE * size,
            "augment": True,
        },
    }


def decays(protocol: Protocol, options: Mapping[str, Any]) -> tuple[float, ...]:
    """λ of a line, divided by how much longer its runs are, so that λ · T stays."""
    longer = (
        options.get("train_size", protocol.training["train_size"]) / protocol.training["train_size"]
    )
    return tuple(float(f"{decay / longer:.3g}") for decay in DECAYS)


def rows(protocol: Protocol) -> dict[str, list[Arm]]:
    """A condition to AdamW and Adam-ℓ2 at equal α and λ."""
    quick = protocol.deep if protocol.preset == "smoke" else {}  # compiles in a second
    return {
        name: [
            Arm(
                optimizer,
                options={**quick, **options},
                grid=Grid((ALPHA,), decays(protocol, options)),
            )
            for optimizer in ("adamw", "adam_l2")
        ]
        for name, options in conditions(protocol).items()
    }


def line(arm: Arm) -> tuple[float, ...]:
    """The λ of an arm of `rows`, in the order of λ · T."""
    return arm.grid.weight_decays if arm.grid else ()
