"""Parts of a run's configuration: images, network, method, schedule; and what is compiled of them."""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from adamprox.data import Dataset, load
from adamprox.data.fingerprints import COMMITTED, Expected, expected
from adamprox.models import MLP, DenseNet, ResNet
from adamprox.models.densenet import check_densenet
from adamprox.models.resnet import check_depth
from adamprox.training.imported import NAME
from adamprox.training.options import Spec, check, flag, number, one_of, option, whole
from adamprox.training.recipes import RECIPES

SEED = whole(0, "in 0 … 2^31 − 1")
"""Rule of every seed."""


@dataclasses.dataclass(frozen=True)
class ImageSpec(Spec):
    """Images that a network is trained and tested on, and the batches that they come in.

    Attributes:
      dataset: A name for `adamprox.data.load`.
      image_size: Height and width after average pooling, in pixels; None for the original.
      train_size: Number of training images, the first ones; None for all that are left.
      validation_size: Number of training images that are set aside for validation.
      validation_seed: Seed of the random choice of the validation images.
      augment: True to flip and shift training images at random.
      batch_size: Examples a step; the last, smaller batch of an epoch is kept.
    """

    dataset: str = option("digits", one_of(COMMITTED))
    image_size: int | None = option(None, whole(1, optional=True))
    train_size: int | None = option(None, whole(1, optional=True))
    validation_size: int = option(0, whole(0))
    validation_seed: int = option(0, SEED)
    augment: bool = option(False, flag)
    batch_size: int = option(128, whole(1))

    @property
    def expected(self) -> Expected:
        """Sizes of the images that are trained on and tested on, without reading them."""
        data = expected(self.dataset)
        height, width, channels = data.image_shape
        shape = self.image_size or height, self.image_size or width, channels
        train = self.train_size or data.train - self.validation_size
        return data._replace(train=train, image_shape=shape)

    def load(self) -> Dataset:
        """Return the data set, with its images pooled and its validation split set aside.

        Raises:
          MissingDataError: The data set has not been prepared.
          ValueError: The data set does not have the requested sizes.
        """
        data = load(self.dataset)
        self.check_sizes(len(data.train), data.train.images.shape[1])
        return _load(self.dataset, self.image_size, self.validation_size, self.validation_seed)

    def check_sizes(self, available: int, side: int) -> None:
        """Refuse sizes that do not fit ``available`` training images of ``side`` pixels."""
        held_out, size = self.validation_size, self.image_size
        check("validation_size", held_out, held_out < available, f"< {available}")
        check("image_size", size, size is None or side % size == 0, f"a divisor of {side}")
        available, size = available - held_out, self.train_size
        left = f" (what a validation_size of {held_out} leaves)" if held_out else ""
        fits = size is None or size <= available
        check("train_size", size, fits, f"in 1 … {available}{left}")


@functools.cache
def _load(name: str, side: int | None, validation_size: int, validation_seed: int) -> Dataset:
    data = load(name)
    if side is not None:
        data = data.pooled(side)
    if validation_size:
        data = data.with_validation(validation_size, validation_seed)
    return data


@dataclasses.dataclass(frozen=True)
class NetworkSpec(Spec):
    """A network of one family; each family is a subclass, whose fields are its options.

    Attributes:
      family: Name of the family.
      module: Flax module of the family; its arguments are called as the options are.
      depth: Number of layers.
      init_scale: Factor of all initial parameters, > 0.
    """

    family: ClassVar[str]
    module: ClassVar[type[nn.Module]]

    depth: int = option(20, whole(1))
    init_scale: float = option(1.0, number("1e6", positive=True))

    @property
    def title(self) -> str:
        """Name of the network in tables and captions, as in "ResNet-110 with BatchNorm"."""
        scaled = "" if self.init_scale == 1 else f", initial weights × {self.init_scale:g}"
        return f"{type(self).module.__name__}-{self.depth}{self.variant}{scaled}"

    @property
    def variant(self) -> str:
        """Part of the title that tells networks of one family and depth apart."""
        return ""

    def build(self, num_classes: int) -> nn.Module:
        """Return the Flax module."""
        return type(self).module(**self.arguments(), num_classes=num_classes)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the module: every option but the scale, which is not its own."""
        return {name: value for name, value in vars(self).items() if name != "init_scale"}


@dataclasses.dataclass(frozen=True)
class NormalizedSpec(NetworkSpec):
    """A network with or without BatchNorm.

    Attributes:
      batch_norm: True for BatchNorm.
      compute_dtype: ``float32``, or ``bfloat16`` for activations; parameters stay float32.
      statistics_groups: Number of equal parts of a batch with separate BatchNorm statistics, as on devices
        that do not exchange statistics; a divisor of the batch size.
    """

    batch_norm: bool = option(False, flag)
    compute_dtype: str = option("float32", one_of(("float32", "bfloat16")))
    statistics_groups: int = option(1, whole(1))

    def __post_init__(self):
        """Refuse groups of statistics without statistics."""
        super().__post_init__()
        groups = self.statistics_groups
        check("statistics_groups", groups, groups == 1 or self.batch_norm, "1 without BatchNorm")

    @property
    def variant(self) -> str:
        """Part of the title that tells networks of one family and depth apart."""
        return f" {'with' if self.batch_norm else 'without'} BatchNorm"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the module: every option, the dtype as one of JAX's."""
        options = super().arguments()
        return options | {"dtype": jnp.dtype(options.pop("compute_dtype"))}


@dataclasses.dataclass(frozen=True)
class ResNetSpec(NormalizedSpec):
    """A ResNet of 6n + 2 layers.

    Attributes:
      skip_init: True to multiply residual branches by a learned scalar that starts at zero.
    """

    family = "resnet"
    module = ResNet

    skip_init: bool = option(False, flag)

    def __post_init__(self):
        """Refuse depths that no ResNet has."""
        super().__post_init__()
        check_depth(self.depth)

    @property
    def variant(self) -> str:
        """Part of the title that tells networks of one family and depth apart."""
        return f"{super().variant}{', SkipInit' if self.skip_init else ''}"


@dataclasses.dataclass(frozen=True)
class DenseNetSpec(NormalizedSpec):
    """A DenseNet-BC of 6n + 4 layers.

    Attributes:
      growth_rate: Channels that a bottleneck adds.
    """

    family = "densenet"
    module = DenseNet

    depth: int = option(100, whole(1))
    growth_rate: int = option(12, whole(1))

    def __post_init__(self):
        """Refuse depths that no DenseNet has."""
        super().__post_init__()
        check_densenet(self.depth, self.growth_rate, 1)


@dataclasses.dataclass(frozen=True)
class MLPSpec(NormalizedSpec):
    """A multilayer perceptron of ``depth`` dense layers.

    Attributes:
      width: Units of a hidden layer.
    """

    family = "mlp"
    module = MLP

    width: int = option(128, whole(1))


FAMILIES: dict[str, type[NetworkSpec]] = {
    spec.family: spec for spec in (ResNetSpec, DenseNetSpec, MLPSpec)
}
"""Name of a family of networks to its options."""


def _optimizer(name: str, value: Any) -> str:
    """Check the name of an optimizer; an imported one is not imported."""
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    return one_of(RECIPES)(name, value)


@dataclasses.dataclass(frozen=True)
class Method(Spec):
    """An optimizer with its hyperparameters.

    Attributes:
      optimizer: A key of `adamprox.training.recipes.RECIPES` (``adamw``, ``adam_l2``, ``sgd``, …), or a
        name of `adamprox.training.imported`.
      learning_rate: α > 0.
      weight_decay: λ ≥ 0, per step.
      loss_multiplier: Factor of the loss, > 0.
    """

    optimizer: str = option("adamw", _optimizer)
    learning_rate: float = option(1e-3, number("1e6", positive=True))
    weight_decay: float = option(1e-4, number("1e6", positive=False))
    loss_multiplier: float = option(1.0, number("1e30", positive=True))


@dataclasses.dataclass(frozen=True)
class Schedule(Spec):
    """Length of a run, and what is evaluated on the way.

    Attributes:
      epochs: Passes over the training set.
      evaluate_every: Number of epochs from one evaluation on the test (and validation) set to the next;
        the last epoch is always evaluated.
      evaluate_train: True to evaluate on the training set at the same epochs, too, as published; means
        over an epoch's batches are recorded in any case.
    """

    epochs: int = option(1, whole(1))
    evaluate_every: int = option(1, whole(1))
    evaluate_train: bool = option(False, flag)

    def visits(self, number: int) -> bool:
        """Return True if the evaluation sets are visited after epoch ``number``."""
        return number % self.evaluate_every == 0 or number == self.epochs


class Program(NamedTuple):
    """Everything that is fixed when a training program is compiled: all but `Hyperparameters` and seeds.

    A program trains one run, or several at once that have all of this in common but the optimizer.

    Attributes:
      images: Images of all runs.
      network: Network of all runs.
      optimizers: One key of `adamprox.training.recipes.RECIPES` a run, equal ones next to each other.
      one_order: True if all runs see the images in the same order, so that a batch is gathered and
        augmented once for all.
    """

    images: ImageSpec = ImageSpec()
    network: NetworkSpec = ResNetSpec()
    optimizers: tuple[str, ...] = ("adamw",)
    one_order: bool = True
