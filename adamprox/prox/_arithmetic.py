"""Shared by the operators: arithmetic on a leaf, norms without overflow, checks of arguments."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from adamprox.axes import AxisName, varying_axes
from adamprox.checks import is_known

Tree = TypeVar("Tree")  # a pytree of arrays; every operator returns one of the same structure
Prox = Callable[[Any, chex.Numeric], Any]


def widen(leaf) -> jax.Array:
    """Return the leaf as an array of float32 or wider; raise TypeError for integers."""
    leaf = jnp.asarray(leaf)
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        raise TypeError(f"a prox needs leaves of real or complex numbers, got {leaf.dtype}")
    return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))


def cast_like(tree, reference):
    """Return ``tree`` with the dtypes of ``reference``."""
    return jax.tree.map(lambda x, ref: x.astype(jnp.asarray(ref).dtype), tree, reference)


def scalar(value: Any, dtype) -> jax.Array:
    """Return ``value`` as an array of ``dtype``; a number beyond its range becomes ∞ silently."""
    with np.errstate(over="ignore"):
        return jnp.asarray(value, dtype)


def elementwise(shrink: Callable[..., jax.Array], tree, *scalars):
    """Apply ``shrink(x, *scalars)`` to every leaf in float32 or wider, and cast back.

    The scalars, Python floats or traced, are cast to the real dtype of x.
    """

    def on_leaf(leaf):
        wide = widen(leaf)
        real = jnp.finfo(wide.dtype).dtype
        return shrink(wide, *(scalar(s, real) for s in scalars))

    return cast_like(jax.tree.map(on_leaf, tree), tree)


def times(x, factor):
    """Return x · factor for a real factor, with no NaN from the infinite part of a complex x."""
    if jnp.iscomplexobj(x):
        return jax.lax.complex(jnp.real(x) * factor, jnp.imag(x) * factor)
    return x * factor


def divide(x, divisor):
    """Return x / divisor for a real scalar divisor ≥ 1.

    XLA multiplies by the reciprocal of a scalar, and flushes a subnormal reciprocal to zero. For
    such a divisor, the function divides x and the divisor by 8 first. It also zeroes the smallest
    x, whose quotients are subnormal; this step keeps XLA from merging the two constant factors.
    """
    limit = 1 / (2 * jnp.finfo(x.dtype).tiny)
    large = divisor > limit
    factor = jnp.where(large, 0.125, 1).astype(divisor.dtype)
    flushed = largest_part(x) <= jnp.where(large, 0.5, -1).astype(divisor.dtype)
    return times(jnp.where(flushed, 0, times(x, factor)), 1 / (divisor * factor))


def soft_threshold(x, t):
    """Return sign(x) · max(|x| − t, 0)."""
    if jnp.iscomplexobj(x):
        scale = safe_scale(largest_part(x))
        modulus = _root(_squared_magnitude(x, scale))
        return times(x, keep_fraction(modulus, t / scale))
    # x − clip(x, −t, t) is an exact zero inside the dead zone and exact at t = 0.
    return x - jnp.clip(x, -t, t)


def keep_fraction(norm, t):
    """Return max(1 − t/norm, 0); value and derivative are 0 where norm ≤ t, NaN for a NaN norm."""
    dead = norm <= t
    # Select both operands: XLA would turn (t/scale)/norm into t/(scale · norm), which may overflow.
    return jnp.where(dead, 0, 1 - jnp.where(dead, 0, t) / jnp.where(dead, 1, norm))


def weighted(t, weight):
    """Return t · weight, with 0 instead of NaN for t = ∞ and weight = 0."""
    return jnp.where(jnp.isinf(t) & (weight == 0), 0, t) * weight


def scaled_norm(tree, axis_name: AxisName | None = None) -> tuple[jax.Array, jax.Array]:
    """Return scalars (s, r) with ‖tree‖₂ = s · r, such that s, 1/s and the squares are in range.

    s is the largest magnitude, clipped by at most a factor of 8 to bring its reciprocal in range
    (`safe_scale`). Hence ½ ≤ r ≤ 8√(2n), and r = 0 at zero. The norm does not depend on the choice
    of s, therefore no gradient flows through s. The gradient of r at zero is 0, not NaN. An
    infinite entry makes r infinite, a NaN entry makes r NaN. Leaves divided along mapped axes cost
    two all-reduces of a scalar.
    """
    scale = safe_scale(largest_magnitude(tree, axis_name))
    return scale, relative_norm(tree, scale, axis_name)


def largest_magnitude(tree, axis_name: AxisName | None = None) -> jax.Array:
    """Return the largest |real or imaginary part|, in float32 or wider, without a gradient."""
    leaves = [widen(leaf) for leaf in jax.tree.leaves(tree)]
    dtype = jnp.result_type("float32", *(jnp.finfo(x.dtype).dtype for x in leaves))
    peaks = [
        _reduce(jax.lax.pmax, jax.lax.stop_gradient(_largest(group, dtype)), axes)
        for axes, group in divided_along(leaves, axis_name).items()
    ]
    return jnp.max(jnp.stack(peaks))


def safe_scale(largest: jax.Array) -> jax.Array:
    """Clip ``largest`` to numbers that are normal and have a normal reciprocal; NaN stays NaN.

    XLA divides by a scalar by multiplying by its reciprocal, and flushes subnormal numbers to zero.
    """
    least = 2 * float(jnp.finfo(largest.dtype).tiny)
    return jax.lax.stop_gradient(jnp.clip(largest, least, 1 / least))


def power_of_two(largest: jax.Array) -> jax.Array:
    """Round `safe_scale` to a power of two, by which multiplication and division are exact."""
    return jax.lax.reduce_precision(safe_scale(largest), jnp.finfo(largest.dtype).nexp, 0)


def relative_norm(tree, scale: jax.Array, axis_name: AxisName | None = None) -> jax.Array:
    """Return ‖tree‖₂ / scale, with a derivative of 0 at zero."""
    leaves = [widen(leaf) for leaf in jax.tree.leaves(tree)]
    total = sum(
        _reduce(jax.lax.psum, _sum_of_squares(group, scale), axes)
        for axes, group in divided_along(leaves, axis_name).items()
    )
    return _root(total)


def _root(square):
    zero = square == 0  # False for NaN, which stays NaN
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))


def divided_along(leaves: list[jax.Array], axis_name: AxisName | None) -> dict[tuple, list]:
    """Group leaves by the axes of ``axis_name`` along which they are divided.

    Inside ``shard_map(check_vma=True)`` the types have the axes. If no type has any, all leaves
    count as divided along all axes.
    """
    axes = (axis_name,) if isinstance(axis_name, str) else axis_name or ()
    known = bool(varying_axes(leaves) & set(axes))
    groups: dict[tuple, list] = {}
    for leaf in leaves:
        own = tuple(a for a in axes if not known or a in varying_axes(leaf))
        groups.setdefault(own, []).append(leaf)
    return groups


def _reduce(collective, x, axes):
    return collective(x, axes) if axes else x


def largest_part(x):
    """Return |x|; for complex x the larger of its parts, because |x| may overflow."""
    if jnp.iscomplexobj(x):
        return jnp.maximum(jnp.abs(jnp.real(x)), jnp.abs(jnp.imag(x)))
    return jnp.abs(x)


def _largest(leaves, dtype):
    return jnp.max(jnp.stack([jnp.max(largest_part(x), initial=0).astype(dtype) for x in leaves]))


def _sum_of_squares(leaves, scale):
    return sum(jnp.sum(_squared_magnitude(x.astype(like(x, scale.dtype)), scale)) for x in leaves)


def _squared_magnitude(x, scale):
    """Return |x/scale|²."""
    if jnp.iscomplexobj(x):
        return (jnp.real(x) / scale) ** 2 + (jnp.imag(x) / scale) ** 2
    return (x / scale) ** 2


def like(x, dtype):
    """Return the real ``dtype`` for real x, and its complex counterpart for complex x."""
    return jnp.promote_types(dtype, jnp.complex64) if jnp.iscomplexobj(x) else dtype


def filled(tree, other):
    """Return the leaves of ``tree``, and those of ``other`` where ``tree`` has None."""
    return jax.tree.map(
        lambda a, b: b if a is None else a, tree, other, is_leaf=lambda x: x is None
    )


def is_concrete(value: Any) -> bool:
    """Return True for numbers and arrays of NumPy or JAX that are not traced, and on this host."""
    if isinstance(value, jax.Array):
        return not isinstance(value, Tracer) and value.is_fully_addressable
    return is_known(value)


def check_between(name: str, value: Any, low: float, high: float, *, inclusive: bool) -> None:
    """Raise ValueError when a known ``value`` is outside the interval, or NaN."""
    shape = np.shape(value)  # which a traced array has, too
    if not shape and not is_known(value):
        return
    inside = np.less_equal if inclusive else np.less
    if not shape and inside(low, value) and inside(value, high):
        return
    sign = "<=" if inclusive else "<"
    bound = f" {sign} {high:g}" if math.isfinite(high) or not inclusive else ""
    raise ValueError(
        f"{name} must be a number with {low:g} {sign} {name}{bound}, got {_shown(value)}"
    )


def check_weight(t: Any) -> None:
    """Refuse a weight ``t`` of a penalty that is no real number, or is known and negative or NaN.

    Raises:
      TypeError: ``t`` is of another type, or complex.
      ValueError: ``t`` has a shape, or is known and negative or NaN.
    """
    if np.iscomplexobj(t) or not (hasattr(t, "dtype") or np.shape(t) or isinstance(t, int | float)):
        raise TypeError(f"t must be a number >= 0, got {t!r}")
    if np.shape(t) or (is_known(t) and not np.greater_equal(t, 0)):
        raise ValueError(f"t must be a number >= 0, got {_shown(t)}")


def _shown(value: Any) -> str:
    shape = np.shape(value)
    return f"an array of shape {shape}" if shape else str(value)


def check_operator(prox: object) -> None:
    """Raise TypeError for what cannot be a proximal operator."""
    if not callable(prox):
        raise TypeError(f"prox must be a callable (tree, t) -> tree, got {prox!r}")


def check_real(operator: str, tree) -> None:
    """Raise TypeError when a leaf is complex, for operators that need an order."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.iscomplexobj(leaf):
            where = jax.tree_util.keystr(path, simple=True, separator="/")
            raise TypeError(
                f"prox.{operator} is defined for real arrays, got {jnp.asarray(leaf).dtype}"
                + (f" at {where!r}" if where else "")
            )
