"""Transformations of a chain that read the parameters: decay, and proximal steps.

λ is a *per-step* decay. Unlike ``optax.adamw``, this module never multiplies it by the learning
rate. ``schedule`` is the paper's η_t, evaluated at count 0 on the first step.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from adamprox.arguments import (
    Mask,
    Schedule,
    at_count,
    check_floating,
    check_mask,
    check_nonnegative,
    warn_of_large_decay,
)
from adamprox.prox import Prox
from adamprox.prox._arithmetic import check_operator

NO_PARAMS_MSG = "params must be passed to update: this transformation reads the parameters."
PROXIMAL_PROBE: ContextVar[Callable[[Any, Any], Any] | None] = ContextVar("probe", default=None)
"""Substitute (updates, params) -> updates for the step of `proximal`; set by `check_chain` alone."""


class ScheduleState(NamedTuple):
    """Number of steps taken so far, int32[]: the argument of a λ or η_t that is a schedule."""

    count: Any


def map_updates(function: Callable, updates: Any, *rest: Any) -> Any:
    """Map a function over the leaves of ``updates`` and of ``rest``; None in ``updates`` stays."""
    return jax.tree.map(
        lambda u, *r: None if u is None else function(u, *r),
        updates,
        *rest,
        is_leaf=lambda x: x is None,
    )


def with_params(
    apply: Callable, weight: Schedule, schedule: Schedule, mask: Mask | None
) -> optax.GradientTransformation:
    """Return a transformation by ``apply(updates, params, weight · η_t)``.

    As in Optax, only a schedule needs a state: a second counter would be ambiguous for
    ``optax.tree.get(state, "count")``.
    """
    counts = callable(weight) or callable(schedule)

    def init(params):
        del params
        return ScheduleState(jnp.zeros([], jnp.int32)) if counts else optax.EmptyState()

    def update(updates, state, params=None):
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        count = state.count if counts else 0
        step_weight = at_count(weight, count) * at_count(schedule, count)
        after = ScheduleState(optax.safe_increment(state.count)) if counts else state
        return apply(updates, params, step_weight), after

    return masked(optax.GradientTransformation(init, update), mask)


def masked(transform: optax.GradientTransformation, mask: Mask | None) -> Any:
    """Return ``transform`` on the leaves where ``mask`` is True, on all leaves if it is None.

    Raises:
      TypeError: ``mask`` is a text.

    Warns:
      UserWarning: ``mask`` is one bool; see `check_mask`.
    """
    check_mask(mask)
    return transform if mask is None else optax.masked(transform, mask)


def add_scaled(updates, params, scale):
    """Return updates + scale · params, computed in float32 or wider, in the dtype of the update."""

    def on_leaf(u, p):
        u, p = jnp.asarray(u), jnp.asarray(p)
        wide = jnp.promote_types(jnp.promote_types(u.dtype, p.dtype), jnp.float32)
        scaled = jnp.asarray(scale, jnp.finfo(wide).dtype) * p.astype(wide)
        return (u.astype(wide) + scaled).astype(u.dtype)

    return map_updates(on_leaf, updates, params)


def add_l2_gradient(
    weight_decay: Schedule, mask: Mask | None = None
) -> optax.GradientTransformation:
    """Add the gradient of (λ/2)‖x‖² to the gradient: g ← g + λx.

    Place it first in a chain, before the moments. This term is why Adam-ℓ2 is *not* scale-free.

    Args:
      weight_decay: λ ≥ 0, in units of gradient per parameter; a number, traced scalar or schedule,
        *not* multiplied by the learning rate. It is the weight of ``optax.add_decayed_weights``
        before Adam; the ``weight_decay`` of ``optax.adamw`` is another term.
      mask: Pytree of booleans, or a callable that returns one; False leaves do not change.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      ValueError: ``weight_decay`` is a negative number, or ``params`` is not passed.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = add_l2_gradient(0.1)
      >>> x = jnp.array([2.0])
      >>> print(tx.update(jnp.array([1.0]), tx.init(x), x)[0])
      [1.2]

    Source: Algorithm 1 of the paper, Adam-ℓ2.
    """
    check_nonnegative(weight_decay=weight_decay)
    return with_params(add_scaled, weight_decay, 1.0, mask)


def decay_weights(
    weight_decay: Schedule, schedule: Schedule = 1.0, mask: Mask | None = None
) -> optax.GradientTransformation:
    """Decay the parameters from which the step started: u ← u − λ η_t x.

    Place it *after* the learning rate. λ is per step: ``optax.adamw(lr, weight_decay=wd)`` has
    λ = lr · wd. Plain numbers with λη ≥ 0.1 cause a warning.

    Args:
      weight_decay: λ ≥ 0 per step, dimensionless; a number, traced scalar or schedule, *not*
        multiplied by the learning rate.
      schedule: Multiplier η_t ≥ 0 of λ, a number or a callable of the step count (0 at the first
        step).
      mask: Pytree of booleans, or a callable that returns one; False leaves do not decay.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      ValueError: ``weight_decay`` or ``schedule`` is a negative number, or ``params`` is not
        passed.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = decay_weights(0.0625)
      >>> x = jnp.array([2.0])
      >>> print(tx.update(jnp.array([0.0]), tx.init(x), x)[0])
      [-0.125]

    Source: Algorithm 1 of the paper, AdamW.
    """
    warn_of_large_decay(weight_decay, schedule)
    return decay_weights_unwarned(weight_decay, schedule, mask)


def decay_weights_unwarned(
    weight_decay: Schedule, schedule: Schedule = 1.0, mask: Mask | None = None
) -> optax.GradientTransformation:
    """Return `decay_weights` without its warning, for callers that warn themselves."""
    check_nonnegative(weight_decay=weight_decay, schedule=schedule)
    return with_params(lambda u, p, w: add_scaled(u, p, -w), weight_decay, schedule, mask)


def proximal(
    prox: Prox,
    weight: Schedule,
    schedule: Schedule = 1.0,
    mask: Mask | None = None,
    *,
    round_inward: bool = False,
) -> optax.GradientTransformation:
    """Minimize a regularizer exactly after a step: x ← prox_{η_t λ R}(x + u).

    Place it last in a chain. The update is prox(x + u) − x in the dtype of the parameter, which
    makes an exact zero of the prox an exact zero of the parameter after ``optax.apply_updates``. A
    later transformation would rescale that difference and lose the zeros. A nonzero parameter
    equals the result of the prox to one rounding, and this rounding may leave the bounds of
    `prox.box`. With ``round_inward`` the parameter stays within the bounds. For parameters in half
    precision the operator sees x + u in float32.

    Args:
      prox: Operator of `adamprox.prox`, or any callable ``(tree, t) -> tree``.
      weight: λ ≥ 0 per step, not multiplied by the learning rate; a number, traced scalar or
        schedule.
      schedule: Multiplier η_t ≥ 0 of λ, a number or a callable of the step count (0 at the first
        step).
      mask: Pytree of booleans, or a callable that returns one; the prox sees only True leaves.
      round_inward: True to keep real parameters within the bounds of `prox.box`, to the last bit.
        On a CPU this costs a tenth of a step of Adam.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      TypeError: ``prox`` is not callable.
      ValueError: ``weight`` or ``schedule`` is a negative number, or ``params`` is not passed.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from adamprox import prox
      >>> tx = optax.chain(optax.sgd(1.0), proximal(prox.l1, 0.5))
      >>> x = jnp.array([1.0, 1.0])
      >>> u, _ = tx.update(jnp.array([0.8, -2.0]), tx.init(x), x)
      >>> print(optax.apply_updates(x, u))
      [0.  2.5]

    Source: eq. (3) of the paper.
    """
    check_operator(prox)
    check_nonnegative(weight=weight, schedule=schedule)

    def step(updates, params, t):
        if (probe := PROXIMAL_PROBE.get()) is not None:
            return probe(updates, params)
        check_floating(updates, params)
        # A leaf without an update is None for the prox, which excludes it from the norms.
        target = map_updates(stepped, updates, params)
        moved = prox(target, t)
        if round_inward:
            return map_updates(_inward_difference, moved, target, params)
        return map_updates(difference, moved, params)

    return with_params(step, weight, schedule, mask)


def stepped(u: chex.Array, p: chex.Array) -> jax.Array:
    """Return p + u in float32 or wider: half precision would round short steps away."""
    dtype = jnp.promote_types(jnp.result_type(p, u), jnp.float32)
    return jnp.asarray(p, dtype) + jnp.asarray(u, dtype)


def difference(z: jax.Array, p: chex.Array) -> jax.Array:
    """Return the update z − p, in the dtype of the parameter p."""
    p = jnp.asarray(p)
    return z.astype(p.dtype) - p


def _inward_difference(z, target, p):
    """Return z − p, rounded such that p + (z − p) does not lie between z and ``target``.

    The nearest rounding may leave p + (z − p) one unit on the side of ``target``, the argument of
    the prox; then the function takes the next number. Where the prox did not act, p replaces
    ``target``.
    """
    p = jnp.asarray(p)
    pull, z = target - z, z.astype(p.dtype)
    step = z - p
    if jnp.iscomplexobj(step):
        return step  # complex numbers have no order, hence no bounds
    limits = jnp.finfo(step.dtype)
    reached = p + step
    if limits.nmant < 23:
        # A fusion of XLA may compute half precision in float32; round to the precision of the sum.
        reached = jax.lax.reduce_precision(reached, limits.nexp, limits.nmant)
    back = jnp.where(pull == 0, step, pull.astype(step.dtype))
    outside = (reached != z) & ((reached > z) == (back > 0))
    # A change of ε |s| moves s by one or two representable numbers.
    return jnp.where(outside, step - jnp.copysign(limits.eps * step, back), step)
