"""What is trained at each preset, shared by every experiment on networks."""

import dataclasses
from collections.abc import Iterator

from adamprox.training import TrainingCell


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """A network, its data and the grid of hyperparameters.

    Attributes:
      preset: The name of the preset this started from.
      dataset: A name for `adamprox.data.load`.
      train_size: How many training images, None for all.
      depth: Of the ResNet without BatchNorm.
      epochs: Passes over the training set.
      batch_size: Examples a step.
      evaluate_every: Epochs between visits to the test set.
      learning_rates: The α of every grid.
      weight_decays: The base grid of λ, which all optimizers share.
      l2_extension: λ that Adam-ℓ2 also gets: the base grid ends too early for it.
      loss_multipliers: For Fig. 4; the first is 1.
      seed: Of the order of the examples.
    """

    preset: str
    dataset: str = "digits"
    train_size: int | None = None
    depth: int = 20
    epochs: int = 1
    batch_size: int = 128
    evaluate_every: int = 1
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    l2_extension: tuple[float, ...] = ()
    loss_multipliers: tuple[float, ...] = (1.0, 10.0, 100.0)
    seed: int = 0

    def cell(self, optimizer: str, alpha: float, weight_decay: float, multiplier: float = 1.0):
        """One cell of this protocol."""
        return TrainingCell(
            dataset=self.dataset,
            train_size=self.train_size,
            depth=self.depth,
            optimizer=optimizer,
            learning_rate=alpha,
            weight_decay=weight_decay,
            loss_multiplier=multiplier,
            seed=self.seed,
            epochs=self.epochs,
            batch_size=self.batch_size,
            evaluate_every=self.evaluate_every,
        )

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

    def grid(self, optimizer: str, multiplier: float = 1.0) -> Iterator[TrainingCell]:
        """Every cell of one optimizer's grid."""
        for weight_decay in self.weight_decays_of(optimizer, multiplier):
            for alpha in self.learning_rates:
                yield self.cell(optimizer, alpha, weight_decay, multiplier)


PRESETS = {
    "smoke": Protocol(
        preset="smoke",
        train_size=64,
        depth=8,
        epochs=2,
        batch_size=32,
        learning_rates=(1e-3,),
        weight_decays=(0.0, 3e-3),
        loss_multipliers=(1.0, 10.0),
    ),
    # 256 images are learned by heart in half the epochs: from there on regularization decides.
    # λ is larger than the paper's because a decay of λ per step remembers 1/λ steps, and a run
    # has 112 of them.
    "demo": Protocol(
        preset="demo",
        train_size=256,
        depth=20,
        epochs=28,
        batch_size=64,
        evaluate_every=7,
        learning_rates=(5e-4, 1e-3, 2e-3),
        weight_decays=(0.0, 3e-4, 3e-3, 3e-2),
        l2_extension=(0.3,),
    ),
}


def protocol(preset: str, **overrides: object) -> Protocol:
    """The protocol of a preset, with what is not None in ``overrides`` put in its place.

    Raises:
      ValueError: No such preset, or a value that cannot be trained; the message names it.
    """
    if preset not in PRESETS:
        available = ", ".join(PRESETS)
        raise ValueError(
            f"preset must be one of {available}, got {preset!r} "
            "(reduced and paper need CIFAR, which this version cannot load yet)"
        )
    changed = {name: value for name, value in overrides.items() if value is not None}
    result = dataclasses.replace(PRESETS[preset], **changed)  # pyright: ignore[reportArgumentType]
    for name in ("learning_rates", "weight_decays"):
        values = getattr(result, name)
        if not values or list(values) != sorted(set(values)):
            raise ValueError(f"{name} must be increasing and not empty, got {list(values)}")
    # Every cell checks its values when it is made: make them all, before anything is written.
    for multiplier in result.loss_multipliers:
        list(result.grid("adam_l2", multiplier))
    return result
