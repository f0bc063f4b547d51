"""Ways for Adam to get over a huge first gradient: rivals of scale-freeness as an explanation.

A deep network without BatchNorm starts with gradients that are far larger than all later ones. The
second moment forgets them only as e^(−t/2000) at β₂ = 0.999; until then λx is lost beside √v in
Adam-ℓ2, while AdamW decays all along. Each direction here forgets, or never sees, such a gradient.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from adamprox.checks import positive_integer
from adamprox.optimizers import adam_direction

RESET_AFTER = 20
"""Steps until the moments are started anew."""
CLIP_AT = 1.0
"""Largest global norm of a gradient that clipping lets pass."""


class RestartState(NamedTuple):
    """Steps taken, int32[], and the state of what is restarted."""

    count: Any
    inner: optax.OptState


def restart_once(
    inner: optax.GradientTransformation, after: int
) -> optax.GradientTransformationExtraArgs:
    """Run ``inner``, and put its state back to the start once, when ``after`` steps have been taken.

    s_{t+1} = s_0 at t = after, else the state that ``inner`` leaves.

    Args:
      inner: Any transformation whose initial state depends on the parameters' shapes alone.
      after: How many steps, at least 1.

    Returns:
      A transformation with a `RestartState`.

    Raises:
      ValueError: ``after`` is not a positive integer.

    Example:
      >>> tx = restart_once(optax.trace(1.0), after=2)
      >>> x = jnp.ones(1)
      >>> state = tx.init(x)
      >>> for _ in range(3):
      ...     updates, state = tx.update(x, state)
      >>> print(updates)
      [1.]

    Source: a control experiment of this project.
    """
    after = positive_integer("after", after)
    inner = optax.with_extra_args_support(inner)

    def init(params):
        return RestartState(jnp.zeros([], jnp.int32), inner.init(params))

    def update(updates, state, params=None, **extra_args):
        fresh = inner.init(updates if params is None else params)
        begins = state.count == after
        before = jax.tree.map(lambda new, old: jnp.where(begins, new, old), fresh, state.inner)
        updates, after_step = inner.update(updates, before, params, **extra_args)
        return updates, RestartState(optax.safe_increment(state.count), after_step)

    return optax.GradientTransformationExtraArgs(init, update)


def short_memory(alpha) -> optax.GradientTransformation:
    """Adam's direction with β₂ = 0.99: v forgets within a hundred steps."""
    return adam_direction(alpha, b2=0.99)


def restarted(alpha) -> optax.GradientTransformation:
    """Adam's direction whose moments start anew when the first steps are over."""
    return restart_once(adam_direction(alpha), RESET_AFTER)
