"""Fully connected networks on the pixels of an image."""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from adamprox.checks import positive_integer
from adamprox.models.layers import norm, uniform

_he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


class MLP(nn.Module):
    """Fully connected network: ``depth`` − 1 hidden dense layers and the classifier.

    x ← relu(norm(x W + b)), then logits x W + b. Kernels are He-normal and biases U(±1/√fan_in), as
    in the classifiers of the other networks.

    Args:
      depth: Number of dense layers ≥ 1; 1 is a linear model on the pixels.
      width: Number of units of a hidden layer, ≥ 1.
      num_classes: Number of classes.
      batch_norm: True for BatchNorm after every hidden dense layer.
      dtype: dtype of the arithmetic; parameters, statistics and logits are float32 even for
        bfloat16.
      statistics_groups: Number of parts of a batch with separate BatchNorm statistics; see
        `adamprox.models.layers.norm`.

    Returns:
      From ``apply(variables, images, train=bool)`` with images float[N, H, W, C]: logits
      float32[N, num_classes]. With BatchNorm and ``train=True`` pass ``mutable=["batch_stats"]``.

    Raises:
      ValueError: ``depth``, ``width`` or ``num_classes`` is not a positive integer.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = MLP(depth=3, width=16)
      >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), train=False)
      >>> print({name: leaf["kernel"].shape for name, leaf in variables["params"].items()})
      {'Dense_0': (64, 16), 'Dense_1': (16, 16), 'Dense_2': (16, 10)}

    Source: §5 of the paper asks for fully connected networks beside convolutional ones.
    """

    depth: int = 3
    width: int = 128
    num_classes: int = 10
    batch_norm: bool = False
    dtype: Any = jnp.float32
    statistics_groups: int = 1

    def __post_init__(self):
        """Check the arguments before anything is built."""
        for name in ("depth", "width", "num_classes"):
            positive_integer(name, getattr(self, name))
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Map images float[N, H, W, C] to logits float32[N, num_classes]."""
        x = x.reshape(x.shape[0], math.prod(x.shape[1:]))  # -1 fails for no images
        for _ in range(self.depth - 1):
            x = _dense(self.width, x.shape[-1], self.dtype)(x)
            x = nn.relu(norm(x, self.batch_norm, train, self.dtype, self.statistics_groups))
        return _dense(self.num_classes, x.shape[-1], jnp.promote_types(self.dtype, jnp.float32))(x)


def _dense(features: int, fan_in: int, dtype: Any) -> nn.Dense:
    bias_init = functools.partial(uniform, bound=fan_in**-0.5)
    return nn.Dense(features, dtype=dtype, kernel_init=_he_normal, bias_init=bias_init)
