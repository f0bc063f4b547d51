"""What rival (g) changes in both optimizers' images, and their lines over λ under each condition."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from adamprox.sweep.grid import Grid
from experiments.arm import Arm
from experiments.protocol import Protocol

ALPHA = 1e-3
CONDITIONS: Mapping[str, Mapping[str, Any]] = {
    "few images": {},
    "few images, flips and crops": {"augment": True},
    "all images, flips and crops": {"augment": True, "train_size": None},
}
"""To options of the cell; the first is the protocol's own."""


def single(protocol: Protocol) -> Protocol:
    """Lines over λ that nothing extends, one seed a cell."""
    return dataclasses.replace(protocol, extensions=0, seeds=1)


def decays(protocol: Protocol, options: Mapping[str, Any]) -> tuple[float, ...]:
    """λ > 0 of the base grid, the last left out, times what keeps λ · T where runs are longer."""
    own, other = (_images(protocol, o) for o in ({}, options))
    base = [d for d in protocol.weight_decays if d > 0]
    return tuple(float(f"{d * own / other:.3g}") for d in base[:4])


def _images(protocol: Protocol, options: Mapping[str, Any]) -> int:
    cell = protocol.cell("adamw", ALPHA, 0.0, **options)
    return cell.train_size or len(cell.program.images.load().train)


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
        for name, options in CONDITIONS.items()
    }


def line(arm: Arm) -> tuple[float, ...]:
    """The λ of an arm of `rows`, in the order of λ · T."""
    return arm.grid.weight_decays if arm.grid else ()
