"""The CIFAR ResNets of He et al., 2016: 6n + 2 layers, with and without BatchNorm."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from adamprox.models.convolution import Conv3x3

# Plain (not truncated) normal of variance 2/fan_in, for convolutions and the dense layer alike.
_he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def _uniform_fan_in(key, shape, dtype=jnp.float32):
    """U(±1/√64): the bias of the final layer, whose fan-in is always 64."""
    return jax.random.uniform(key, shape, dtype, -1 / 8, 1 / 8)


def _shortcut(x, features, stride):
    """Option A: subsample, and pad the channels with zeros equally on both sides."""
    x = x[:, ::stride, ::stride]
    missing = features - x.shape[-1]
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)))


class BasicBlock(nn.Module):
    """conv, norm, relu, conv, norm, plus the shortcut, relu."""

    features: int
    stride: int
    batch_norm: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Float[N, H, W, C] to float[N, H/stride, W/stride, features]."""
        y = Conv3x3(self.features, self.stride, _he_normal)(x)
        y = nn.relu(_norm(y, self.batch_norm, train))
        y = Conv3x3(self.features, 1, _he_normal)(y)
        y = _norm(y, self.batch_norm, train)
        return nn.relu(y + _shortcut(x, self.features, self.stride))


def _norm(x, batch_norm, train):
    """BatchNorm with the reference's momentum and ε, or nothing; call inside a compact module."""
    if not batch_norm:
        return x
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x)


class ResNet(nn.Module):
    """CIFAR ResNet of ``depth`` = 6n + 2 layers: three stages of n blocks, 16, 32 and 64 channels.

    Post-activation blocks, option-A shortcuts, bias-free convolutions, He-normal initialization.
    Without BatchNorm nothing takes its place: no bias, no rescaling.

    Args:
      depth: 8, 14, 20, …: any 6n + 2 with n ≥ 1.
      num_classes: Size of the output.
      batch_norm: Whether BatchNorm follows every convolution.

    Returns:
      From ``apply(variables, images, train=bool)`` with images float[N, H, W, C]: logits
      float[N, num_classes]. With BatchNorm and ``train=True`` pass ``mutable=["batch_stats"]``.

    Raises:
      ValueError: ``depth`` is not 6n + 2.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> images = jnp.zeros((1, 32, 32, 3))
      >>> variables = ResNet(20, batch_norm=False).init(jax.random.key(0), images, train=False)
      >>> sum(leaf.size for leaf in jax.tree.leaves(variables))
      268346

    Source: He et al., *Deep Residual Learning for Image Recognition*, 2016, §4.2.
    """

    depth: int
    num_classes: int = 10
    batch_norm: bool = True

    def __post_init__(self):
        """Refuse a depth that no such network has, before anything is built."""
        check_depth(self.depth)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Images float[N, H, W, C] to logits float[N, num_classes]."""
        x = Conv3x3(16, 1, _he_normal)(x)
        x = nn.relu(_norm(x, self.batch_norm, train))
        for stage, features in enumerate((16, 32, 64)):
            for block in range((self.depth - 2) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                x = BasicBlock(features, stride, self.batch_norm)(x, train)
        x = jnp.mean(x, axis=(1, 2))
        return nn.Dense(self.num_classes, kernel_init=_he_normal, bias_init=_uniform_fan_in)(x)


def check_depth(depth: object) -> None:
    """Raise ValueError unless ``depth`` is 6n + 2 with n ≥ 1."""
    if not isinstance(depth, int) or depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth must be 6n + 2 (8, 14, 20, 26, 32, 44, 56, …), got {depth!r}")
