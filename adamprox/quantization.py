"""Training of quantized or sparse networks: a latent copy of the weights, and a hardening schedule."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from adamprox.arguments import Mask, Schedule, at_count, check_floating, check_nonnegative
from adamprox.checks import is_known
from adamprox.prox import Prox
from adamprox.prox._arithmetic import check_operator, filled
from adamprox.transforms import NO_PARAMS_MSG, PROXIMAL_PROBE, difference, map_updates, masked


class StraightThroughState(NamedTuple):
    """Number of steps taken, int32[], and the latent weights w, in float32 or wider."""

    count: Any
    latent: optax.Params


def straight_through(
    prox: Prox, weight: Schedule, schedule: Schedule = 1.0, mask: Mask | None = None
) -> optax.GradientTransformation:
    """Sum all steps in latent weights w and set the parameters to prox(w).

    w ← w + u,   x ← prox_{η_t λ R}(w),   where w starts at the parameters.

    `proximal` starts every step at the quantized x, and a step shorter than half the distance
    between neighboring levels is lost. Here w keeps it. The gradient is that of the loss at x. With
    `prox.quantize` this is the straight-through estimator, and with `prox.parq` the aggregate
    proximal gradient method of PARQ. `prox.n_m` trains 2:4 sparse networks. With ``beta`` = 1,
    `dual_averaging` has the same w; its weight of R is the sum Λ_t, not λ_t.

    Place it last in a chain. A parameter equals the result of the prox to one rounding, as after
    `proximal`. To get levels that are exact to the last bit, apply the operator once to the
    trained parameters. Weight decay of the base optimizer reads x, not w.

    Args:
      prox: Operator of `adamprox.prox`, or any callable ``(tree, t) -> tree``.
      weight: Total weight λ ≥ 0 of R at each step, not an increment per step; a number, traced
        scalar or schedule such as `hardening`. Projections ignore it.
      schedule: Multiplier η_t ≥ 0 of λ, a number or a callable of the step count.
      mask: Pytree of booleans, or a callable that returns one; False leaves take the step u and
        have no latent weights.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      TypeError: ``prox`` is not callable.
      ValueError: ``weight`` or ``schedule`` is a negative number, or ``params`` is not passed.

    Example:
      >>> import functools, jax.numpy as jnp, optax
      >>> from adamprox import prox
      >>> signs = functools.partial(prox.quantize, levels=(-1, 1))
      >>> tx, x = optax.chain(optax.sgd(0.5), straight_through(signs, 1.0)), jnp.ones(1)
      >>> state = tx.init(x)
      >>> for _ in range(3):
      ...     updates, state = tx.update(jnp.ones(1), state, x)
      ...     x = optax.apply_updates(x, updates)
      ...     print(x)
      [1.]
      [-1.]
      [-1.]

    Source: Jin et al., *PARQ: Piecewise-Affine Regularized Quantization*, 2025 (AProx); Courbariaux,
    Bengio and David, *BinaryConnect*, 2015.
    """
    check_operator(prox)
    check_nonnegative(weight=weight, schedule=schedule)

    def init(params):
        return StraightThroughState(jnp.zeros([], jnp.int32), jax.tree.map(_wide_copy, params))

    def update(updates, state, params=None):
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        check_floating(updates, params)
        t = at_count(weight, state.count) * at_count(schedule, state.count)
        moved = map_updates(lambda u, w: w + jnp.asarray(u, w.dtype), updates, state.latent)
        latent = filled(moved, state.latent)
        state = StraightThroughState(optax.safe_increment(state.count), latent)
        if (probe := PROXIMAL_PROBE.get()) is not None:
            return probe(updates, params), state
        return map_updates(difference, prox(moved, t), params), state

    transform = optax.GradientTransformation(init, update)
    return masked(transform, mask)


def hardening(start: int, stop: int, *, steepness: chex.Numeric = 10.0) -> optax.Schedule:
    """Return a schedule of the weight of `prox.parq` from 0 to 1 along a sigmoid, then ∞.

    t = 1 − ρ. The inverse slope ρ is 1 until step ``start``, and 0 at ``stop``. Between them it is
    σ(s(½ − f)), shifted and scaled to these values; f is the fraction of the steps done. From
    ``stop`` on, t = ∞: `prox.parq` and `prox.binary_relax` are then `prox.quantize`.

    Args:
      start: Step at which the weight starts to rise, ≥ 0.
      stop: First step of quantized parameters, > ``start``.
      steepness: Steepness s > 0 of the sigmoid; for s < 1, ρ is nearly linear.

    Returns:
      A callable of the step count.

    Raises:
      ValueError: The steps are not in order, or ``steepness`` is not a positive number.

    Example:
      >>> schedule = hardening(100, 200)
      >>> [round(float(schedule(step)), 3) for step in (0, 100, 125, 150, 175, 200)]
      [0.0, 0.0, 0.07, 0.5, 0.93, inf]

    Source: Jin et al., *PARQ: Piecewise-Affine Regularized Quantization*, 2025.
    """
    if is_known(start) and is_known(stop) and not 0 <= start < stop:
        raise ValueError(f"steps must be in order, 0 <= start < stop, got {start} and {stop}")
    if is_known(steepness) and not 0 < float(steepness) < float("inf"):
        raise ValueError(f"steepness must be a number in (0, ∞), got {steepness}")

    def schedule(count: Any) -> jax.Array:
        fraction = jnp.clip((jnp.asarray(count, float) - start) / (stop - start), 0, 1)
        # σ(x) = (1 + tanh(x/2))/2; differences of tanh are precise for a small s too.
        edge, now = jnp.tanh(steepness / 4), jnp.tanh(steepness * (0.5 - fraction) / 2)
        rise = jnp.where(fraction > 0, (1 - now / edge) / 2, 0)
        return jnp.where(count >= stop, jnp.inf, rise)

    return schedule


def _wide_copy(p):
    p = jnp.asarray(p)
    return jnp.array(p, jnp.promote_types(p.dtype, jnp.float32), copy=True)
