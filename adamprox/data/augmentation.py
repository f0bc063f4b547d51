"""The published augmentation, on the device and inside a compiled step: flip, pad, crop.

An augmented batch is a function of the images and a key alone, and the key one of seed and step, so
a run that is resumed sees the images that it would have seen.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp


class Draws(NamedTuple):
    """What is random: one number an image.

    Attributes:
      flip: 1 to mirror left and right, 0 not to; int32[N].
      down: Row of the padded image at which the crop starts, 0 … 2·pad, int32[N].
      right: Likewise its column.
    """

    flip: Any
    down: Any
    right: Any


def augmentation_key(seed: chex.Numeric, step: chex.Numeric) -> jax.Array:
    """The key of one step's augmentation.

    It is not one that initialization or the order of examples derive from the same seed.

    Args:
      seed: Of the run, int32[].
      step: Steps taken before this one, int32[].

    Returns:
      A key for `augment`.
    """
    root = jax.random.fold_in(jax.random.key(seed), 0x61756764)  # "augd"
    return jax.random.fold_in(root, step)


def draw(key: chex.PRNGKey, count: int, pad: int) -> Draws:
    """Flips with probability ½ and offsets uniform on 0 … 2·pad, independent, for ``count`` images.

    Remainders of 32 random bits are uniform to within 2⁻²⁸, and compile in half the time that
    `jax.random.randint` takes to be exact.
    """
    spans = jnp.array([[2], [2 * pad + 1], [2 * pad + 1]], jnp.uint32)
    remainders = jax.random.bits(key, (3, count), jnp.uint32) % spans
    return Draws(*remainders.astype(jnp.int32))


def transform(draws: Draws, images: jax.Array, pad: int) -> jax.Array:
    """Flip, pad with zeros (black, in the raw image) and crop, as ``draws`` say.

    Two gathers, whole rows first: the fastest of seven ways on a CPU, see docs/decisions.md.

    Args:
      draws: One of each for every image.
      images: uint8[N, H, W, C].
      pad: Pixels on every side.

    Returns:
      uint8[N, H, W, C].
    """
    count, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows = jnp.arange(height) + draws.down[:, None]
    columns = jnp.arange(width) + draws.right[:, None]
    # Mirrored images are read from the far end: the padding is symmetric.
    columns = jnp.where(draws.flip[:, None] == 1, width + 2 * pad - 1 - columns, columns)
    flat = padded.reshape(count, height + 2 * pad, -1)
    cropped = jnp.take_along_axis(flat, rows[:, :, None], axis=1)
    cropped = cropped.reshape(count, height, width + 2 * pad, channels)
    return jnp.take_along_axis(cropped, columns[:, None, :, None], axis=2)


def augment(key: chex.PRNGKey, images: jax.Array, pad: int = 4) -> jax.Array:
    """Flip half of the images left to right, pad with zeros, and crop back at random.

    Args:
      key: Of this batch, see `augmentation_key`.
      images: uint8[N, H, W, C], not normalized: padding is black, not the mean.
      pad: Pixels on every side, at least 0.

    Returns:
      uint8[N, H, W, C].

    Raises:
      ValueError: ``images`` or ``pad`` is not as above.

    Example:
      >>> import jax.numpy as jnp
      >>> images = jnp.zeros([2, 32, 32, 3], jnp.uint8)
      >>> augment(augmentation_key(seed=0, step=7), images).shape
      (2, 32, 32, 3)

    Source: K. He et al., Deep residual learning for image recognition, 2016, section 4.2.
    """
    if images.ndim != 4 or images.dtype != jnp.uint8:
        raise ValueError(f"images must be uint8[N, H, W, C], got {images.dtype}{images.shape}")
    if pad < 0:
        raise ValueError(f"pad must be >= 0, got {pad}")
    return transform(draw(key, len(images), pad), images, pad)
