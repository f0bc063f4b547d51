"""What is trained at each preset, shared by every experiment on networks."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from adamprox.sweep.grid import Grid
from adamprox.training import TrainingCell


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """A network, its data and the grid of hyperparameters.

    Attributes:
      preset: The name of the preset this started from.
      training: Options of every `TrainingCell`: data, network, length.
      learning_rates: The α of every grid.
      weight_decays: The base grid of λ, which all optimizers share.
      l2_extension: λ that Adam-ℓ2 also gets: the base grid ends too early for it.
      loss_multipliers: For Fig. 4; the first is 1.
      extensions: How often a best cell on an edge may extend a grid.
      seeds: How often the best cell of a grid is run.
    """

    preset: str
    training: Mapping[str, Any]
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    l2_extension: tuple[float, ...] = ()
    loss_multipliers: tuple[float, ...] = (1.0, 10.0, 100.0)
    extensions: int = 0
    seeds: int = 1

    def cell(
        self,
        optimizer: str,
        alpha: float,
        weight_decay: float,
        multiplier: float = 1.0,
        **options: Any,
    ) -> TrainingCell:
        """One cell of this protocol, with ``options`` in place of its own."""
        return TrainingCell(
            **{**self.training, **options},
            optimizer=optimizer,
            learning_rate=alpha,
            weight_decay=weight_decay,
            loss_multiplier=multiplier,
        )

    @property
    def trained_on(self) -> str:
        """What a figure says of network and data, in a few words."""
        cell = TrainingCell(**self.training)
        name = {"resnet": "ResNet", "densenet": "DenseNet"}[cell.network]
        norm = "with" if cell.batch_norm else "without"
        count = (
            len(cell.program.images.load().train) if cell.train_size is None else cell.train_size
        )
        size = "" if cell.image_size is None else f", pooled to {cell.image_size}×{cell.image_size}"
        return f"{name}-{cell.depth} {norm} BatchNorm on {count:,} images of {cell.dataset}{size}"

    def weight_decays_of(self, optimizer: str, multiplier: float = 1.0) -> tuple[float, ...]:
        """λ of one optimizer's grid; Adam-ℓ2's reaches as far as the multiplier can move its best."""
        if optimizer != "adam_l2":
            return self.weight_decays
        extension = {
            float(f"{m * weight_decay:.6g}")  # 10 · 0.3 must be the 3 of the next column
            for weight_decay in self.l2_extension
            for m in self.loss_multipliers
            if m <= multiplier
        }
        return tuple(sorted({*self.weight_decays, *extension}))

    def grid(self, optimizer: str, multiplier: float = 1.0) -> Grid:
        """The grid of one optimizer, before anything extends it."""
        return Grid(self.learning_rates, self.weight_decays_of(optimizer, multiplier))


PRESETS = {
    "smoke": Protocol(
        preset="smoke",
        training={"train_size": 64, "depth": 8, "epochs": 2, "batch_size": 32},
        learning_rates=(1e-3,),
        weight_decays=(0.0, 3e-3),
        loss_multipliers=(1.0, 10.0),
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
    ),
    # §4: the published protocol, but for the data of DenseNet. λ·T at 300 epochs of 391 steps.
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
    ),
}


def protocol(preset: str, **overrides: object) -> Protocol:
    """The protocol of a preset, with what is not None in ``overrides`` put in its place.

    Raises:
      ValueError: No such preset, or a value that cannot be trained; the message names it.
    """
    if preset not in PRESETS:
        available = ", ".join(PRESETS)
        raise ValueError(f"preset must be one of {available}, got {preset!r}")
    changed = {name: value for name, value in overrides.items() if value is not None}
    grids = {
        name: changed.pop(name) for name in ("learning_rates", "weight_decays") if name in changed
    }
    base = PRESETS[preset]
    training = {**base.training, **changed}
    result = dataclasses.replace(base, training=training, **grids)  # pyright: ignore
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
