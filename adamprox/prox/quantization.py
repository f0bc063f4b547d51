"""Quantization: the projection on a grid of levels, two relaxations of it, and a fit of the grid.

A grid has its levels in ascending order along axis 0. Its other axes broadcast against a leaf: the
grid ``(-1, 0, 1)`` serves every entry, and a grid of shape ``[3, channels]`` has three levels for
each channel of the last axis. ``levels`` may also be a function from a leaf to its grid, such as
``partial(fit_levels, count=3)``; the derivative treats a fitted grid as constant.

The penalties are zero on the grid alone. At t = 0 the relaxations change nothing, and at t = ∞ they
are `quantize`. `adamprox.hardening` is a schedule for t.
"""

import itertools
from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from adamprox.axes import gathered, on_whole_arrays
from adamprox.checks import is_integer
from adamprox.prox._arithmetic import (
    Tree,
    check_real,
    check_weight,
    elementwise,
    is_concrete,
    power_of_two,
    weighted,
    widen,
)

Levels = Sequence[chex.Numeric] | np.ndarray | jax.Array | Callable[[jax.Array], jax.Array]


@on_whole_arrays
def quantize(tree: Tree, t: chex.Numeric, *, levels: Levels) -> Tree:
    """Projection on a grid: replace every entry by the nearest level.

    prox(x)ᵢ = argmin_{q in the grid} |xᵢ − q|. Halfway between two levels it is the lower one.

    With ``levels=partial(fit_levels, count=2)`` or ``count=3`` this is the projection on the set of
    arrays whose channels have entries ±a or {−a, 0, a}, for any a.

    Args:
      tree: Pytree of real arrays, any shapes.
      t: Ignored, for a common signature.
      levels: Two or more levels in ascending order, in the units of the parameters, or a function
        from a leaf to its grid; see `adamprox.prox.quantization`.

    Returns:
      Pytree like ``tree``; every entry is a level, rounded to its dtype. NaN entries stay NaN.

    Raises:
      TypeError: a leaf is complex.
      ValueError: ``levels`` are numbers, and fewer than two, not finite or not in order.

    Example:
      >>> import jax.numpy as jnp
      >>> print(quantize(jnp.array([-3.0, 0.4, 0.6]), 1.0, levels=(-1, 0, 1)))
      [-1.  0.  1.]

    Source: Courbariaux, Bengio and David, *BinaryConnect*, 2015; Li, Zhang and Liu, *Ternary Weight
    Networks*, 2016.
    """
    del t
    check_real("quantize", tree)
    _check_levels(levels)
    return elementwise(lambda x: _nearest(x, _grid(levels, x)), tree)


@on_whole_arrays
def binary_relax(tree: Tree, t: chex.Numeric, *, levels: Levels) -> Tree:
    """Move every entry toward the nearest level, the prox of half the squared distance to the grid.

    R(x) = ½ Σᵢ min_q (xᵢ − q)²,   prox(x) = (x + tQ(x))/(1 + t),   where Q is `quantize`.

    Args:
      tree: Pytree of real arrays, any shapes.
      t: Scalar ≥ 0, dimensionless.
      levels: Two or more levels in ascending order, in the units of the parameters, or a function
        from a leaf to its grid; see `adamprox.prox.quantization`.

    Returns:
      Pytree like ``tree``. Only for t = ∞ are all entries levels.

    Raises:
      TypeError: a leaf is complex.
      ValueError: ``t`` is a negative number or NaN, or ``levels`` are numbers, and fewer than two,
        not finite or not in order.

    Example:
      >>> import jax.numpy as jnp
      >>> print(binary_relax(jnp.array([-3.0, 0.5, 2.0]), 1.0, levels=(-1, 1)))
      [-2.    0.75  1.5 ]

    Source: Yin et al., *BinaryRelax: A Relaxation Approach for Training Deep Neural Networks with
    Quantized Weights*, 2018.
    """
    check_weight(t)
    check_real("binary_relax", tree)
    _check_levels(levels)
    return elementwise(lambda x, t: _relax(x, t, _nearest(x, _grid(levels, x))), tree, t)


@on_whole_arrays
def parq(tree: Tree, t: chex.Numeric, *, levels: Levels) -> Tree:
    """Move entries towards a grid of levels; from t = 1 on, round those between two levels.

    R(x) = Σᵢ r(xᵢ), for neighboring levels a < b: r(x) = ½(x − a)(b − x) where a ≤ x ≤ b. Beyond
    the outermost level q, next to an interval of width w, r(x) = ½w|x − q|. On the grid's interval,
    ½x² + r(x) is the piecewise-affine function that equals ½x² at the levels.

    - Between levels, for t < 1: prox(x) = min(max(m + (x − m)/(1 − t), a), b), m = (a + b)/2.
      1 − t is the inverse slope of PARQ. For t ≥ 1, prox(x) is the nearest level.
    - Beyond the outermost level: prox(x) = q + sign(x − q) · max(|x − q| − tw/2, 0).

    Args:
      tree: Pytree of real arrays, any shapes.
      t: Scalar ≥ 0, dimensionless.
      levels: Two or more levels in ascending order, in the units of the parameters, or a function
        from a leaf to its grid; see `adamprox.prox.quantization`.

    Returns:
      Pytree like ``tree``. For t ≥ 1 only entries farther than tw/2 beyond the grid are not levels;
      for t = ∞ all are.

    Raises:
      TypeError: a leaf is complex.
      ValueError: ``t`` is a negative number or NaN, or ``levels`` are numbers, and fewer than two,
        not finite or not in order.

    Example:
      >>> import jax.numpy as jnp
      >>> print(parq(jnp.array([-3.0, 0.1, 0.25, 0.75]), 0.5, levels=(-1, 0, 1)))
      [-2.75  0.    0.    1.  ]

    Source: Jin et al., *PARQ: Piecewise-Affine Regularized Quantization*, 2025 (arXiv 2503.15748),
    with a finite penalty beyond the grid.
    """
    check_weight(t)
    check_real("parq", tree)
    _check_levels(levels)
    return elementwise(lambda x, t: _attract(x, t, _grid(levels, x)), tree, t)


def fit_levels(x: jax.Array, *, count: int, axis: int | None = -1) -> jax.Array:
    """Evenly spaced levels that are symmetric about zero and nearest to each channel.

    levelⱼ = s · (j − (count − 1)/2) for j = 0, …, count − 1, where s ≥ 0 minimizes Σᵢ (xᵢ − Q(xᵢ))²
    exactly. ``count=2`` gives ±mean|x|, ``count=3`` ternary levels {−s, 0, s}, and 4, 8 and 16
    levels take 2, 3 and 4 bits.

    A channel of n entries costs a sort of n · ⌊(count − 1)/2⌋ numbers. Under ``jit`` the fit is
    that of the whole array for any sharding.

    Args:
      x: Array of real numbers, any shape.
      count: Number of levels ≥ 2.
      axis: Axis of the channels: −1 for Flax kernels (``[…, out]``), 0 for ``[out, …]``. Every
        entry of a vector is a channel and becomes a level: biases do not change. None for one grid
        for all entries, also inside `per_output_channel`.

    Returns:
      Grid ``[count, …]`` of float32 or wider, which broadcasts against ``x``.

    Raises:
      TypeError: ``x`` is complex.
      ValueError: ``count`` is not an integer ≥ 2, or ``x`` has no such axis.

    Example:
      >>> import jax.numpy as jnp
      >>> print(fit_levels(jnp.array([[3.0, 0.5], [-1.0, 0.5]]), count=2)[:, 0])
      [[-2.  -0.5]
       [ 2.   0.5]]

    Source: Rastegari et al., *XNOR-Net*, 2016 (two levels); Li, Zhang and Liu, *Ternary Weight
    Networks*, 2016 (three levels, solved there by an approximation).
    """
    check_real("fit_levels", x)
    if not is_integer(count, 2):
        raise ValueError(f"count must be an integer >= 2, got {count!r}")
    sizes = jnp.abs(jax.lax.stop_gradient(widen(gathered(x))))
    axis = None if sizes.ndim == 0 else axis
    if axis is not None and not -sizes.ndim <= axis < sizes.ndim:
        raise ValueError(f"an array of shape {sizes.shape} has no axis {axis}")
    channels = [1] * sizes.ndim
    if axis is not None:
        channels[axis] = sizes.shape[axis]
        sizes = jnp.moveaxis(sizes, axis, 0)
    rows = sizes.reshape(1 if axis is None else len(sizes), -1) if sizes.size else sizes
    scales = _scales(rows, count) if sizes.size else jnp.zeros(channels, sizes.dtype)
    units = jnp.arange(count) - (count - 1) / 2
    return jnp.multiply.outer(units.astype(scales.dtype), scales.reshape(channels))


def _check_levels(levels: Levels) -> None:
    """Raise ValueError for known levels that are not two or more in ascending order."""
    several = isinstance(levels, list | tuple)
    if not (all(map(is_concrete, levels)) if several else is_concrete(levels)):
        return
    grid = np.asarray(levels)
    ordered = grid.ndim and len(grid) > 1 and np.all(np.diff(grid, axis=0) >= 0)
    if not (ordered and np.all(np.isfinite(grid))):
        raise ValueError(f"levels must be two or more numbers in ascending order, got {levels}")


def _grid(levels: Levels, x) -> list[jax.Array]:
    """Return the levels for the leaf x, each broadcast against it."""
    return list(jnp.asarray(levels(x) if callable(levels) else levels, x.dtype))


def _nearest(x, grid):
    nearest = jnp.broadcast_to(grid[0], x.shape)
    for low, high in itertools.pairwise(grid):
        nearest = jnp.where(x > low / 2 + high / 2, high, nearest)
    return jnp.where(jnp.isnan(x), x, nearest)


def _relax(x, t, nearest):
    """Return (x + t · nearest)/(1 + t), exact at t = 0 and t = ∞."""
    small = t < 1
    weak = jnp.where(small, t, 0)
    near_x = x + (nearest - x) * (weak / (1 + weak))
    near_level = nearest + (x - nearest) / (1 + t)
    return jnp.where(jnp.isinf(t), nearest, jnp.where(small, near_x, near_level))


def _attract(x, t, grid):
    low, high = (jnp.broadcast_to(level, x.shape) for level in grid[:2])
    for level, following in itertools.pairwise(grid[1:]):
        above = x > level
        low, high = jnp.where(above, level, low), jnp.where(above, following, high)
    soft = t < 1
    ratio = jnp.where(soft, t, 0) / jnp.where(soft, 1 - t, 1)
    offset = x - (low / 2 + high / 2)
    steep = jnp.clip(x + offset * ratio, low, high)
    between = jnp.where(soft, steep, jnp.where(offset > 0, high, low))
    bound = jnp.clip(x, grid[0], grid[-1])
    excess = x - bound
    pull = weighted(t, high / 2 - low / 2)
    beyond = jnp.where(jnp.abs(excess) <= pull, bound, x - jnp.sign(excess) * pull)
    return jnp.where(excess == 0, between, beyond)


def _scales(sizes, count):
    """Return the best distance s of levels for each row of magnitudes [C, n]; float[C].

    For given multiples c of s, the best s is Σ|x|c/Σc², which lowers the error by (Σ|x|c)²/Σc². As
    s falls from infinity, the multiple of an entry rises by 1 whenever |x|/s passes a midpoint of
    two multiples. The function compares all these choices.
    """
    unit = power_of_two(jnp.max(sizes, axis=1, keepdims=True))
    sizes = sizes / unit
    half = np.arange(count // 2 + count % 2) + (0 if count % 2 else 0.5)
    moment = half[0] * jnp.sum(sizes, axis=1, keepdims=True)
    square = jnp.full_like(moment, half[0] ** 2 * sizes.shape[1])
    if len(half) > 1:
        rises, growth = _rises(sizes, half)
        moment = jnp.concatenate([moment, moment + jnp.cumsum(rises, axis=1)], axis=1)
        square = jnp.concatenate([square, square + jnp.cumsum(growth, axis=1)], axis=1)
    scales = moment / jnp.where(square == 0, 1, square)
    best = jnp.argmax(scales * moment, axis=1, keepdims=True)
    return (jnp.take_along_axis(scales, best, axis=1) * unit)[:, 0]


def _rises(sizes, half):
    """Return the magnitudes of the entries that rise, in order, and the growth of their c²."""
    if len(half) == 2:
        (rises,) = _descending(sizes)
        return rises, jnp.full_like(rises, half[1] ** 2 - half[0] ** 2)
    shape = *sizes.shape, len(half) - 1
    midpoints = jnp.asarray(half[:-1] + 0.5, sizes.dtype)
    growth = jnp.asarray(np.diff(half**2), sizes.dtype)
    events = (sizes[..., None] / midpoints, sizes[..., None], growth)
    events = (jnp.broadcast_to(event, shape).reshape(len(sizes), -1) for event in events)
    return _descending(*events)[1:]


def _descending(keys, *values):
    """Sort rows by keys ≥ 0, the largest first; a CPU sorts their bits four times faster."""
    bits = jax.lax.bitcast_convert_type(keys, jnp.dtype(f"int{8 * keys.dtype.itemsize}"))
    bits, *values = jax.lax.sort((bits, *values), dimension=1, num_keys=1)
    keys = jax.lax.bitcast_convert_type(bits, keys.dtype)
    return [jnp.flip(x, axis=1) for x in (keys, *values)]
