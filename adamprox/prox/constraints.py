"""Convex constraints: R is 0 on a set and ∞ outside, so the prox is the projection on the set.

An indicator does not depend on a weight. The projections ignore ``t``, which is there for a common
signature, and satisfy the constraint even at t = 0. After `adamprox.proximal` and
``optax.apply_updates`` a parameter equals the result to one rounding. The bound 0 of `nonnegative`
is exact nevertheless; ``proximal(…, round_inward=True)`` makes the bounds of `box` exact too.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from adamprox.axes import AxisName
from adamprox.prox._arithmetic import (
    Tree,
    cast_like,
    check_between,
    check_real,
    check_weight,
    elementwise,
    is_concrete,
    largest_magnitude,
    like,
    relative_norm,
    safe_scale,
    scalar,
    times,
    widen,
)


def nonnegative(tree: Tree, t: chex.Numeric) -> Tree:
    """Projection on the nonnegative orthant, the prox of its indicator function.

    prox(x)ᵢ = max(xᵢ, 0).

    Args:
      tree: Pytree of real arrays, any shapes.
      t: Ignored, for a common signature.

    Returns:
      Pytree like ``tree`` without negative entries.

    Raises:
      TypeError: a leaf is complex.

    Example:
      >>> import jax.numpy as jnp
      >>> print(nonnegative(jnp.array([-3.0, 0.5, 2.0]), 1.0))
      [0.  0.5 2. ]

    Source: Parikh and Boyd, *Proximal Algorithms*, 2014, §6.2.
    """
    del t
    check_real("nonnegative", tree)
    return elementwise(lambda x: jnp.maximum(x, 0), tree)


def nonnegative_l1(tree: Tree, t: chex.Numeric) -> Tree:
    """One-sided soft thresholding, the prox of R(x) = ‖x‖₁ for x ≥ 0 and ∞ elsewhere.

    prox(x)ᵢ = max(xᵢ − t, 0). t is the weight of the penalty ‖x‖₁ on top of the constraint.

    Args:
      tree: Pytree of real arrays, any shapes.
      t: Scalar ≥ 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``; entries with xᵢ ≤ t are exactly zero.

    Raises:
      TypeError: a leaf is complex.
      ValueError: ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(nonnegative_l1(jnp.array([-3.0, 0.5, 2.0]), 1.0))
      [0. 0. 1.]

    Source: Beck, *First-Order Methods in Optimization*, 2017, Lemma 6.5.
    """
    check_weight(t)
    check_real("nonnegative_l1", tree)
    return elementwise(lambda x, t: jnp.maximum(x - t, 0), tree, t)


def box(
    tree: Tree,
    t: chex.Numeric,
    lower: chex.Numeric = -float("inf"),
    upper: chex.Numeric = float("inf"),
) -> Tree:
    """Projection on a box, the prox of its indicator function.

    prox(x)ᵢ = min(max(xᵢ, lower), upper).

    Args:
      tree: Pytree of real arrays, any shapes.
      t: Ignored, for a common signature.
      lower: Smallest allowed value, in the units of the parameters; −∞ by default.
      upper: Largest allowed value ≥ ``lower``, in the units of the parameters; ∞ by default.

    Returns:
      Pytree like ``tree``; every entry is in [lower, upper], bounds rounded to its dtype.

    Raises:
      TypeError: a leaf is complex.
      ValueError: ``lower`` and ``upper`` are numbers and lower > upper, or one is NaN.

    Example:
      >>> import functools
      >>> import jax.numpy as jnp
      >>> print(box(jnp.array([-3.0, 0.5, 2.0]), 1.0, lower=-1.0, upper=1.0))
      [-1.   0.5  1. ]
      >>> clip_at_one = functools.partial(box, lower=-1.0, upper=1.0)

    Source: Parikh and Boyd, *Proximal Algorithms*, 2014, §6.2.
    """
    del t
    check_real("box", tree)
    if is_concrete(lower) and is_concrete(upper) and not np.all(np.less_equal(lower, upper)):
        raise ValueError(f"box needs lower <= upper, got lower={lower} and upper={upper}")
    return elementwise(lambda x, low, high: jnp.clip(x, low, high), tree, lower, upper)


def l2_ball(
    tree: Tree,
    t: chex.Numeric,
    radius: chex.Numeric = 1.0,
    *,
    axis_name: AxisName | None = None,
) -> Tree:
    """Projection on the ball ‖x‖₂ ≤ r of the *whole* tree, the prox of its indicator function.

    prox(x) = min(1, r/‖x‖₂) · x. ``per_output_channel(l2_ball)`` is the max-norm constraint.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Ignored, for a common signature.
      radius: Radius r ≥ 0, in the units of the parameters.
      axis_name: Mapped axis or axes along which the leaves are divided, for an operator that sees
        one device's part (``shard_map``, ``pmap``); see `adamprox.prox`. Not for ``jit``.

    Returns:
      Pytree like ``tree``. Inside the ball it is x, bit for bit; otherwise its norm is r to
      rounding. If entries are infinite, they share the radius and finite entries become 0, as in
      the limit of large entries. One NaN entry makes all entries NaN.

    Raises:
      ValueError: ``radius`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l2_ball(jnp.array([3.0, 4.0]), 1.0, radius=10.0))
      [3. 4.]
      >>> print(l2_ball(jnp.array([3.0, 4.0]), 1.0, radius=2.5))
      [1.5 2. ]

    Source: Beck, *First-Order Methods in Optimization*, 2017, Lemma 6.26.
    """
    del t
    check_between("radius", radius, 0, float("inf"), inclusive=True)
    if not jax.tree.leaves(tree):
        return tree
    wide = jax.tree.map(widen, tree)
    largest = largest_magnitude(wide, axis_name)
    infinite = jnp.isinf(largest)
    limit = jax.tree.map(lambda x: _limit_direction(x, infinite), wide)
    scale = jnp.where(infinite, 1, safe_scale(largest))
    norm = relative_norm(limit, scale, axis_name)
    radius = scalar(radius, scale.dtype)
    inside = jnp.where(infinite, jnp.isinf(radius), norm <= radius / scale)  # False for a NaN norm
    factors = _descending_factors(*(jnp.where(inside, 1, a) for a in (radius, scale, norm)))

    def project(x, direction):
        direction = direction.astype(like(x, scale.dtype))
        return jnp.where(inside, x, functools.reduce(times, factors, direction))

    return cast_like(jax.tree.map(project, wide, limit), tree)


def _limit_direction(x, infinite):
    """Return x, or the direction of an infinite vector: ±1 for infinite parts, else 0."""
    if jnp.iscomplexobj(x):
        parts = (_limit_direction(part, infinite) for part in (jnp.real(x), jnp.imag(x)))
        return jax.lax.complex(*parts)
    direction = jnp.where(jnp.isinf(x), jnp.sign(x), jnp.where(jnp.isnan(x), x, 0))
    return jnp.where(infinite, direction, x)


def _descending_factors(radius, scale, norm):
    """Return factors of radius/(scale · norm) ≤ 1, to be multiplied with x one after the other.

    Each factor is a normal number. The partial products with x are subnormal only if the result is.
    Therefore the function divides no two numbers from opposite ends of the range.
    """
    ratio = jnp.maximum(radius, 1) / scale
    return jnp.minimum(ratio, 1), jnp.maximum(ratio, 1) / norm, jnp.minimum(radius, 1)
