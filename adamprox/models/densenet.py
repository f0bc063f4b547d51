"""DenseNet-BC of Huang et al., 2017, for small images, with and without BatchNorm."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from adamprox.checks import as_integer, positive_integer
from adamprox.models.layers import Conv1x1, Conv3x3, classify, norm

# Normal (not truncated) of variance 2/(k²·out), and U(±1/√fan_in).
_fan_out_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
_uniform_fan_in = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Bottleneck(nn.Module):
    """norm, relu, 1×1 to 4k channels, norm, relu, 3×3 to k channels, concatenated to the input."""

    growth_rate: int
    batch_norm: bool
    dtype: Any
    statistics_groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Map dtype[N, H, W, C] to dtype[N, H, W, C + growth_rate]."""
        y = nn.relu(norm(x, self.batch_norm, train, self.dtype, self.statistics_groups))
        y = Conv1x1(4 * self.growth_rate, _fan_out_normal, self.dtype)(y)
        y = nn.relu(norm(y, self.batch_norm, train, self.dtype, self.statistics_groups))
        y = Conv3x3(self.growth_rate, 1, _fan_out_normal, self.dtype)(y)
        return jnp.concatenate([x, y], -1)


class Transition(nn.Module):
    """norm, relu, 1×1 to half the channels, average of 2×2 pixels."""

    batch_norm: bool
    dtype: Any
    statistics_groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Map dtype[N, H, W, C] to dtype[N, ⌊H/2⌋, ⌊W/2⌋, ⌊C/2⌋]."""
        y = nn.relu(norm(x, self.batch_norm, train, self.dtype, self.statistics_groups))
        y = Conv1x1(x.shape[-1] // 2, _fan_out_normal, self.dtype)(y)
        return _average_pool(y)


def _average_pool(x):
    """Return means of 2×2 pixels without an odd last row or column."""
    n, h, w, c = x.shape
    even = x[:, : h // 2 * 2, : w // 2 * 2]
    return even.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


class DenseNet(nn.Module):
    """DenseNet-BC of ``depth`` = 6n + 4 layers: three dense blocks of n bottlenecks.

    The stem has 2k channels, a bottleneck 4k; transitions halve channels and resolution. There is
    no dropout. Convolutions have no bias; their initialization is N(0, 2/(k²·out)), that of the
    dense layer U(±1/√fan_in). ``batch_norm=False`` removes BatchNorm without a replacement.

    Args:
      depth: Number of layers: 10, 16, 22, …, any 6n + 4 with n ≥ 1.
      growth_rate: Number k ≥ 1 of channels that a bottleneck adds.
      num_classes: Number of classes.
      batch_norm: True for BatchNorm before every relu.
      dtype: dtype of the arithmetic; parameters, statistics and logits are float32 even for
        bfloat16.
      statistics_groups: Number of parts of a batch with separate BatchNorm statistics; see
        `adamprox.models.layers.norm`.

    Returns:
      From ``apply(variables, images, train=bool)`` with images float[N, H, W, C], 4×4 pixels or
      more: logits float32[N, num_classes]. With BatchNorm and ``train=True`` pass
      ``mutable=["batch_stats"]``.

    Raises:
      ValueError: An argument is out of range, or images are smaller than 4×4.

    Example:
      >>> import functools, jax, jax.numpy as jnp
      >>> images = jnp.zeros((1, 8, 8, 1))
      >>> init = functools.partial(DenseNet(10, num_classes=10).init_with_output, train=False)
      >>> logits, variables = jax.eval_shape(init, jax.random.key(0), images)
      >>> logits.shape
      (1, 10)

    Source: Huang et al., *Densely Connected Convolutional Networks*, 2017, §3.
    """

    depth: int = 100
    growth_rate: int = 12
    num_classes: int = 100
    batch_norm: bool = True
    dtype: Any = jnp.float32
    statistics_groups: int = 1

    def __post_init__(self):
        """Check the arguments before anything is built."""
        check_densenet(self.depth, self.growth_rate, self.num_classes)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Map images float[N, H, W, C] to logits float32[N, num_classes]."""
        if min(x.shape[1:3]) < 4:
            raise ValueError(f"images must be at least 4×4, got {x.shape[1]}×{x.shape[2]}")
        options = self.batch_norm, self.dtype, self.statistics_groups
        x = Conv3x3(2 * self.growth_rate, 1, _fan_out_normal, self.dtype)(x)
        for block in range(3):
            for _ in range((self.depth - 4) // 6):
                x = Bottleneck(self.growth_rate, *options)(x, train)
            if block < 2:
                x = Transition(*options)(x, train)
        x = nn.relu(norm(x, self.batch_norm, train, self.dtype, self.statistics_groups))
        return classify(x, self.num_classes, _uniform_fan_in, self.dtype)


def check_densenet(depth: object, growth_rate: object, num_classes: object) -> None:
    """Raise ValueError unless ``depth`` is 6n + 4 with n ≥ 1, and the others are positive."""
    number = as_integer(depth)
    if number is None or number < 10 or number % 6 != 4:
        raise ValueError(f"depth must be 6n + 4 (10, 16, 22, 28, 40, 100, …), got {depth!r}")
    for name, value in (("growth_rate", growth_rate), ("num_classes", num_classes)):
        positive_integer(name, value)
