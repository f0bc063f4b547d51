"""The building blocks of every optimizer here: four transforms that chain in Optax.

Unlike ``optax.adamw``, λ is a *per-step* decay: nothing in this module multiplies it by the
learning rate. ``schedule`` is the paper's η_t, evaluated at count 0 on the first step.
"""

from typing import Any, NamedTuple, TypeGuard

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from adamprox.prox import Prox

Schedule = optax.ScalarOrSchedule
NO_PARAMS_MSG = "params must be passed to update: this transformation reads the parameters."
Mask = Any  # a pytree of booleans (or a prefix of one), or a callable from params to one


class ScheduleState(NamedTuple):
    """Steps taken so far, int32[]; what η_t is evaluated at."""

    count: Any


class ScaleFreeAdamState(NamedTuple):
    """State of `scale_by_adam` at ``eps=0.0``: ``root_nu`` is √v, so that g² is never formed."""

    count: Any
    mu: optax.Updates
    root_nu: optax.Updates


def is_static_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a plain number, safe to look at while tracing (a jax.Array is not)."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "iuf"
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


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


def at_count(value: Schedule, count: chex.Numeric) -> Any:
    """The value of a hyperparameter at a step: itself, or its schedule at ``count``."""
    return value(count) if callable(value) else value


def _with_params(update_leaf, weight, schedule, mask):
    """A transform from ``update_leaf(updates, params, weight · η_t)``, masked if asked."""

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


def _add_scaled(updates, params, scale):
    """Updates + scale · params at no less than float32, in the dtype of the update."""

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

    First in a chain, before the moments: this is what makes Adam-ℓ2 *not* scale-free.

    Args:
      weight_decay: λ ≥ 0, a number, traced scalar or schedule; in units of gradient per parameter.
      mask: Pytree of booleans or a callable that makes one; False leaves are not touched.

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
    return _with_params(_add_scaled, weight_decay, 1.0, mask)


def decay_weights(
    weight_decay: Schedule, schedule: Schedule = 1.0, mask: Mask | None = None
) -> optax.GradientTransformation:
    """Decay the parameters the step started from: u ← u − λ η_t x.

    Place it *after* the learning rate. λ is per step: ``optax.adamw(lr, weight_decay=wd)`` is
    λ = lr · wd here.

    Args:
      weight_decay: λ ≥ 0 per step, dimensionless; a number, traced scalar or schedule.
      schedule: η_t ≥ 0, a number or a callable of the step count (0 at the first step).
      mask: Pytree of booleans or a callable that makes one; False leaves are not decayed.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      ValueError: ``weight_decay`` or ``schedule`` is a negative number, or ``params`` is not passed.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = decay_weights(0.5)
      >>> x = jnp.array([2.0])
      >>> print(tx.update(jnp.array([0.0]), tx.init(x), x)[0])
      [-1.]

    Source: Algorithm 1 of the paper, AdamW.
    """
    check_nonnegative(weight_decay=weight_decay, schedule=schedule)
    return _with_params(lambda u, p, w: _add_scaled(u, p, -w), weight_decay, schedule, mask)


def proximal(
    prox: Prox,
    weight: Schedule,
    schedule: Schedule = 1.0,
    mask: Mask | None = None,
    *,
    round_inward: bool = False,
) -> optax.GradientTransformation:
    """Minimize a regularizer exactly after a step: x ← prox_{η_t λ R}(x + u). Last in a chain.

    Returned is prox(x + u) − x in the dtype of the parameter, so that an exact zero of the prox is
    an exact zero of the parameter after ``optax.apply_updates``. A transform that comes after it
    rescales that difference and loses the zeros. Elsewhere the parameter is the prox's result to one
    rounding, which may be outside a bound that `prox.box` has just enforced; ``round_inward`` rounds
    to the other side of the result there.

    Args:
      prox: An operator of `adamprox.prox`, or any callable ``(tree, t) -> tree``.
      weight: λ ≥ 0 per step, not multiplied by the learning rate; a number, traced scalar or
        schedule.
      schedule: η_t ≥ 0, a number or a callable of the step count (0 at the first step).
      mask: Pytree of booleans or a callable that makes one; the prox sees only True leaves.
      round_inward: Keep real parameters that are within the bounds of `prox.box` there, to the last
        bit. Costs a tenth of a step of Adam on a CPU.

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
        # prox sees None for a leaf that has no update, and so leaves it out of its norms.
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

    return _with_params(step, weight, schedule, mask)


def _difference(z, target, p):
    del target
    p = jnp.asarray(p)
    return z.astype(p.dtype) - p


def _inward_difference(z, target, p):
    """z − p, rounded so that p + (z − p) is z or lies beyond it, seen from what the prox was given.

    The nearest number may put the parameter one rounding back towards ``target``; the next one then
    has it on the inside. Where the prox did not act, the side of p is taken.
    """
    p = jnp.asarray(p)
    pull, z = target - z, z.astype(p.dtype)
    step = z - p
    if jnp.iscomplexobj(step):
        return step  # complex numbers have no order, and so no bounds
    limits = jnp.finfo(step.dtype)
    reached = p + step
    if limits.nmant < 23:
        # XLA may keep half precision in float32 inside a fusion; what is checked must be what is added.
        reached = jax.lax.reduce_precision(reached, limits.nexp, limits.nmant)
    back = jnp.where(pull == 0, step, pull.astype(step.dtype))
    outside = (reached != z) & ((reached > z) == (back > 0))
    # ε |s| is one or two numbers away from s.
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
    """Adam's direction m̂ / (√v̂ + ε); with ``eps=0.0``, ε-free and safe from 1e-30 to 1e30.

    m_t = β₁ m_{t−1} + (1−β₁) g_t,  v_t = β₂ v_{t−1} + (1−β₂) g_t²,  hats divide by 1 − β^t.

    With a plain number ``eps > 0`` this is ``optax.scale_by_adam``, except that a quotient by zero is
    0 where the dtype of a leaf cannot hold ε. The plain number ``eps=0.0``
    (with ``eps_root=0.0``) keeps √v instead of v and updates it by a hypotenuse: gradients from
    1e-30 to 1e30 are in range, 0/0 is 0 (a coordinate that never saw a gradient does not move), and
    multiplying a coordinate's gradients by a power of two changes no bit of the result. A *traced*
    ε, as under ``optax.inject_hyperparams``, cannot choose the state and keeps v: 0/0 is 0 then too,
    but g² must be in range. Pass ``static_args=("eps",)`` to inject around ``eps=0.0``. At ε = 0 keep
    β₁² ≤ β₂, or the steps after a lone gradient grow without bound.

    Args:
      b1: β₁ in [0, 1), decay of the first moment.
      b2: β₂ in [0, 1), decay of the second moment.
      eps: ε ≥ 0, added to √v̂ after bias correction; in units of the gradient.
      eps_root: Added to v̂ inside the root, for differentiating through the step.
      mu_dtype: dtype of the first moment; that of the parameters if None.
      nesterov: Nesterov momentum, as in NAdam.

    Returns:
      A transformation; its updates have the sign of the gradient.

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
    # NumPy's float64 would make the updates float64; a plain number takes the type of a leaf.
    eps, eps_root = (float(x) if is_static_number(x) else x for x in (eps, eps_root))
    if is_static_number(eps) and eps == 0 and not (is_static_number(eps_root) and eps_root > 0):
        # A known zero costs nothing; an array may hold any value, and zero must be right too.
        added = None if is_static_number(eps_root) else eps_root
        return _scale_by_range_safe_adam(b1, b2, added, mu_dtype, nesterov)
    adam = optax.scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return _nothing_over_nothing(adam, eps, eps_root)


def _nothing_over_nothing(adam, eps, eps_root):
    """Optax's Adam with 0 for a quotient by zero, in leaves whose dtype may hold neither constant."""

    def on_leaf(u, nu):
        if any(_is_held(constant, nu.dtype) for constant in (eps, eps_root)):
            return u
        return jnp.where((nu == 0) & ~jnp.isfinite(u), 0, u)

    def update(updates, state, params=None):
        updates, state = adam.update(updates, state, params)
        return _map(on_leaf, updates, state.nu), state

    return optax.GradientTransformation(adam.init, update)


def _is_held(constant, dtype):
    """Return True if a constant in a denominator is known to be no zero in ``dtype``.

    XLA flushes subnormal numbers to zero, and turns m/(1 − β₁ᵗ)/(√v̂ + ε) into
    m/((1 − β₁ᵗ)(√v̂ + ε)): that product must be normal, too.
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
                # The factor of g is at most 1: g / (1 − β₁ᵗ) would leave the range.
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
    """√v = 0 at no less than float32: in bfloat16, √β₂ √v rounds to √v and nothing is forgotten."""
    return zeros_at_least_float32(jnp.abs(parameter))


def zeros_at_least_float32(x: jax.Array) -> jax.Array:
    """Zeros of the shape of ``x``, in its dtype or float32, whichever is wider."""
    return jnp.zeros_like(x, dtype=jnp.promote_types(x.dtype, jnp.float32))


def _map(function, updates, *rest):
    return jax.tree.map(
        lambda u, *r: None if u is None else function(u, *r),
        updates,
        *rest,
        is_leaf=lambda x: x is None,
    )


def _root_moment(magnitude, root, b2):
    """√(β₂ s² + (1−β₂) |g|²) from s and |g|."""
    a = jnp.sqrt(jnp.asarray(b2, root.dtype)) * root
    b = jnp.sqrt(jnp.asarray(1 - b2, root.dtype)) * magnitude.astype(root.dtype)
    return hypotenuse(a, b)


def hypotenuse(a: jax.Array, b: jax.Array) -> jax.Array:
    """√(a² + b²) of a, b ≥ 0, forming neither square; exact under scaling by powers of two."""
    larger = jnp.maximum(a, b)
    ratio = jnp.minimum(a, b) / jnp.where(larger > 0, larger, 1)
    return larger * jnp.sqrt(1 + ratio * ratio)


def _ratio(m, root, eps_root):
    """m / √(root² + eps_root) with 0/0 = 0; None stands for a known zero."""
    if eps_root is not None:
        root = hypotenuse(root, jnp.sqrt(jnp.asarray(eps_root, root.dtype)))
    # Asked as ``== 0``: a root that is not a number stays one, instead of passing for 0/0.
    return jnp.where(root == 0, 0, m / jnp.where(root == 0, 1, root)).astype(m.dtype)
