"""The configuration of a run: specs, made of flat options and flattened for keys and records."""

import dataclasses
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from adamprox.checks import did_you_mean
from adamprox.data import MissingDataError, load
from adamprox.data.fingerprints import check_fingerprint, expected
from adamprox.training.imported import NAME
from adamprox.training.options import Spec, check, one_of, option
from adamprox.training.specs import (
    FAMILIES,
    SEED,
    ImageSpec,
    Method,
    NetworkSpec,
    Program,
    ResNetSpec,
    Schedule,
)
from adamprox.training.step import Hyperparameters
from adamprox.training.trial import check_optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration(Spec):
    """Everything that determines the result of a run, as a value.

    Making one reads no file and builds no network. `of` makes one of flat options.

    Attributes:
      images: Images and batches.
      network: Options of a network, of the class that `FAMILIES` has for its family.
      method: Optimizer and hyperparameters.
      schedule: Length, and what is evaluated.
      seed: Seed of the order of the examples, and of their augmentation.
      init_seed: Seed of the initial parameters: one per network, as published.

    Raises:
      ValueError: A value cannot be trained with; the message names it and what is allowed.
    """

    images: ImageSpec = dataclasses.field(default=ImageSpec())
    network: NetworkSpec = dataclasses.field(default=ResNetSpec())
    method: Method = dataclasses.field(default=Method())
    schedule: Schedule = dataclasses.field(default=Schedule())
    seed: int = option(0, SEED)
    init_seed: int = option(0, SEED)

    def __post_init__(self):
        """Refuse a network without a name, and batches that its statistics do not divide."""
        super().__post_init__()
        for part, spec in _parts(NetworkSpec).items():
            value = getattr(self, part)
            check(part, value, isinstance(value, spec), f"of type {spec.__name__}")
        network, groups = type(self.network), getattr(self.network, "statistics_groups", 1)
        family = getattr(network, "family", network.__name__)  # a base class of specs has none
        named = FAMILIES.get(family) is network
        check("network", family, named, f"one of {', '.join(FAMILIES)}")
        size = self.images.batch_size
        check("statistics_groups", groups, size % groups == 0, f"a divisor of batch_size {size}")

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Make a run from options in one flat list of keywords.

        Args:
          **options: ``network``, the name of a family, and any option of `ImageSpec`, of the
            family's class, of `Method` and of `Schedule`, ``seed`` and ``init_seed``.

        Returns:
          The run; an option that is not given has its default.

        Raises:
          ValueError: A value is not allowed, or this network has no such option.

        Example:
          >>> Configuration.of(depth=8, learning_rate=3e-3).method.learning_rate
          0.003
          >>> Configuration.of(network="mlp", skip_init=True)
          Traceback (most recent call last):
          ValueError: skip_init must be left out for network mlp, got True; it is an option of resnet
        """
        network = _network_of(options)
        for name, value in options.items():
            if name not in _defaults(network):
                raise ValueError(_unused(name, value, network))
        parts = {
            part: spec(**{name: options[name] for name in spec.defaults() if name in options})
            for part, spec in _parts(network).items()
        }
        return cls(**parts, **{name: options[name] for name in _SEEDS if name in options})

    def with_options(self, **options: Any) -> Self:
        """Return this run with flat options in place of its own; see `of`.

        Another ``network`` starts from the defaults of that network.
        """
        own = self._options()
        family = options.get("network", self.network.family)
        if family != self.network.family:
            own = {name: own[name] for name in own if name not in self.network.defaults()}
        return self.of(**own | options)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Self:
        """Return the run that a record, or a `config`, describes.

        Args:
          columns: Options by name; what this network does not use is passed over.
        """
        names = _defaults(_network_of(columns))
        return cls.of(**{name: columns[name] for name in names if name in columns})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the flat defaults of the options of all networks.

        Where networks share an option, its default is that of the first network.
        """
        return dict(_all_defaults(tuple(FAMILIES.values())))

    def _options(self) -> dict[str, Any]:
        """Return the flat options of this run."""
        images, network, method, schedule = map(
            vars, (self.images, self.network, self.method, self.schedule)
        )
        seeds = {name: getattr(self, name) for name in _SEEDS}
        family = {"network": self.network.family}
        return {**images, **family, **network, **method, **seeds, **schedule}

    def config(self) -> dict[str, Any]:
        """Return everything that determines the result, as JSON types; the data by fingerprint.

        Options that only other networks have are there with their defaults.
        """
        fingerprint = expected(self.images.dataset).fingerprint
        return {**self.defaults(), **self._options(), "data_fingerprint": fingerprint}

    def check(self) -> None:
        """Try an imported optimizer, read the images, and refuse sizes that they do not have.

        Raises:
          MissingDataError: The data set has not been prepared; the sizes fit the expected copy.
          ValueError: A size does not fit, the images are not those that runs are named by, or no run can be
            compiled with the optimizer.
        """
        if NAME.fullmatch(self.optimizer):
            check_optimizer(self.program)
        name = self.images.dataset
        try:
            check_fingerprint(load(name))
        except MissingDataError:
            self.images.check_sizes(expected(name).train, expected(name).image_shape[0])
            raise
        self.images.load()

    @property
    def optimizer(self) -> str:
        """Name of the optimizer."""
        return self.method.optimizer

    @property
    def learning_rate(self) -> float:
        """Learning rate α."""
        return self.method.learning_rate

    @property
    def weight_decay(self) -> float:
        """Weight decay λ per step."""
        return self.method.weight_decay

    @property
    def program(self) -> Program:
        """Everything that has to be compiled; equal for runs that share a compilation."""
        return Program(self.images, self.network, (self.method.optimizer,))

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Numbers that are not compiled."""
        method = self.method
        return Hyperparameters(method.learning_rate, method.weight_decay, method.loss_multiplier)


_SEEDS = [f.name for f in dataclasses.fields(Configuration) if not isinstance(f.default, Spec)]


def _network_of(options: Mapping[str, Any]) -> type[NetworkSpec]:
    """Return the class of the network that flat options name."""
    family = options.get("network", Configuration.network.family)
    return FAMILIES[one_of(FAMILIES)("network", family)]


def _parts(network: type[NetworkSpec]) -> dict[str, type[Spec]]:
    return {"images": ImageSpec, "network": network, "method": Method, "schedule": Schedule}


@functools.cache
def _defaults(network: type[NetworkSpec]) -> Mapping[str, Any]:
    """Return the options that runs of a network have, with their defaults."""
    found: dict[str, Any] = {"network": Configuration.network.family}
    for spec in _parts(network).values():
        found |= spec.defaults()
    return MappingProxyType(found | {name: getattr(Configuration, name) for name in _SEEDS})


@functools.cache
def _all_defaults(networks: tuple[type[NetworkSpec], ...]) -> Mapping[str, Any]:
    """Return the options of all networks, with the defaults of the first that has them."""
    found: dict[str, Any] = {}
    for network in networks:
        found = {**found, **{n: v for n, v in _defaults(network).items() if n not in found}}
    return MappingProxyType(found)


def _unused(name: str, value: object, network: type[NetworkSpec]) -> str:
    """Return a line on an option that the network does not use, or that does not exist."""
    users = [family for family, spec in FAMILIES.items() if name in spec.defaults()]
    if users:
        use = f"it is an option of {', '.join(users)}"
        return f"{name} must be left out for network {network.family}, got {value}; {use}"
    names = _defaults(network)
    near = did_you_mean(name, names)
    return f"option must be one of {', '.join(names)}, got {name}={value}{near}"
