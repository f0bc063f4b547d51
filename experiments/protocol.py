"""What is trained, shared by every experiment on networks."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from adamprox.sweep.grid import Grid
from adamprox.training import TrainingCell

Options = Mapping[str, Any]


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
      networks: The paper's networks to the options of the cell that stands for each; those that
        the preset leaves out are not there.
      network_grids: By network and optimizer, smaller grids where whole ones take too long.
      network_seeds: By network, in place of ``seeds``.
      control_grids: By network and optimizer, the grids of every row of rival (a) on that network.
      control_seeds: On those networks, in place of ``seeds``.
      factorial_rates: α of the factorial experiment, where the grid has them.
      deep: Options of the network that Figs. 4 to 6 are about, ResNet-110 in the paper.
      deep_grids: By optimizer, smaller grids for those figures, where whole ones take too long.
    """

    preset: str
    training: Mapping[str, Any]
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    l2_extension: tuple[float, ...] = ()
    loss_multipliers: tuple[float, ...] = (1.0, 10.0, 100.0)
    extensions: int = 0
    seeds: int = 1
    networks: Mapping[str, Options] = dataclasses.field(default_factory=dict)
    network_grids: Mapping[str, Mapping[str, Grid]] = dataclasses.field(default_factory=dict)
    network_seeds: Mapping[str, int] = dataclasses.field(default_factory=dict)
    control_grids: Mapping[str, Mapping[str, Grid]] = dataclasses.field(default_factory=dict)
    control_seeds: int | None = None
    factorial_rates: tuple[float, ...] = (5e-4, 1e-3)
    deep: Options = dataclasses.field(default_factory=dict)
    deep_grids: Mapping[str, Grid] = dataclasses.field(default_factory=dict)

    def cell(
        self,
        optimizer: str,
        alpha: float,
        weight_decay: float,
        multiplier: float = 1.0,
        **options: Any,
    ) -> TrainingCell:
        """One cell of this protocol, with ``options`` in place of its own."""
        return TrainingCell.of(
            **{**self.training, **options},
            optimizer=optimizer,
            learning_rate=alpha,
            weight_decay=weight_decay,
            loss_multiplier=multiplier,
        )

    def as_it_is(self) -> "Protocol":
        """With grids that nothing extends, and one seed a cell."""
        return dataclasses.replace(self, extensions=0, seeds=1)

    def trained_on(self, options: Options = MappingProxyType({})) -> str:
        """What a figure says of network and data, in a few words."""
        cell = TrainingCell.of(**{**self.training, **options})
        images, network = cell.images, cell.network
        name = {"resnet": "ResNet", "densenet": "DenseNet"}.get(network.family, network.family)
        norm = "with" if cell.config()["batch_norm"] else "without"
        side = images.image_size
        size = "" if side is None else f", pooled to {side}×{side}"
        count = f"{images.expected.train:,} images of {images.dataset}"
        return f"{name}-{network.depth} {norm} BatchNorm on {count}{size}"

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

    def deep_grid(self, optimizer: str, multiplier: float = 1.0) -> Grid:
        """That of the deep network where it is trained again and again, changed in one respect."""
        if optimizer not in self.deep_grids:
            return self.grid(optimizer, multiplier)
        smaller = self.deep_grids[optimizer]
        reach = dataclasses.replace(
            self, weight_decays=smaller.weight_decays, l2_extension=smaller.weight_decays
        )
        return smaller._replace(weight_decays=reach.weight_decays_of(optimizer, multiplier))
