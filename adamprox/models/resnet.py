"""The CIFAR ResNets of He et al., 2016: 6n + 2 layers, with and without BatchNorm."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from adamprox.checks import as_integer, positive_integer
from adamprox.models.layers import Conv3x3, classify, norm
from adamprox.models.repeat import repeat

# Normal (not truncated) of variance 2/fan_in, for convolutions and the dense layer.
_he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
# With at least this many blocks per stage, the equal blocks are traced once.
_REPEAT_FROM = 9


def _shortcut(x, features, stride):
    """Apply option A: subsample, and pad channels with zeros equally on both sides."""
    # Not x[:, ::stride, ::stride]: older versions of JAX would gather, with a scatter as gradient.
    x = jax.lax.slice(x, (0, 0, 0, 0), x.shape, (1, stride, stride, 1))
    missing = features - x.shape[-1]
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)))


class SkipInit(nn.Module):
    """Learned scalar that multiplies a residual branch, initially 0; alpha float32[].

    Source: De and Smith, *Batch Normalization Biases Residual Blocks Towards the Identity
    Function in Deep Networks*, 2020.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Multiply float[...] by the scalar."""
        return self.param("alpha", nn.initializers.zeros, (), jnp.float32).astype(x.dtype) * x


class BasicBlock(nn.Module):
    """conv, norm, relu, conv, norm, plus the shortcut, relu."""

    features: int
    stride: int
    batch_norm: bool
    skip_init: bool
    dtype: Any
    statistics_groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Map dtype[N, H, W, C] to dtype[N, ⌈H/stride⌉, ⌈W/stride⌉, features]."""
        y = Conv3x3(self.features, self.stride, _he_normal, self.dtype)(x)
        y = nn.relu(norm(y, self.batch_norm, train, self.dtype, self.statistics_groups))
        y = Conv3x3(self.features, 1, _he_normal, self.dtype)(y)
        y = norm(y, self.batch_norm, train, self.dtype, self.statistics_groups)
        y = SkipInit()(y) if self.skip_init else y
        return nn.relu(y + _shortcut(x, self.features, self.stride))


class ResNet(nn.Module):
    """CIFAR ResNet of ``depth`` = 6n + 2 layers: three stages of n blocks, 16, 32 and 64 channels.

    The network has post-activation blocks, option-A shortcuts and bias-free convolutions. The
    initialization is He-normal, and U(±1/√64) for the bias of the dense layer. ``batch_norm=False``
    removes BatchNorm without a replacement: no bias, no rescaling.

    Args:
      depth: Number of layers: 8, 14, 20, …, any 6n + 2 with n ≥ 1.
      num_classes: Number of classes.
      batch_norm: True for BatchNorm after every convolution.
      skip_init: True for a learned scalar, initially 0, on every residual branch.
      dtype: dtype of the arithmetic; parameters, statistics and logits are float32 even for
        bfloat16.
      statistics_groups: Number of parts of a batch with separate BatchNorm statistics; see
        `adamprox.models.layers.norm`.

    Returns:
      From ``apply(variables, images, train=bool)`` with images float[N, H, W, C]: logits
      float32[N, num_classes]. With BatchNorm and ``train=True`` pass ``mutable=["batch_stats"]``.

    Raises:
      ValueError: ``depth`` is not 6n + 2.

    Example:
      >>> import functools, jax, jax.numpy as jnp
      >>> images = jnp.zeros((1, 32, 32, 3))
      >>> init = functools.partial(ResNet(20, batch_norm=False).init, train=False)
      >>> variables = jax.eval_shape(init, jax.random.key(0), images)  # shapes alone
      >>> sum(leaf.size for leaf in jax.tree.leaves(variables))
      268346

    Source: He et al., *Deep Residual Learning for Image Recognition*, 2016, §4.2.
    """

    depth: int
    num_classes: int = 10
    batch_norm: bool = True
    skip_init: bool = False
    dtype: Any = jnp.float32
    statistics_groups: int = 1

    def __post_init__(self):
        """Check the arguments before anything is built."""
        check_depth(self.depth)
        positive_integer("num_classes", self.num_classes)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Map images float[N, H, W, C] to logits float32[N, num_classes]."""
        x = Conv3x3(16, 1, _he_normal, self.dtype)(x)
        x = nn.relu(norm(x, self.batch_norm, train, self.dtype, self.statistics_groups))
        for stage in range(3):
            x = self._stage(x, stage, train)
        return classify(x, self.num_classes, _he_normal, self.dtype)

    def _stage(self, x, stage, train):
        """Apply one stage; its blocks are equal except the first, which may subsample."""
        blocks = (self.depth - 2) // 6
        first, *others = [f"BasicBlock_{stage * blocks + index}" for index in range(blocks)]
        x = self._block(stage, 2 if stage else 1, name=first)(x, train)
        # Initialization always visits one block after the other: values must not depend on
        # `repeat`. So does a call that captures intermediates, which `repeat` would drop.
        whole = self.is_initializing() or self.is_mutable_collection("intermediates")
        if blocks >= _REPEAT_FROM and not whole:
            return repeat(self, self._block(stage, parent=None), others, x, train)
        for name in others:
            x = self._block(stage, name=name)(x, train)
        return x

    def _block(self, stage, stride=1, **kwargs):
        options = self.batch_norm, self.skip_init, self.dtype, self.statistics_groups
        return BasicBlock(16 * 2**stage, stride, *options, **kwargs)


def check_depth(depth: object) -> None:
    """Raise ValueError unless ``depth`` is 6n + 2 with n ≥ 1."""
    number = as_integer(depth)
    if number is None or number < 8 or number % 6 != 2:
        raise ValueError(f"depth must be 6n + 2 (8, 14, 20, 26, 32, 44, 56, …), got {depth!r}")
