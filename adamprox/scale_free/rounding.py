"""Effects of number types on an optimizer: units of rounding and ends of the range."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PLACES = 4096  # number of possible offsets of a run's random signs


def coarsest_unit(jaxpr: Any) -> float:
    """Return the largest unit of rounding of the floating-point types in a program."""
    return max(_units(jaxpr), default=0.0)


def _units(jaxpr: Any) -> Iterator[float]:
    """Yield the units of rounding of all intermediate values, including inner programs."""
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
    """Change every floating-point number by one unit of rounding, up or down, unless ``run`` is 0.

    Odd runs keep the direction of each number; even runs draw a new direction every step. Whole
    numbers do not change, because counters and signs have no rounding.

    Args:
      tree: Pytree of arrays.
      run: Number of the run, int32[]; 0 changes no bit.
      step: Number of the step, int32[].
      unit: Smallest relative change.
    """
    leaves, structure = jax.tree.flatten(tree)
    largest = max((x.size for x in leaves), default=0)
    signs = np.random.default_rng(PLACES).choice([-1.0, 1.0], PLACES + largest)
    signs = jnp.asarray(signs, jnp.float32)
    time = jnp.where(run % 2 == 0, step + 1, 0)

    def one(number, x):
        if not _is_float(x.dtype):
            return x
        own = max(_unit(x.dtype), unit)
        wide = x if jnp.finfo(x.dtype).bits >= 32 else x.astype(jnp.float32)
        place = (run * 1009 + time * 389 + number * 1733) % PLACES
        sign = jax.lax.dynamic_slice(signs, (place,), (x.size,)).reshape(x.shape)
        rounded = (run > 0) & ((wide != jnp.round(wide)) | (abs(wide) >= 1 / own))
        return (wide * (1 + own * (sign * rounded).astype(wide.dtype))).astype(x.dtype)

    return jax.tree.unflatten(structure, [one(i, x) for i, x in enumerate(leaves)])


def narrow_types(params: Any, state: Any, wide: bool) -> list[set[np.dtype]]:
    """Return the types with too little range for the tested gradients, per leaf of ``params``.

    Args:
      params: Pytree of arrays.
      state: Pytree of arrays or their shapes. A leaf counts for the parameters of the same shape,
        or for all parameters if there are none.
      wide: True if the gradient scales need the range of float64, False for float32.
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
    """Find coordinates whose gradient, or state in a narrow type, is near an end of its range.

    A subnormal number has a fixed rounding error, unlike its larger multiples.

    Args:
      narrow: Result of `narrow_types`.
      gradients: Pytree of arrays.
      state: Pytree of arrays.

    Returns:
      One boolean array per leaf of the gradients.
    """
    found = []
    leaves = jax.tree.leaves(gradients)
    shapes = {g.shape for g in leaves}
    for g, types in zip(leaves, narrow, strict=True):
        bad = jnp.zeros(g.shape, bool)
        for t in types:
            # Averages bring gradients closer to the lower end: 1 − β₁ is small.
            low, high = 2.0 ** (jnp.finfo(t).minexp / 2), 2.0 ** (jnp.finfo(t).maxexp * 3 / 4)
            bad |= ~((abs(g) >= _like(low, g)) & (abs(g) <= _like(high, g)))
        for s in jax.tree.leaves(state):
            if s.dtype in types and (s.shape == g.shape or s.shape not in shapes):
                odd = _nearly_subnormal(s) | ~jnp.isfinite(s)
                bad |= odd if s.shape == g.shape else odd.any()
        found.append(bad)
    return found


def _like(bound: float, x: jax.Array) -> jax.Array:
    """Return a bound in the type of ``x``, clipped to its range."""
    limits = jnp.finfo(x.dtype)
    return jnp.asarray(min(max(bound, float(limits.tiny)), float(limits.max)), x.dtype)


def _nearly_subnormal(x: jax.Array) -> jax.Array:
    """Return True for nonzero numbers below 16 times the smallest normal one, a margin for β₁."""
    return (x != 0) & (abs(x) < 16 * jnp.finfo(x.dtype).tiny)


def _unit(dtype: Any) -> float:
    return float(jnp.finfo(dtype).eps)


def _is_float(dtype: Any) -> bool:
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating)
