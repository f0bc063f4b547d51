"""Angular updates: the angles by which a step turns the weights of the neurons.

A neuron is an output channel of a kernel: of a dense layer or of a convolution. AdamW is said to turn
all neurons by similar angles, and Adam-ℓ2 not (Kosson, Messmer and Jaggi, arXiv 2305.17212).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PERCENTILES = (10, 50, 90)


def angular_updates(params: Any, step: Any) -> jax.Array:
    """Return the angle between the weights w of each neuron and w + step.

    Args:
      params: Pytree of arrays; the last axis of a kernel is that of its neurons. Leaves with less than
        two axes have no neurons.
      step: Pytree of steps, like ``params``.

    Returns:
      Angles in radians, float32[N], in the order of the leaves; NaN where all weights are 0.

    Example:
      >>> angular_updates({"kernel": jnp.array([[1.0, 2.0]])}, {"kernel": jnp.array([[-2.0, 1.0]])})
      Array([3.1415927, 0.       ], dtype=float32)
    """
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(step), strict=True)
    return jnp.concatenate([jnp.zeros(0), *(_angles(w, d) for w, d in pairs if w.ndim > 1)])


def _angles(w: jax.Array, step: jax.Array) -> jax.Array:
    w, step = (x.reshape(-1, x.shape[-1]) for x in (w, step))
    square = jnp.sum(w * w, axis=0)
    along = jnp.sum(w * step, axis=0) / square
    across = jnp.linalg.norm(step - along * w, axis=0)
    return jnp.arctan2(across, (1 + along) * jnp.sqrt(square))


def percentiles(angles: np.ndarray) -> list[float | None]:
    """Return `PERCENTILES` of the angles that are numbers; all None if there are none."""
    known = angles[np.isfinite(angles)]
    if not known.size:
        return [None] * len(PERCENTILES)
    return np.percentile(known, PERCENTILES).tolist()
