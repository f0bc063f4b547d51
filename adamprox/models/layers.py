"""What the networks are made of: convolutions, BatchNorm, the classifier.

Parameters and statistics are float32. ``dtype`` is what the arithmetic is done in; sums over a
batch or over an image are done in float32 at least.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from adamprox.models.convolution import conv3x3

Initializer = Callable[..., jax.Array]


class Conv3x3(nn.Module):
    """A bias-free 3×3 convolution, parameters as those of ``nn.Conv``: kernel float32[3, 3, C, O]."""

    features: int
    stride: int
    kernel_init: Initializer
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Float[N, H, W, C] to dtype[N, ⌈H/stride⌉, ⌈W/stride⌉, features]."""
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        return conv3x3(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)


class Conv1x1(nn.Module):
    """A bias-free 1×1 convolution, as one matrix product; kernel float32[1, 1, C, O]."""

    features: int
    kernel_init: Initializer
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Float[N, H, W, C] to dtype[N, H, W, features]."""
        shape = (1, 1, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        # The gradients of lax.conv take a slow path inside a scan on a CPU; a product's do not.
        return x.astype(self.dtype) @ kernel[0, 0].astype(self.dtype)


def norm(x: jax.Array, batch_norm: bool, train: bool, dtype: Any) -> jax.Array:
    """BatchNorm with the reference's momentum and ε, or nothing; call inside a compact module.

    Running variances average the batch's variance as it is, not times n/(n − 1).
    """
    if not batch_norm:
        return x
    norm = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype)
    return norm(x)


def classify(x: jax.Array, num_classes: int, kernel_init: Initializer, dtype: Any) -> jax.Array:
    """Global average and a dense layer of bias U(±1/√C); call inside a compact module.

    Args:
      x: dtype[N, H, W, C].
      num_classes: Of the output.
      kernel_init: Of the dense kernel, float32[C, num_classes].
      dtype: Of the arithmetic; float32 where it is narrower.

    Returns:
      Logits float32[N, num_classes], or float64 where ``dtype`` is.
    """
    wide = jnp.promote_types(dtype, jnp.float32)
    average = jnp.mean(x, axis=(1, 2), dtype=wide)
    bias_init = functools.partial(_uniform, bound=x.shape[-1] ** -0.5)
    dense = nn.Dense(num_classes, dtype=wide, kernel_init=kernel_init, bias_init=bias_init)
    return dense(average)


def _uniform(key, shape, dtype=jnp.float32, *, bound):
    return jax.random.uniform(key, shape, dtype, -bound, bound)
