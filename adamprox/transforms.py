"""Four transformations for Optax chains, from which every optimizer of this package is built.

λ is a *per-step* decay. Unlike ``optax.adamw``, this module never multiplies it by the learning
rate. ``schedule`` is the paper's η_t, evaluated at count 0 on the first step.
"""

import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeGuard

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from adamprox.checks import is_known
from adamprox.prox import Prox

Schedule = optax.ScalarOrSchedule
NO_PARAMS_MSG = "params must be passed to update: this transformation reads the parameters."
PROXIMAL_PROBE: ContextVar[Callable[[Any, Any], Any] | None] = ContextVar("probe", default=None)
"""Substitute (updates, params) -> updates for the step of `proximal`; set by `check_chain` alone."""
Mask = Any  # a pytree of booleans (or a prefix of one), or a callable from params to one


class ScheduleState(NamedTuple):
    """Number of steps taken so far, int32[]; argument of the schedule η_t."""

    count: Any


class ScaleFreeAdamState(NamedTuple):
    """State of `scale_by_adam` at ``eps=0.0``; ``root_nu`` is √v, which avoids computing g²."""

    count: Any
    mu: optax.Updates
    root_nu: optax.Updates


def is_static_number(value: object) -> TypeGuard[float]:
    """Return True for a plain number, with a value known while tracing; False for a jax.Array."""
    return is_known(value) and np.ndim(value) == 0 and np.isrealobj(value)  # pyright: ignore


def check_nonnegative(**given: object) -> None:
    """Raise ValueError for a keyword that is a plain number and negative or NaN."""
    for name, value in given.items():
        if is_static_number(value) and not float(value) >= 0:
            raise ValueError(f"{name} must be a number >= 0, got {value}")


def check_decay_rates(**given: object) -> None:
    """Raise ValueError for a keyword that is a plain number outside [0, 1)."""
    for name, value in given.items():
        if is_static_number(value) and not 0 <= float(value) < 1:
            raise ValueError(f"{name} must be a number with 0 <= {name} < 1, got {value}")


def warn_of_large_decay(
    weight_decay: Schedule, schedule: Schedule = 1.0, learning_rate: Schedule | None = None
) -> None:
    """Warn if plain numbers remove a tenth of every weight, or more, per step.

    Args:
      weight_decay: λ of a function that the caller's caller called; the warning names its line.
      schedule: Multiplier η_t of λ; nothing is known of a callable, so it does not warn.
      learning_rate: Learning rate α to name, None where the function has none.
    """
    if not (is_static_number(weight_decay) and is_static_number(schedule)):
        return
    decay, share = float(weight_decay), float(weight_decay) * float(schedule)
    if not share >= 0.1:
        return
    known = is_static_number(learning_rate)
    alpha = f"{float(learning_rate):g}" if known else "learning_rate"
    warnings.warn(
        f"λ = weight_decay = {decay:g} removes {share:.3g} of every weight per step: λ is not "
        f"multiplied by the learning rate{f' α = {alpha}' if known else ''}. For the weight_decay of "
        f"optax.adamw write weight_decay=adamprox.from_optax({decay:g}, {alpha})",
        UserWarning,
        stacklevel=3,
    )


def at_count(value: Schedule, count: chex.Numeric) -> Any:
    """Return the value of a hyperparameter at step ``count``; it is a number or a schedule."""
    return value(count) if callable(value) else value


def with_params(update_leaf, weight, schedule, mask):
    """Return a transformation that applies ``update_leaf(updates, params, weight · η_t)``."""

    def init(params):
        del params
        return ScheduleState(jnp.zeros([], jnp.int32))

    def update(updates, state, params=None):
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        step_weight = at_count(weight, state.count) * at_count(schedule, state.count)
        return update_leaf(updates, params, step_weight), ScheduleState(
            optax.safe_increment(state.count)
        )

    transform = optax.GradientTransformation(init, update)
    return transform if mask is None else optax.masked(transform, mask)


def add_scaled(updates, params, scale):
    """Return updates + scale · params, computed in float32 or wider, in the dtype of the update."""

    def on_leaf(u, p):
        if u is None:
            return None
        u, p = jnp.asarray(u), jnp.asarray(p)
        wide = jnp.promote_types(jnp.promote_types(u.dtype, p.dtype), jnp.float32)
        scaled = jnp.asarray(scale, jnp.finfo(wide).dtype) * p.astype(wide)
        return (u.astype(wide) + scaled).astype(u.dtype)

    return jax.tree.map(on_leaf, updates, params, is_leaf=lambda x: x is None)


def add_l2_gradient(
    weight_decay: Schedule, mask: Mask | None = None
) -> optax.GradientTransformation:
    """Add the gradient of (λ/2)‖x‖² to the gradient: g ← g + λx.

    Place it first in a chain, before the moments. This term is why Adam-ℓ2 is *not* scale-free.

    Args:
      weight_decay: λ ≥ 0, in units of gradient per parameter; a number, traced scalar or schedule.
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
    λ = lr · wd. A number λ ≥ 0.1 warns.

    Args:
      weight_decay: λ ≥ 0 per step, dimensionless; a number, traced scalar or schedule.
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
    `prox.box`. With ``round_inward`` the parameter stays within the bounds.

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
    if not callable(prox):
        raise TypeError(f"prox must be a callable (tree, t) -> tree, got {prox!r}")
    check_nonnegative(weight=weight, schedule=schedule)

    difference = _inward_difference if round_inward else _difference

    def step(updates, params, t):
        if (probe := PROXIMAL_PROBE.get()) is not None:
            return probe(updates, params)
        # A leaf without an update is None for the prox, which excludes it from the norms.
        target = jax.tree.map(
            lambda u, p: None if u is None else p + u, updates, params, is_leaf=lambda x: x is None
        )
        return jax.tree.map(
            lambda z, x, p: None if z is None else difference(z, x, p),
            prox(target, t),
            target,
            params,
            is_leaf=lambda x: x is None,
        )

    return with_params(step, weight, schedule, mask)


def _difference(z, target, p):
    del target
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


def scale_by_adam(
    b1: chex.Numeric = 0.9,
    b2: chex.Numeric = 0.999,
    eps: chex.Numeric = 1e-8,
    eps_root: chex.Numeric = 0.0,
    mu_dtype: Any | None = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Adam's direction m̂ / (√v̂ + ε); with ``eps=0.0``, ε-free and in range from 1e-30 to 1e30.

    m_t = β₁ m_{t−1} + (1−β₁) g_t,  v_t = β₂ v_{t−1} + (1−β₂) g_t²,  hats divide by 1 − β^t.

    With a plain number ``eps > 0`` this is ``optax.scale_by_adam``, with one exception: a quotient
    by zero is 0 where ε underflows in the dtype of a leaf.

    With the plain number ``eps=0.0`` (and ``eps_root=0.0``) the state has √v instead of v, updated
    by a hypotenuse. Gradients from 1e-30 to 1e30 are in range. 0/0 is 0: a coordinate that never
    saw a gradient does not move. Multiplying the gradients of a coordinate by a power of two
    changes no bit of the result. At ε = 0 choose β₁² ≤ β₂; otherwise the steps after a single
    gradient grow without bound.

    A *traced* ε, as under ``optax.inject_hyperparams``, cannot select the state, which then has v:
    0/0 is still 0, but g² must be in range. Pass ``static_args=("eps",)`` to inject other
    hyperparameters with ``eps=0.0``.

    Args:
      b1: β₁ in [0, 1), decay of the first moment.
      b2: β₂ in [0, 1), decay of the second moment.
      eps: ε ≥ 0, added to √v̂ after bias correction; in units of the gradient.
      eps_root: Constant ≥ 0 added to v̂ inside the root, for differentiation through the step.
      mu_dtype: dtype of the first moment; None means the dtype of the parameters.
      nesterov: True for Nesterov momentum, as in NAdam.

    Returns:
      A transformation; its updates point along the gradient, not against it.

    Raises:
      ValueError: ``eps`` or ``eps_root`` is a negative number, ``b1`` or ``b2`` one outside [0, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> tx = scale_by_adam(eps=0.0)
      >>> g = jnp.array([1e-30, 0.0, -1e30])
      >>> print(jnp.round(tx.update(g, tx.init(g))[0], 3))
      [ 1.  0. -1.]

    Source: Algorithm 1 of the paper; Kingma and Ba, 2015.
    """
    check_nonnegative(eps=eps, eps_root=eps_root)
    check_decay_rates(b1=b1, b2=b2)
    # NumPy's float64 would make the updates float64; a Python float takes the dtype of a leaf.
    eps, eps_root = (float(x) if is_static_number(x) else x for x in (eps, eps_root))
    if is_static_number(eps) and eps == 0 and not (is_static_number(eps_root) and eps_root > 0):
        # A known zero is left out; an array may be zero or not, and both must be right.
        added = None if is_static_number(eps_root) else eps_root
        return _scale_by_range_safe_adam(b1, b2, added, mu_dtype, nesterov)
    adam = optax.scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return _nothing_over_nothing(adam, eps, eps_root)


def _nothing_over_nothing(adam, eps, eps_root):
    """Optax's Adam, with 0 for a quotient by zero in leaves where both constants may underflow."""

    def on_leaf(u, nu):
        if any(_is_held(constant, nu.dtype) for constant in (eps, eps_root)):
            return u
        return jnp.where((nu == 0) & ~jnp.isfinite(u), 0, u)

    def update(updates, state, params=None):
        updates, state = adam.update(updates, state, params)
        return _map(on_leaf, updates, state.nu), state

    return optax.GradientTransformation(adam.init, update)


def _is_held(constant, dtype):
    """Return True if a constant in a denominator is certainly nonzero in ``dtype``.

    XLA flushes subnormal numbers to zero, and rewrites m/(1 − β₁ᵗ)/(√v̂ + ε) as
    m/((1 − β₁ᵗ)(√v̂ + ε)). The product in this denominator must be a normal number too.
    """
    return is_static_number(constant) and float(constant) >= float(jnp.finfo(dtype).tiny) * 2**24


def _scale_by_range_safe_adam(b1, b2, eps_root, mu_dtype, nesterov):
    mu_dtype = None if mu_dtype is None else jnp.zeros([], mu_dtype).dtype

    def init(params):
        return ScaleFreeAdamState(
            count=jnp.zeros([], jnp.int32),
            mu=optax.tree.zeros_like(params, dtype=mu_dtype),
            root_nu=jax.tree.map(_wide_root, params),
        )

    def update(updates, state, params=None):
        del params
        count = optax.safe_increment(state.count)
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        root_nu = _map(lambda g, s: _root_moment(jnp.abs(g), s, b2), updates, state.root_nu)
        mu_hat = optax.tree.bias_correction(mu, b1, count)
        if nesterov:
            mu_hat = _map(
                # The factor of g is at most 1: g / (1 − β₁ᵗ) could overflow.
                lambda m, g: b1 * m + ((1 - b1) / (1 - b1**count)).astype(g.dtype) * g,
                optax.tree.bias_correction(mu, b1, optax.safe_increment(count)),
                updates,
            )
        root_correction = jnp.sqrt(1 - b2**count)
        updates = _map(
            lambda m, s: _ratio(m, s / root_correction.astype(s.dtype), eps_root),
            mu_hat,
            root_nu,
        )
        mu = _map(lambda m, before: m.astype(before.dtype), mu, state.mu)
        return updates, ScaleFreeAdamState(count, mu, root_nu)

    return optax.GradientTransformation(init, update)


def _wide_root(parameter):
    """Return √v = 0 in float32 or wider: in bfloat16, √β₂ √v rounds to √v and never decays."""
    return zeros_at_least_float32(jnp.abs(parameter))


def zeros_at_least_float32(x: jax.Array) -> jax.Array:
    """Return zeros of the shape of ``x``, in its dtype or float32, whichever is wider."""
    return jnp.zeros_like(x, dtype=jnp.promote_types(x.dtype, jnp.float32))


def _map(function, updates, *rest):
    return jax.tree.map(
        lambda u, *r: None if u is None else function(u, *r),
        updates,
        *rest,
        is_leaf=lambda x: x is None,
    )


def _root_moment(magnitude, root, b2):
    """Return √(β₂ s² + (1−β₂) |g|²) from s and |g|."""
    a = jnp.sqrt(jnp.asarray(b2, root.dtype)) * root
    b = jnp.sqrt(jnp.asarray(1 - b2, root.dtype)) * magnitude.astype(root.dtype)
    return hypotenuse(a, b)


def hypotenuse(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return √(a² + b²) of a, b ≥ 0 without a square; scaling by powers of two is exact."""
    larger = jnp.maximum(a, b)
    ratio = jnp.minimum(a, b) / jnp.where(larger > 0, larger, 1)
    return larger * jnp.sqrt(1 + ratio * ratio)


def _ratio(m, root, eps_root):
    """Return m / √(root² + eps_root) with 0/0 = 0; ``eps_root`` of None is a known zero."""
    if eps_root is not None:
        root = hypotenuse(root, jnp.sqrt(jnp.asarray(eps_root, root.dtype)))
    # With ``== 0``, a NaN root stays NaN and does not count as 0/0.
    return jnp.where(root == 0, 0, m / jnp.where(root == 0, 1, root)).astype(m.dtype)
