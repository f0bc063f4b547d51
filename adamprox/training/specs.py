"""What a training program is made of: which images, which network, which optimizer."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from adamprox.data import Dataset, load
from adamprox.models import MLP, DenseNet, ResNet


class ImageSpec(NamedTuple):
    """Which images a network is trained and tested on.

    Attributes:
      dataset: A name for `adamprox.data.load`.
      image_size: Height and width after average pooling, in pixels; None for the original.
      train_size: How many training images, the first ones; None for all that are left.
      validation_size: How many of the training images are set aside for validation.
      validation_seed: Which ones.
    """

    dataset: str = "digits"
    image_size: int | None = None
    train_size: int | None = None
    validation_size: int = 0
    validation_seed: int = 0

    def load(self) -> Dataset:
        """The data set, with its images pooled and its validation split set aside."""
        return _load(self)


@functools.cache
def _load(spec: ImageSpec) -> Dataset:
    data = load(spec.dataset)
    if spec.image_size is not None:
        data = data.pooled(spec.image_size)
    if spec.validation_size:
        data = data.with_validation(spec.validation_size, spec.validation_seed)
    return data


class NetworkSpec(NamedTuple):
    """Which network.

    Attributes:
      family: A key of `FAMILIES`.
      depth: 6n + 2 for a ResNet, 6n + 4 for a DenseNet, the number of layers of an MLP.
      growth_rate: Of a DenseNet, channels.
      batch_norm: Whether it has BatchNorm.
      skip_init: Whether a ResNet's branches start at zero, multiplied by a learned scalar.
      compute_dtype: ``float32``, or ``bfloat16`` for activations; parameters stay float32.
      width: Of an MLP, units of a hidden layer.
      statistics_groups: Parts of a batch that BatchNorm normalizes on their own.
    """

    family: str = "resnet"
    depth: int = 20
    growth_rate: int = 12
    batch_norm: bool = False
    skip_init: bool = False
    compute_dtype: str = "float32"
    width: int = 128
    statistics_groups: int = 1

    def build(self, num_classes: int) -> nn.Module:
        """The Flax module; ValueError names what no such network has."""
        return FAMILIES[self.family](self, num_classes)


def _resnet(spec: NetworkSpec, num_classes: int) -> nn.Module:
    return ResNet(
        spec.depth,
        num_classes,
        spec.batch_norm,
        skip_init=spec.skip_init,
        dtype=jnp.dtype(spec.compute_dtype),
        statistics_groups=spec.statistics_groups,
    )


def _densenet(spec: NetworkSpec, num_classes: int) -> nn.Module:
    if spec.skip_init:
        raise ValueError("skip_init must be False for a densenet, got True")
    return DenseNet(
        spec.depth,
        spec.growth_rate,
        num_classes,
        spec.batch_norm,
        dtype=jnp.dtype(spec.compute_dtype),
        statistics_groups=spec.statistics_groups,
    )


def _mlp(spec: NetworkSpec, num_classes: int) -> nn.Module:
    if spec.skip_init:
        raise ValueError("skip_init must be False for an mlp, got True")
    return MLP(
        spec.depth,
        spec.width,
        num_classes,
        spec.batch_norm,
        dtype=jnp.dtype(spec.compute_dtype),
        statistics_groups=spec.statistics_groups,
    )


FAMILIES: dict[str, Callable[[NetworkSpec, int], nn.Module]] = {
    "resnet": _resnet,
    "densenet": _densenet,
    "mlp": _mlp,
}
"""Name of a family of networks to what builds one of them."""


class Program(NamedTuple):
    """Everything that is fixed when a training program is compiled: all but `Hyperparameters` and seeds.

    A program trains one run, or several at once that have all of this in common but the optimizer.

    Attributes:
      images: Images of all runs.
      network: Network of all runs.
      optimizers: One key of `adamprox.training.recipes.RECIPES` a run, equal ones next to each other.
      batch_size: Examples a step; the last batch of an epoch is smaller where they do not divide.
      augment: True to flip and shift training images at random.
      one_order: True if all runs see the images in the same order, so that a batch is gathered and
        augmented once for all.
    """

    images: ImageSpec = ImageSpec()
    network: NetworkSpec = NetworkSpec()
    optimizers: tuple[str, ...] = ("adamw",)
    batch_size: int = 128
    augment: bool = False
    one_order: bool = True
