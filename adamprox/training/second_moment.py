"""Variants of Adam that limit the effect of a huge first gradient, for an alternative explanation.

A deep network without BatchNorm starts with gradients that are far larger than all later ones. At
β₂ = 0.999 their effect on √v decays as e^(−t/2000), with a half-life of 1,386 steps. Until then λx
is negligible beside √v in Adam-ℓ2, while AdamW decays from the first step on. Each variant here
makes the second moment decay earlier, or clips such a gradient.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from adamprox.checks import positive_integer
from adamprox.optimizers import adam_direction

RESET_AFTER = 20
"""Number of steps after which the moments restart."""
CLIP_AT = 1.0
"""Global norm to which larger gradients are clipped."""


class RestartState(NamedTuple):
    """Number of steps taken, int32[], and the state of the restarted transformation."""

    count: Any
    inner: optax.OptState


def restart_once(
    inner: optax.GradientTransformation, after: int
) -> optax.GradientTransformationExtraArgs:
    """Run ``inner``, and reset its state once, after ``after`` steps.

    The state before step ``after`` + 1 is the initial state of ``inner``.

    Args:
      inner: Transformation whose initial state depends only on the shapes of the parameters.
      after: Number of steps before the reset, at least 1.

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
    """Return Adam's direction with β₂ = 0.99; √v decays with a half-life of 138 steps."""
    return adam_direction(alpha, b2=0.99)


def equal_betas(beta: float) -> Callable[[Any], optax.GradientTransformation]:
    """Return the function α -> Adam's direction with β₁ = β₂ = ``beta``.

    Both moments then weight the past alike. To first order, the direction does not depend on a
    gradient scale that varies slowly in time (arXiv 2601.21739).
    """
    return lambda alpha: adam_direction(alpha, b1=beta, b2=beta)


def restarted(alpha) -> optax.GradientTransformation:
    """Return Adam's direction with moments that restart after `RESET_AFTER` steps."""
    return restart_once(adam_direction(alpha), RESET_AFTER)
