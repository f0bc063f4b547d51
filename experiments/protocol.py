"""Types that presets and experiments share: `Protocol`, `Study`, `Experiment` and `Records`."""

import abc
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from adamprox.checks import did_you_mean
from adamprox.report import Claim, Figure
from adamprox.sweep import Record, Run, run_key
from adamprox.training import TrainingRun
from experiments.grid import Grid

Options = Mapping[str, Any]
Settings = TypeVar("Settings")


class Records(dict[str, Record]):
    """Records by the key of their run."""

    @classmethod
    def by_key(cls, records: Iterable[Record]) -> "Records":
        """Return a collection of ``records``."""
        return cls((record.key, record) for record in records)

    def of(self, runs: Iterable[Run]) -> list[Record]:
        """Return the records of those ``runs`` that have one, in their order."""
        return [self[key] for key in map(run_key, runs) if key in self]

    def missing(self, runs: Iterable[Run]) -> int:
        """Return the number of ``runs`` without a record."""
        return sum(run_key(run) not in self for run in runs)


class Study(abc.ABC):
    """An experiment with the records of its finished runs.

    Attributes:
      runs: Runs that the experiment needs. More records can make more runs necessary.
    """

    runs: Sequence[Run]

    @abc.abstractmethod
    def figures(self) -> list[Figure]:
        """Draw the figures from the records of ``runs``."""

    @abc.abstractmethod
    def claims(self) -> list[Claim]:
        """Judge the claims on the same records."""

    def headline(self) -> list[tuple[str, str]]:
        """Return the main results as (number, description), for the top of the page."""
        return []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A network of the paper, as a preset trains it.

    Attributes:
      options: Options of its runs that differ from the protocol's ``training``.
      grids: Grid by optimizer; the protocol's for an optimizer without one.
      batch_norm_grids: Grid by optimizer with BatchNorm; the protocol's for an optimizer without one.
      seeds: Number of runs at the best grid point; the protocol's if None.
      control_grids: Grid by optimizer under every change of the second moment; none if empty.
      control_seeds: Number of runs at their best grid points; the protocol's if None.
    """

    options: Options = dataclasses.field(default_factory=dict)
    grids: Mapping[str, Grid] = dataclasses.field(default_factory=dict)
    batch_norm_grids: Mapping[str, Grid] = dataclasses.field(default_factory=dict)
    seeds: int | None = None
    control_grids: Mapping[str, Grid] = dataclasses.field(default_factory=dict)
    control_seeds: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """Networks, data and grids of all experiments.

    Attributes:
      preset: Name of the preset from which the protocol is derived.
      experiments: Names of the experiments that ``all`` runs.
      training: Options of every `TrainingRun`: data, network, length.
      learning_rates: Values of α of every grid.
      weight_decays: Base grid of λ, which all optimizers share.
      l2_extension: Values of λ that only Adam-ℓ2's grid has; its best λ lies beyond the base grid.
      loss_multipliers: Multipliers of Fig. 4; the first is 1.
      extensions: Number of times that a best run on an edge may extend a grid.
      seeds: Number of runs at the best grid point.
      networks: Networks that the preset trains, by their names in the paper.
      deep: Network of Figs. 4 to 6, ResNet-110 in the paper.
      judged: False if runs are too short for any claim about them.
      settings: Settings of experiments that differ from their defaults, by name of the experiment.
    """

    preset: str
    experiments: tuple[str, ...]
    training: Options
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    l2_extension: tuple[float, ...] = ()
    loss_multipliers: tuple[float, ...] = (1.0, 10.0, 100.0)
    extensions: int = 0
    seeds: int = 1
    networks: Mapping[str, Network] = dataclasses.field(default_factory=dict)
    deep: Network = dataclasses.field(default_factory=Network)
    judged: bool = True
    settings: Mapping[str, Options] = dataclasses.field(default_factory=dict)

    def run(
        self,
        optimizer: str,
        alpha: float,
        weight_decay: float,
        multiplier: float = 1.0,
        **options: Any,
    ) -> TrainingRun:
        """Return one run of this protocol; ``options`` replace the protocol's."""
        return TrainingRun.of(
            **{**self.training, **options},
            optimizer=optimizer,
            learning_rate=alpha,
            weight_decay=weight_decay,
            loss_multiplier=multiplier,
        )

    def settings_of(self, experiment: str, kind: type[Settings]) -> Settings:
        """Return the settings of an experiment at this preset; ValueError for a name it does not have."""
        try:
            return kind(**self.settings.get(experiment, {}))
        except TypeError as error:
            raise ValueError(f"settings of {experiment} at {self.preset}: {error}") from None

    def network(self, name: str) -> Network:
        """Return a network by its name in the paper; ValueError if the preset does not train it."""
        if name not in self.networks:
            known, near = ", ".join(self.networks), did_you_mean(name, self.networks)
            raise ValueError(f"network must be one of {known} at this preset, got {name!r}{near}")
        return self.networks[name]

    def trained_on(self, network: Network) -> str:
        """Return network and data in a few words, for a caption."""
        run = TrainingRun.of(**{**self.training, **network.options})
        images = run.images
        size = f"{images.train_size:,}" if images.train_size else "all"
        count = f"{size} images of {images.dataset}"
        pooled = f", pooled to {images.image_size}×{images.image_size}" if images.image_size else ""
        return f"{run.network.title} on {count}{pooled}"

    def weight_decays_of(self, optimizer: str, multiplier: float = 1.0) -> tuple[float, ...]:
        """Return the values of λ of a grid; Adam-ℓ2's has its extension at multipliers up to this one."""
        if optimizer != "adam_l2":
            return self.weight_decays
        extension = {
            float(f"{m * weight_decay:.6g}")  # 10 · 0.3 must equal the 3 of another multiplier
            for weight_decay in self.l2_extension
            for m in self.loss_multipliers
            if m <= multiplier
        }
        return tuple(sorted({*self.weight_decays, *extension}))

    def grid(self, optimizer: str, multiplier: float = 1.0) -> Grid:
        """Return the grid of an optimizer without extensions."""
        return Grid(self.learning_rates, self.weight_decays_of(optimizer, multiplier))

    def deep_grid(self, optimizer: str, multiplier: float = 1.0) -> Grid:
        """Return the grid of an optimizer on the deep network, which several experiments train."""
        if optimizer not in self.deep.grids:
            return self.grid(optimizer, multiplier)
        smaller = self.deep.grids[optimizer]
        reach = dataclasses.replace(
            self, weight_decays=smaller.weight_decays, l2_extension=smaller.weight_decays
        )
        return smaller._replace(weight_decays=reach.weight_decays_of(optimizer, multiplier))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """An entry of the registry.

    Attributes:
      name: Name on the command line.
      title: Headline on the page.
      claim: Claim of the paper, or the question, in one sentence.
      study: Function (protocol, records so far) -> `Study`.
    """

    name: str
    title: str
    claim: str
    study: Callable[[Protocol, Records], Study]
