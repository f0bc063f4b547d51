"""Effects of a number's type on an optimizer: units of rounding, and the ends of its range."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PLACES = 4096  # where a run's random signs may begin


def coarsest_unit(jaxpr: Any) -> float:
    """The largest unit of rounding among the floating-point types that a program computes in."""
    return max(_units(jaxpr), default=0.0)


def _units(jaxpr: Any) -> Iterator[float]:
    """Units of rounding of all intermediate values, those of inner programs too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "reduce_precision":
            yield 2.0 ** -equation.params["mantissa_bits"]
        yield from (
            _unit(v.aval.dtype)
            for v in equation.outvars
            if _is_float(getattr(v.aval, "dtype", None))
        )
        for value in equation.params.values():
            for inner in value if isinstance(value, list | tuple) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from _units(inner)


def perturb(tree: Any, run: jax.Array, step: jax.Array, unit: float = 0.0) -> Any:
    """Change every floating-point number by one unit of its rounding, up or down, where ``run`` is not 0.

    Odd runs take one direction for each number throughout, even ones a new one every step. Whole
    numbers stay, for counters and signs are not rounded.

    Args:
      tree: Pytree of arrays.
      run: int32, the number of the run; 0 changes no bit.
      step: int32.
      unit: The least relative change.
    """
    leaves, structure = jax.tree.flatten(tree)
    signs = np.random.default_rng(PLACES).choice(
        [-1.0, 1.0], PLACES + max(map(_size, leaves), default=0)
    )
    signs = jnp.asarray(signs, jnp.float32)
    time = jnp.where(run % 2 == 0, step + 1, 0)

    def one(number, x):
        if not _is_float(x.dtype):
            return x
        own = max(_unit(x.dtype), unit)
        wide = x.astype(
            jnp.promote_types(x.dtype, jnp.float32) if _is_wide(x.dtype) else jnp.float32
        )
        place = (run * 1009 + time * 389 + number * 1733) % PLACES
        sign = jax.lax.dynamic_slice(signs, (place,), (x.size,)).reshape(x.shape)
        rounded = (run > 0) & ((wide != jnp.round(wide)) | (abs(wide) >= 1 / own))
        return (wide * (1 + own * (sign * rounded).astype(wide.dtype))).astype(x.dtype)

    return jax.tree.unflatten(structure, [one(i, x) for i, x in enumerate(leaves)])


def _size(x: Any) -> int:
    return math.prod(x.shape)


def narrow_types(params: Any, state: Any, wide: bool) -> list[set[np.dtype]]:
    """Types with less range than the tested gradients need, for every leaf of the parameters.

    Args:
      params: Pytree of arrays.
      state: Pytree of arrays or their shapes. A leaf of it concerns parameters of its shape, and all
        of them if there are none.
      wide: True when the gradients' scales need the range of float64, else they need float32's.
    """
    least = int(jnp.finfo(jnp.float64 if wide else jnp.float32).minexp)
    leaves = jax.tree.leaves(params)
    shapes = {x.shape for x in leaves}
    found = [{x.dtype} for x in leaves]
    for s in jax.tree.leaves(state):
        for x, types in zip(leaves, found, strict=True):
            if _is_float(s.dtype) and (s.shape == x.shape or s.shape not in shapes):
                types.add(s.dtype)
    return [{t for t in types if jnp.finfo(t).minexp > least} for types in found]


def out_of_range(narrow: list[set[np.dtype]], gradients: Any, state: Any) -> list[jax.Array]:
    """Coordinates whose gradient, or state in a narrow type, is near an end of the range of its type.

    A subnormal number is rounded at a fixed size, and so not as its multiples are.

    Args:
      narrow: Result of `narrow_types`.
      gradients: Pytree of arrays.
      state: Pytree of arrays.

    Returns:
      One boolean array a leaf of the gradients.
    """
    found = []
    leaves = jax.tree.leaves(gradients)
    shapes = {g.shape for g in leaves}
    for g, types in zip(leaves, narrow, strict=True):
        bad = jnp.zeros(g.shape, bool)
        for t in types:
            # Averages take gradients towards the lower end: 1 − β₁ is small.
            low, high = 2.0 ** (jnp.finfo(t).minexp / 2), 2.0 ** (jnp.finfo(t).maxexp * 3 / 4)
            bad |= ~((abs(g) >= _like(low, g)) & (abs(g) <= _like(high, g)))
        for s in jax.tree.leaves(state):
            if s.dtype in types and (s.shape == g.shape or s.shape not in shapes):
                odd = _nearly_subnormal(s) | ~jnp.isfinite(s)
                bad |= odd if s.shape == g.shape else odd.any()
        found.append(bad)
    return found


def _like(bound: float, x: jax.Array) -> jax.Array:
    """A bound in the type of ``x``, no further than the ends of its range."""
    limits = jnp.finfo(x.dtype)
    return jnp.asarray(min(max(bound, float(limits.tiny)), float(limits.max)), x.dtype)


def _nearly_subnormal(x: jax.Array) -> jax.Array:
    """Nonzero numbers below 16 times the smallest normal one, for factors like β₁ come before a sum."""
    return (x != 0) & (abs(x) < 16 * jnp.finfo(x.dtype).tiny)


def _unit(dtype: Any) -> float:
    return float(jnp.finfo(dtype).eps)


def _is_float(dtype: Any) -> bool:
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating)


def _is_wide(dtype: Any) -> bool:
    return jnp.finfo(dtype).bits >= 32
