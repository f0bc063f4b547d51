"""Adam's direction, with and without ε."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from adamprox.arguments import (
    check_constants,
    check_decay_rates,
    check_nonnegative,
    is_static_number,
)
from adamprox.transforms import map_updates


class ScaleFreeAdamState(NamedTuple):
    """State of `scale_by_adam` at ``eps=0.0``; ``root_nu`` is √v, which avoids computing g²."""

    count: Any
    mu: optax.Updates
    root_nu: optax.Updates


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
      TypeError: A constant is no number or array.
      ValueError: ``eps`` or ``eps_root`` is a negative number, or ``b1`` or ``b2`` is a number outside
        [0, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> tx = scale_by_adam(eps=0.0)
      >>> g = jnp.array([1e-30, 0.0, -1e30])
      >>> print(jnp.round(tx.update(g, tx.init(g))[0], 3))
      [ 1.  0. -1.]

    Source: Algorithm 1 of the paper; Kingma and Ba, 2015.
    """
    check_constants(eps=eps, eps_root=eps_root)
    check_nonnegative(eps=eps, eps_root=eps_root)
    check_decay_rates(b1=b1, b2=b2)
    # NumPy's float64 would make the updates float64; a Python float takes the dtype of a leaf.
    given = (b1, b2, eps, eps_root)
    b1, b2, eps, eps_root = (float(x) if is_static_number(x) else x for x in given)
    if is_static_number(eps) and eps == 0 and not (is_static_number(eps_root) and eps_root > 0):
        # A known zero is left out; an array may be zero or not, and both must be right.
        added = None if is_static_number(eps_root) else eps_root
        return _scale_by_range_safe_adam(b1, b2, added, mu_dtype, nesterov)
    adam = optax.scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return _nothing_over_nothing(adam, b2, eps, eps_root)


def _nothing_over_nothing(adam, b2, eps, eps_root):
    """Optax's Adam, with 0 for a quotient by zero in leaves where both constants may underflow.

    A traced β₂ may have been rounded to 1, and v is then zero after any gradient: NaN, as in Optax.
    """

    def on_leaf(u, nu):
        if any(_is_held(constant, nu.dtype) for constant in (eps, eps_root)):
            return u
        return jnp.where((nu == 0) & ~jnp.isfinite(u) & (b2 < 1), 0, u)

    def update(updates, state, params=None):
        updates, state = adam.update(updates, state, params)
        return map_updates(on_leaf, updates, state.nu), state

    return optax.GradientTransformation(adam.init, update)


def _is_held(constant, dtype):
    """Return True if a constant in a denominator is certainly nonzero in ``dtype``, and for integers.

    XLA flushes subnormal numbers to zero, and rewrites m/(1 − β₁ᵗ)/(√v̂ + ε) as
    m/((1 − β₁ᵗ)(√v̂ + ε)). The product in this denominator must be a normal number too.
    """
    if not jnp.issubdtype(dtype, jnp.inexact):
        return True
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
        root_nu = map_updates(lambda g, s: _root_moment(jnp.abs(g), s, b2), updates, state.root_nu)
        mu_hat = optax.tree.bias_correction(mu, b1, count)
        if nesterov:
            mu_hat = map_updates(
                # The factor of g is at most 1: g / (1 − β₁ᵗ) could overflow.
                lambda m, g: b1 * m + ((1 - b1) / (1 - b1**count)).astype(jnp.result_type(g)) * g,
                optax.tree.bias_correction(mu, b1, optax.safe_increment(count)),
                updates,
            )
        root_correction = jnp.sqrt(1 - b2**count)
        updates = map_updates(
            lambda m, s: _ratio(m, s / root_correction.astype(s.dtype), eps_root),
            mu_hat,
            root_nu,
        )
        mu = map_updates(lambda m, before: m.astype(before.dtype), mu, state.mu)
        return updates, ScaleFreeAdamState(count, mu, root_nu)

    return optax.GradientTransformation(init, update)


def _wide_root(parameter):
    """Return √v = 0 in float32 or wider: in bfloat16, √β₂ √v rounds to √v and never decays."""
    modulus = np.real(np.empty(0, jnp.result_type(parameter))).dtype
    return jnp.zeros_like(parameter, dtype=jnp.promote_types(modulus, jnp.float32))


def zeros_at_least_float32(x: jax.Array) -> jax.Array:
    """Return zeros of the shape of ``x``, in its dtype or float32, whichever is wider."""
    return jnp.zeros_like(x, dtype=jnp.promote_types(jnp.result_type(x), jnp.float32))


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
