"""Averaged AdaGrad on a hypercube, without and with restarts: the scale-free methods of the theory.

Both methods have guarantees with explicit constants. The tests check the guarantees on problems
with known constants. Neither method has an ε: 0/0 is 0, and scaling a gradient coordinate by a
power of two changes no bit of the iterates.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from adamprox.arguments import check_constants, check_nonnegative, positive_count
from adamprox.moments import hypotenuse, zeros_at_least_float32
from adamprox.transforms import NO_PARAMS_MSG


class AdagradState(NamedTuple):
    """State of both methods; every tree has the structure of the parameters.

    Attributes:
      count: Number of steps in this round, int32[].
      radius: Half of the side of this round's hypercube, float[].
      center: Center of the hypercube, where the round started.
      root_sum: √Σ g² of every coordinate over this round, in float32 or wider.
      average: Mean of the points at which this round's gradients were taken, in float32 or wider.
    """

    count: Any
    radius: Any
    center: chex.ArrayTree
    root_sum: chex.ArrayTree
    average: chex.ArrayTree


def _start(params, radius):
    root_sum = jax.tree.map(zeros_at_least_float32, params)
    return AdagradState(
        count=jnp.zeros([], jnp.int32),
        # Copies, so that parameters, hyperparameters and state can be donated together.
        radius=jnp.array(radius, float, copy=True),
        center=jax.tree.map(jnp.copy, params),
        root_sum=root_sum,
        average=jax.tree.map(lambda x, s: jnp.array(x, s.dtype), params, root_sum),
    )


def _advance(gradients, state, params):
    """Return the next iterate Π_K(x − η g/√Σg²), η = √2 · radius, and the state after x."""
    count = optax.safe_increment(state.count)
    root_sum = jax.tree.map(
        lambda s, g: hypotenuse(s, jnp.abs(g).astype(s.dtype)), state.root_sum, gradients
    )

    def averaged(a, x):
        return a + (jnp.asarray(x, a.dtype) - a) / jnp.asarray(count, a.dtype)

    average = jax.tree.map(averaged, state.average, params)

    def on_leaf(x, g, s, center):
        x = jnp.asarray(x)
        radius = state.radius.astype(x.dtype)
        step = 2**0.5 * radius * (g / jnp.where(s > 0, s, 1)).astype(x.dtype)
        return jnp.clip(x - step, center - radius, center + radius)

    moved = jax.tree.map(on_leaf, params, gradients, root_sum, state.center)
    return moved, state._replace(count=count, root_sum=root_sum, average=average)


def adagrad(radius: chex.Numeric) -> optax.GradientTransformationExtraArgs:
    """AdaGrad projected on a hypercube around its start; its state has the average of the iterates.

    x_{t+1,i} = Π_K(x_{t,i} − η g_{t,i} / √Σ_{s≤t} g²_{s,i}),   K = {‖x − x₁‖_∞ ≤ r},  η = √2 r.

    For convex losses, any x ∈ K, and the side D = 2r of K,

        Σ_t f_t(x_t) − f_t(x) ≤ √2 D Σᵢ √(Σ_t g²_{t,i}).

    Args:
      radius: r > 0, half of the side of K, in units of a parameter. The parameters given to
        ``init`` are the center of K.

    Returns:
      An optimizer of real parameters; its ``update`` needs ``params``. Bounds on the function value
      apply to the average of the iterates, ``optax.tree.get(state, "average")``.

    Raises:
      TypeError: ``radius`` is no number or array.
      ValueError: ``radius`` is a negative number, or ``params`` is not passed.

    Example:
      >>> import jax.numpy as jnp, numpy as np, optax
      >>> tx = adagrad(1.0)
      >>> x = jnp.zeros(2)
      >>> u, state = tx.update(jnp.array([1e-20, -1e20]), tx.init(x), x)
      >>> print(np.asarray(optax.apply_updates(x, u)))
      [-1.  1.]

    Source: Algorithm 2 and Theorem 2 of the paper; Duchi, Hazan and Singer, 2011.
    """
    check_constants(radius=radius)
    check_nonnegative(radius=radius)

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        moved, state = _advance(updates, state, params)
        return optax.tree.sub(moved, params), state

    return optax.GradientTransformationExtraArgs(lambda params: _start(params, radius), update)


def adagrad_with_restarts(
    radius: chex.Numeric, steps_per_round: chex.Numeric
) -> optax.GradientTransformationExtraArgs:
    """Rounds of `adagrad`: each starts at the previous average, in a hypercube half as wide.

    x^{(k+1)} = average of round k,   r_{k+1} = r_k / 2,   √Σg² starts at 0 in every round.

    Take a μ-strongly convex and M-smooth function of d coordinates, ‖x^{(0)} − x*‖_∞ ≤ r, and
    T = 128 d M/μ steps a round. Then the distance to x* halves every round: ‖x^{(k)} − x*‖_∞ ≤
    r/2^k after kT gradients. Because the method is scale-free, M/μ is the condition number of the
    *best* diagonal rescaling of the problem. For any diagonal quadratic that number is 1.

    Args:
      radius: r > 0, a bound on ‖x^{(0)} − x*‖_∞.
      steps_per_round: T ≥ 1, number of steps in a round.

    Returns:
      An optimizer; every T-th step moves the parameters to the round's average.

    Raises:
      TypeError: ``radius`` is no number or array.
      ValueError: ``radius`` is a negative number, ``steps_per_round`` not a positive integer, or
        ``params`` is not passed.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> tx = adagrad_with_restarts(2.0, steps_per_round=50)
      >>> x = jnp.array([1.0, -1.5])
      >>> state = tx.init(x)
      >>> for _ in range(500):
      ...     u, state = tx.update(jnp.array([1.0, 1e6]) * x, state, x)
      ...     x = optax.apply_updates(x, u)
      >>> bool(jnp.max(jnp.abs(x)) < 2.0 / 2**10)
      True

    Source: Algorithm 3 and Theorem 3 of the paper; the constant is derived in docs/adagrad.md.
    """
    check_constants(radius=radius)
    check_nonnegative(radius=radius)
    steps_per_round = positive_count("steps_per_round", steps_per_round)

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        moved, state = _advance(updates, state, params)
        center = optax.tree.cast_like(state.average, moved)
        restarted = _start(center, state.radius / 2)
        over = state.count == steps_per_round
        moved, state = optax.tree.where(over, (center, restarted), (moved, state))
        return optax.tree.sub(moved, params), state

    return optax.GradientTransformationExtraArgs(lambda params: _start(params, radius), update)
