"""Layers of the networks: convolutions, BatchNorm, the classifier.

Parameters and statistics are float32. ``dtype`` is the dtype of the arithmetic; sums over a batch
or an image are in float32 or wider.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from adamprox.models.convolution import conv3x3

Initializer = Callable[..., jax.Array]


class Conv3x3(nn.Module):
    """Bias-free 3×3 convolution with the parameter of ``nn.Conv``: kernel float32[3, 3, C, O]."""

    features: int
    stride: int
    kernel_init: Initializer
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map float[N, H, W, C] to dtype[N, ⌈H/stride⌉, ⌈W/stride⌉, features]."""
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        return conv3x3(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)


class Conv1x1(nn.Module):
    """Bias-free 1×1 convolution as one matrix product; kernel float32[1, 1, C, O]."""

    features: int
    kernel_init: Initializer
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map float[N, H, W, C] to dtype[N, H, W, features]."""
        shape = (1, 1, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        # On a CPU, the gradients of lax.conv are slow inside a scan; those of a product are fast.
        return x.astype(self.dtype) @ kernel[0, 0].astype(self.dtype)


_MOMENTUM, _EPSILON = 0.9, 1e-5


def norm(
    x: jax.Array, batch_norm: bool, train: bool, dtype: Any, statistics_groups: int = 1
) -> jax.Array:
    """Apply BatchNorm with the reference's momentum and ε, or nothing, inside a compact module.

    Running variances average the biased variance of the batch, without the factor n/(n − 1).

    Args:
      x: Activations, dtype[N, …, C].
      batch_norm: False to return ``x``.
      train: True to normalize by the statistics of the batch, False by the running statistics.
      dtype: dtype of the arithmetic.
      statistics_groups: Number of groups of consecutive examples with separate statistics, as on
        devices that do not exchange statistics.

    Returns:
      dtype[N, …, C].
    """
    if not batch_norm:
        return x
    if statistics_groups > 1:
        return GroupedBatchNorm(statistics_groups, dtype)(x, train)
    norm = nn.BatchNorm(
        use_running_average=not train, momentum=_MOMENTUM, epsilon=_EPSILON, dtype=dtype
    )
    return norm(x)


class GroupedBatchNorm(nn.Module):
    """BatchNorm with separate statistics for ``groups`` parts of a batch, on any number of devices.

    It has the parameters and running statistics of ``nn.BatchNorm``; running statistics average
    over the groups. The number of groups is the greatest common divisor of ``groups`` and the batch
    size.
    """

    groups: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Normalize dtype[N, …, C]."""
        channels, features = x.shape[-1], x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, features, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, features, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, features, jnp.float32)
        groups = math.gcd(len(x), self.groups) if train else 1
        wide = x.reshape(groups, -1, channels).astype(jnp.promote_types(x.dtype, jnp.float32))
        mean, var = running_mean.value, running_var.value
        if train:
            mean, var = wide.mean(1, keepdims=True), wide.var(1, keepdims=True)
            if not self.is_initializing():
                for running, now in ((running_mean, mean), (running_var, var)):
                    average = (1 - _MOMENTUM) * now.mean((0, 1))
                    running.value = _MOMENTUM * running.value + average
        y = (wide - mean) * (jax.lax.rsqrt(var + _EPSILON) * scale) + bias
        return y.reshape(x.shape).astype(self.dtype)


def classify(x: jax.Array, num_classes: int, kernel_init: Initializer, dtype: Any) -> jax.Array:
    """Apply a global average and a dense layer with bias U(±1/√C), inside a compact module.

    Args:
      x: Activations, dtype[N, H, W, C].
      num_classes: Number of classes.
      kernel_init: Initializer of the dense kernel, float32[C, num_classes].
      dtype: dtype of the arithmetic, or float32 if that is wider.

    Returns:
      Logits float32[N, num_classes], or float64 if ``dtype`` is float64.
    """
    wide = jnp.promote_types(dtype, jnp.float32)
    average = jnp.mean(x, axis=(1, 2), dtype=wide)
    bias_init = functools.partial(uniform, bound=x.shape[-1] ** -0.5)
    dense = nn.Dense(num_classes, dtype=wide, kernel_init=kernel_init, bias_init=bias_init)
    return dense(average)


def uniform(key, shape, dtype=jnp.float32, *, bound) -> jax.Array:
    """Draw from U(±bound)."""
    return jax.random.uniform(key, shape, dtype, -bound, bound)
