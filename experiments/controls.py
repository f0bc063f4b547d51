"""What rival (a) changes in both optimizers, and the arms under each change."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from adamprox.report.plots import LABELS
from adamprox.sweep.grid import Grid
from experiments.arm import Arm
from experiments.protocol import Protocol

CONTROLS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "as published": ("", {}),
    "β₂ = 0.99": ("_short_memory", {}),
    "moments restarted": ("_restarted", {}),
    "gradients clipped": ("_clipped", {}),
    "SkipInit": ("", {"skip_init": True}),
}
"""To a suffix of the recipe's name, and options of the cell."""

OPTIMIZERS = ("adam_l2", "adamw")

DEEPER = ("as published", "β₂ = 0.99")
"""On networks deeper than the deep one, whose cells take long: the control that changes least."""


@dataclasses.dataclass(frozen=True)
class Controlled:
    """A network under the controls.

    Attributes:
      network: Of the paper; empty for the deep one of the protocol.
      options: Of its cells.
      rows: A control to Adam-ℓ2 and AdamW under it, both on their own grids.
    """

    network: str
    options: Mapping[str, Any]
    rows: Mapping[str, list[Arm]]


def controlled(protocol: Protocol) -> list[Controlled]:
    """The deep network, then those that the preset has grids for."""
    return [_deep(protocol), *(_deeper(protocol, network) for network in protocol.control_grids)]


def _deep(protocol: Protocol) -> Controlled:
    """Every control that the network has: SkipInit is for residual branches."""
    residual = {**protocol.training, **protocol.deep}.get("network", "resnet") == "resnet"
    rows = {
        control: [
            Arm(
                name + suffix,
                options={**protocol.deep, **options},
                grid=_grid(protocol, name),
                more_rates=not protocol.deep_grids,
                label=f"{LABELS[name]} ({control})",
            )
            for name in OPTIMIZERS
        ]
        for control, (suffix, options) in CONTROLS.items()
        if residual or "skip_init" not in options
    }
    return Controlled("", protocol.deep, rows)


def _deeper(protocol: Protocol, network: str) -> Controlled:
    """The same grids in every row: what differs between rows is then the control."""
    rows = {
        control: [
            Arm(
                name + CONTROLS[control][0],
                options={**protocol.networks[network], **CONTROLS[control][1]},
                grid=protocol.control_grids[network][name],
                more_rates=False,
                label=f"{LABELS[name]} ({network}, {control})",
                seeds=protocol.control_seeds,
            )
            for name in OPTIMIZERS
        ]
        for control in DEEPER
    }
    return Controlled(network, protocol.networks[network], rows)


def _grid(protocol: Protocol, name: str) -> Grid:
    """Where grids are lines, AdamW's is also tried at the α of Adam-ℓ2's.

    What is changed may move the best α. It is Adam-ℓ2 that the controls are expected to help, so the
    second try goes to the other.
    """
    own, other = protocol.deep_grid(name), protocol.deep_grid("adam_l2")
    return own._replace(learning_rates=tuple(sorted({*own.learning_rates, *other.learning_rates})))
