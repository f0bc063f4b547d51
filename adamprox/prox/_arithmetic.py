"""What the operators share: how a leaf is computed, norms without overflow, checks of arguments."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from adamprox.axes import AxisName, varying_axes

Tree = TypeVar("Tree")  # a pytree of arrays; every operator returns one of the same structure
Prox = Callable[[Any, chex.Numeric], Any]


def widen(leaf) -> jax.Array:
    """The leaf as an array of no less than float32, where it is computed; TypeError for integers."""
    leaf = jnp.asarray(leaf)
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        raise TypeError(f"a prox needs leaves of real or complex numbers, got {leaf.dtype}")
    return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))


def cast_like(tree, reference):
    """``tree`` with the dtypes of ``reference``."""
    return jax.tree.map(lambda x, ref: x.astype(jnp.asarray(ref).dtype), tree, reference)


def elementwise(shrink: Callable[..., jax.Array], tree, *scalars):
    """Apply ``shrink(x, *scalars)`` to every leaf at no less than float32, and cast back.

    The scalars take the real dtype that x has, whether they are Python floats or traced.
    """

    def on_leaf(leaf):
        wide = widen(leaf)
        real = jnp.finfo(wide.dtype).dtype
        return shrink(wide, *(jnp.asarray(s, real) for s in scalars))

    return cast_like(jax.tree.map(on_leaf, tree), tree)


def soft_threshold(x, t):
    """sign(x) · max(|x| − t, 0)."""
    if jnp.iscomplexobj(x):
        return x * keep_fraction(jnp.abs(x), t)
    # x − clip(x, −t, t) is an exact zero inside the dead zone and exact at t = 0.
    return x - jnp.clip(x, -t, t)


def keep_fraction(norm, t):
    """max(1 − t/norm, 0), with value and derivative 0 where norm ≤ t; NaN where the norm is NaN."""
    dead = norm <= t
    return jnp.where(dead, 0, 1 - t / jnp.where(dead, 1, norm))


def weighted(t, weight):
    """t · weight, and 0 rather than NaN for t = ∞ and weight = 0."""
    return jnp.where(jnp.isinf(t) & (weight == 0), 0, t) * weight


def scaled_norm(tree, axis_name: AxisName | None = None) -> tuple[jax.Array, jax.Array]:
    """Scalars (s, r) with ‖tree‖₂ = s · r, 1 ≤ r ≤ √n, so that no square leaves the range.

    s is the largest magnitude (1 at zero, where r = 0). It only guards the range and the norm does
    not depend on it, so no gradient flows through it; that of r is 0, not NaN, at zero. Leaves that
    are divided along mapped axes cost two all-reduces of a scalar.
    """
    leaves = [widen(leaf) for leaf in jax.tree.leaves(tree)]
    dtype = jnp.result_type("float32", *(jnp.finfo(x.dtype).dtype for x in leaves))
    groups = divided_along(leaves, axis_name)
    peaks = [
        _reduce(jax.lax.pmax, jax.lax.stop_gradient(_largest(group, dtype)), axes)
        for axes, group in groups.items()
    ]
    largest = jnp.max(jnp.stack(peaks))
    scale = jax.lax.stop_gradient(jnp.where(largest == 0, 1, largest))
    total = sum(
        _reduce(jax.lax.psum, _sum_of_squares(group, scale, dtype), axes)
        for axes, group in groups.items()
    )
    zero = total == 0  # and not NaN, which must not pass for zero
    return scale, jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, total)))


def divided_along(leaves: list[jax.Array], axis_name: AxisName | None) -> dict[tuple, list]:
    """Leaves by the axes of ``axis_name`` that they are divided along.

    Types tell inside ``shard_map(check_vma=True)``. Where they tell of no leaf, all are divided.
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


def _largest(leaves, dtype):
    return jnp.max(jnp.stack([jnp.max(jnp.abs(x), initial=0).astype(dtype) for x in leaves]))


def _sum_of_squares(leaves, scale, dtype):
    return sum(jnp.sum(_squared_magnitude(x.astype(_like(x, dtype)) / scale)) for x in leaves)


def _squared_magnitude(x):
    return jnp.real(x) ** 2 + jnp.imag(x) ** 2 if jnp.iscomplexobj(x) else x**2


def _like(x, dtype):
    """The real or complex counterpart of the real ``dtype``, as ``x`` is real or complex."""
    return jnp.promote_types(dtype, jnp.complex64) if jnp.iscomplexobj(x) else dtype


def is_known(value: Any) -> bool:
    """Whether ``value`` is a Python or NumPy number or array, which a check may look at."""
    return isinstance(value, int | float | np.number | np.ndarray)


def check_between(name: str, value: Any, low: float, high: float, *, inclusive: bool) -> None:
    """Raise ValueError when a known ``value`` is outside the interval, or NaN."""
    if not is_known(value):
        return
    inside = np.less_equal if inclusive else np.less
    if np.all(inside(low, value) & inside(value, high)):
        return
    sign = "<=" if inclusive else "<"
    bound = f" {sign} {high:g}" if math.isfinite(high) or not inclusive else ""
    raise ValueError(f"{name} must be a number with {low:g} {sign} {name}{bound}, got {value}")


def check_weight(t: Any) -> None:
    """Raise ValueError when the weight ``t`` of a penalty is known and negative or NaN."""
    if is_known(t) and not np.all(np.greater_equal(t, 0)):
        raise ValueError(f"t must be a number >= 0, got {t}")


def check_real(operator: str, tree) -> None:
    """Raise TypeError when a leaf is complex, for operators that need an order."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.iscomplexobj(leaf):
            where = jax.tree_util.keystr(path, simple=True, separator="/")
            raise TypeError(
                f"prox.{operator} is defined for real arrays, got {jnp.asarray(leaf).dtype}"
                + (f" at {where!r}" if where else "")
            )
