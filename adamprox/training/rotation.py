"""Angular updates: the angles by which a step turns the weights of the neurons.

A neuron is an output channel of a kernel: of a dense layer or of a convolution. AdamW is said to turn
all neurons by similar angles, and Adam-ℓ2 not (Kosson, Messmer and Jaggi, arXiv 2305.17212).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

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
    angles = jnp.arctan2(_rate(w, step), 1 + _along(w, step))
    return jnp.where(jnp.any(w != 0, tuple(range(w.ndim - 1))), angles, jnp.nan)


def percentiles(angles: np.ndarray) -> list[float | None]:
    """Return `PERCENTILES` of the angles that are numbers; all None if there are none."""
    known = angles[np.isfinite(angles)]
    if not known.size:
        return [None] * len(PERCENTILES)
    return np.percentile(known, PERCENTILES).tolist()


def balance_rotation(
    typical: Callable[[jax.Array], jax.Array],
) -> optax.GradientTransformation:
    """Turn all neurons equally fast: a transformation that follows the step of an optimizer.

    A step s of a neuron has a part along its weights w and a part across, which turns them:
    s = s_∥ + s_⊥. The result is s_∥ + (r̄/r) s_⊥, where r = ‖s_⊥‖/‖w‖, and r̄ is a typical r of
    all neurons of the network that turn. Other parameters, such as biases, keep their step.

    Args:
      typical: Function from the rates r, NaN for a neuron that does not turn, to r̄. A neuron whose
        weights shrink to 0 has a rate without bound, which changes the mean, but hardly the median.
    """

    def update(updates, state, params: Any = None):
        rates = jax.tree.map(_rate, params, updates)
        turning = jnp.concatenate([jnp.zeros(1), *map(jnp.ravel, jax.tree.leaves(rates))])
        common = typical(jnp.where(turning > 0, turning, jnp.nan))

        def balanced(w, step, rate):
            if w.ndim < 2:
                return step
            along = _along(w, step) * w
            factor = jnp.where(rate > 0, common / jnp.where(rate > 0, rate, 1), 1)
            return along + factor * (step - along)

        return jax.tree.map(balanced, params, updates, rates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _rate(w: jax.Array, step: jax.Array) -> jax.Array:
    """Return ‖s_⊥‖/‖w‖ of each neuron; 0 where all weights are 0, and without neurons."""
    if w.ndim < 2:
        return jnp.zeros(1)
    axes = tuple(range(w.ndim - 1))
    square = jnp.sum(w * w, axes)
    across = jnp.sum((step - _along(w, step) * w) ** 2, axes)
    return jnp.where(square > 0, jnp.sqrt(across / jnp.where(square > 0, square, 1)), 0)


def _along(w: jax.Array, step: jax.Array) -> jax.Array:
    """Return the part of the step along w as a multiple of w, by neuron; 0 where w is 0."""
    axes = tuple(range(w.ndim - 1))
    square = jnp.sum(w * w, axes)
    return jnp.sum(w * step, axes) / jnp.where(square > 0, square, 1)
