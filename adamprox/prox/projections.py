"""Projections on sets that are bounded by a sum or by a largest magnitude.

Like the operators of `constraints`, they ignore ``t`` and satisfy the constraint even at t = 0.
`simplex` and `l1_ball` sort the entries of the whole tree: under ``jit`` for any sharding, but
not inside ``shard_map``, where an operator sees one device's part.
"""

import chex
import jax
import jax.numpy as jnp

from adamprox.axes import on_whole_arrays
from adamprox.prox._arithmetic import (
    Tree,
    check_between,
    check_real,
    elementwise,
    safe_scale,
    scalar,
)
from adamprox.prox._vectors import magnitude, on_vector, with_magnitude


@on_whole_arrays
def simplex(tree: Tree, t: chex.Numeric, *, total: chex.Numeric = 1.0) -> Tree:
    """Projection of the *whole* tree on a simplex, the prox of its indicator function.

    prox(x)ᵢ = max(xᵢ − θ, 0), with θ such that the entries sum to s. The set is
    {x : xᵢ ≥ 0, Σᵢ xᵢ = s}; s is ``total``.

    Args:
      tree: Pytree of real arrays, any shapes; together they are one vector.
      t: Ignored, for a common signature.
      total: Finite s ≥ 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``; the entries are ≥ 0 and sum to s to rounding. Infinite entries share s.
      One NaN entry makes all entries NaN. A tree without entries does not change.

    Raises:
      TypeError: a leaf is complex.
      ValueError: ``total`` is a negative or infinite number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(simplex(jnp.array([1.0, 0.5, -1.0]), 1.0))
      [0.75 0.25 0.  ]

    Source: Duchi, Shalev-Shwartz, Singer and Chandra, *Efficient Projections onto the ℓ1-Ball*,
    2008.
    """
    del t
    check_real("simplex", tree)
    check_between("total", total, 0, float(jnp.finfo("float64").max), inclusive=True)
    return on_vector(lambda x: _on_simplex(x, scalar(total, x.dtype)), tree)


@on_whole_arrays
def l1_ball(tree: Tree, t: chex.Numeric, *, radius: chex.Numeric = 1.0) -> Tree:
    """Projection of the *whole* tree on the ball ‖x‖₁ ≤ r, the prox of its indicator function.

    prox(x)ᵢ = sign(xᵢ) · max(|xᵢ| − θ, 0), with θ = 0 inside the ball, else such that the
    magnitudes sum to r. A complex entry keeps its phase.

    Args:
      tree: Pytree of real or complex arrays, any shapes; together they are one vector.
      t: Ignored, for a common signature.
      radius: Radius r ≥ 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``. Inside the ball it is x, bit for bit; otherwise its norm is r to
      rounding. Infinite entries share r. One NaN entry makes all entries NaN.

    Raises:
      ValueError: ``radius`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l1_ball(jnp.array([3.0, -2.0, 0.5]), 1.0, radius=2.0))
      [ 1.5 -0.5  0. ]

    Source: Duchi, Shalev-Shwartz, Singer and Chandra, *Efficient Projections onto the ℓ1-Ball*,
    2008.
    """
    del t
    check_between("radius", radius, 0, float("inf"), inclusive=True)

    def project(x):
        size = magnitude(x)
        limit = scalar(radius, size.dtype)
        scale = safe_scale(jnp.max(size))
        inside = jnp.sum(size / scale) <= limit / scale  # False for NaN
        new = _on_simplex(size, jnp.where(inside, 1, limit))
        return jnp.where(inside, x, with_magnitude(x, new, size))

    return on_vector(project, tree)


def linf_ball(tree: Tree, t: chex.Numeric, *, radius: chex.Numeric = 1.0) -> Tree:
    """Projection on the ball ‖x‖_∞ ≤ r, the prox of its indicator function.

    prox(x)ᵢ = min(max(xᵢ, −r), r); a complex entry with |xᵢ| > r becomes r · xᵢ/|xᵢ|.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Ignored, for a common signature.
      radius: Radius r ≥ 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``; every magnitude is at most r, rounded to the dtype of its leaf.

    Raises:
      ValueError: ``radius`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(linf_ball(jnp.array([-3.0, 0.5, 2.0]), 1.0, radius=1.0))
      [-1.   0.5  1. ]

    Source: Parikh and Boyd, *Proximal Algorithms*, 2014, §6.2.
    """
    del t
    check_between("radius", radius, 0, float("inf"), inclusive=True)

    def project(x, limit):
        if not jnp.iscomplexobj(x):
            return jnp.clip(x, -limit, limit)
        size = magnitude(x)
        return jnp.where(size <= limit, x, with_magnitude(x, jnp.minimum(size, limit), size))

    return elementwise(project, tree, radius)


def _on_simplex(x, total):
    """Project a real vector.

    A common shift of all entries does not change the result, and entries that are ``total`` below
    the largest become 0. The function moves the largest entry to 0 and clips the others at
    −total, which keeps sums in range and the result exact where entries are far above ``total``.
    """
    scale = safe_scale(total)
    peak = jax.lax.stop_gradient(jnp.max(x))
    below = jnp.where(jnp.isinf(x) & (x == peak), 0, x - peak)
    y, sum_of_all = jnp.maximum(below, -total) / scale, total / scale
    descending = -jnp.sort(-jax.lax.stop_gradient(y))
    levels = (jnp.cumsum(descending) - sum_of_all) / jnp.arange(1, x.size + 1, dtype=x.dtype)
    active = y > jnp.max(levels)
    count = jnp.maximum(jnp.sum(active, dtype=x.dtype), 1)
    level = (jnp.sum(jnp.where(active | jnp.isnan(y), y, 0)) - sum_of_all) / count
    kept = jnp.maximum(jnp.where(active, y - level, 0), 0)
    return jnp.where(jnp.isnan(level), jnp.nan, scale * kept)
