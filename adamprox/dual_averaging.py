"""Regularized dual averaging, which keeps its zeros when gradients are noisy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from adamprox.arguments import (
    Mask,
    Schedule,
    at_count,
    check_floating,
    check_nonnegative,
    is_static_number,
)
from adamprox.moments import zeros_at_least_float32
from adamprox.prox import Prox
from adamprox.prox._arithmetic import check_operator, filled
from adamprox.transforms import NO_PARAMS_MSG, PROXIMAL_PROBE, difference, map_updates, masked


class DualAveragingState(NamedTuple):
    """Number of steps taken, int32[]; x₀; the sums S_t and Λ_t, in float32 or wider."""

    count: Any
    initial: optax.Params
    total: optax.Updates
    weight: Any


def dual_averaging(
    prox: Prox,
    weight: Schedule,
    beta: float | Callable[[jax.Array], Any] = 1.0,
    mask: Mask | None = None,
) -> optax.GradientTransformation:
    """Take one proximal step from x₀ with the sum of all steps and the sum of all weights.

    S_t = Σ_{s≤t} u_s,   Λ_t = Σ_{s≤t} λ_s,   x ← prox_{Λ_t R/β_t}(x₀ + S_t/β_t).

    The threshold is compared with the mean step, in which the noise of mini-batches averages out;
    `proximal` compares it with each step. With ``beta=jnp.sqrt`` after ``optax.sgd(α)`` this is RDA
    with γ = 1/α and the weight λ/α of R; step sizes then fall as 1/√t. Place it last in a chain.

    Args:
      prox: Operator of `adamprox.prox`, or any callable ``(tree, weight) -> tree``, of a convex R.
      weight: λ ≥ 0 per step, as for `proximal`; a number, traced scalar or schedule.
      beta: β > 0, or a nondecreasing callable of the step t = 1, 2, …, in float32. Step sizes are
        divided by it. ``optax.inject_hyperparams`` needs ``static_args=("prox", "beta")`` for a
        callable, which it would take for a schedule.
      mask: Pytree of booleans, or a callable that returns one; False leaves take the step u.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      TypeError: ``prox`` is not callable.
      ValueError: ``weight`` is a negative number, ``beta`` is not positive, or ``params`` is not
        passed.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from adamprox import prox
      >>> tx, x = dual_averaging(prox.l1, 0.5), jnp.zeros(2)
      >>> updates, _ = tx.update(jnp.array([0.25, -2.0]), tx.init(x), x)
      >>> print(optax.apply_updates(x, updates))
      [ 0.  -1.5]

    Source: Xiao, *Dual Averaging Methods for Regularized Stochastic Learning and Online
    Optimization*, 2010 (Algorithm 1 with h(x) = ½‖x − x₀‖²).
    """
    check_operator(prox)
    check_nonnegative(weight=weight)
    valid = callable(beta) or isinstance(beta, jax.Array)
    if is_static_number(beta):
        valid = 0 < float(beta) < float("inf")
    if not valid:
        raise ValueError(f"beta must be a number > 0 or a callable of the step, got {beta!r}")

    def init(params):
        copy = jax.tree.map(jnp.copy, params)
        total = jax.tree.map(zeros_at_least_float32, params)
        return DualAveragingState(jnp.zeros([], jnp.int32), copy, total, jnp.zeros([], float))

    def update(updates, state, params=None):
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        if (probe := PROXIMAL_PROBE.get()) is not None:
            return probe(updates, params), state
        check_floating(updates, params)
        count = optax.safe_increment(state.count)
        summed = state.weight + at_count(weight, state.count)
        total = map_updates(lambda u, s: s + jnp.asarray(u, s.dtype), updates, state.total)
        scale = jnp.asarray(beta(jnp.asarray(count, float)) if callable(beta) else beta, float)
        aim = map_updates(
            lambda s, x: x.astype(s.dtype) + s / scale.astype(s.dtype), total, state.initial
        )
        steps = map_updates(difference, prox(aim, summed / scale), params)
        kept = filled(total, state.total)
        summed = summed.astype(state.weight.dtype)
        return steps, DualAveragingState(count, state.initial, kept, summed)

    transform = optax.GradientTransformation(init, update)
    return masked(transform, mask)
