"""Convex penalties of the order of entries: of their ranks, or of their places along an axis.

Both operators run a loop of one step per entry, and more where entries merge into a block. They are
slow on accelerators for long vectors, and inside ``shard_map`` they see one device's part only.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from adamprox.axes import on_whole_arrays, vary_like
from adamprox.prox._arithmetic import (
    Tree,
    check_real,
    check_weight,
    elementwise,
    is_concrete,
    power_of_two,
    scalar,
    weighted,
)
from adamprox.prox._vectors import magnitude, on_vector, with_magnitude


@on_whole_arrays
def slope(
    tree: Tree, t: chex.Numeric, *, weights: chex.Array | list[float] | tuple[float, ...]
) -> Tree:
    """Sorted soft thresholding, the prox of the sorted ℓ1 norm of the *whole* tree.

    R(x) = Σᵢ wᵢ |x|₍ᵢ₎, where |x|₍₁₎ ≥ |x|₍₂₎ ≥ … are the sorted magnitudes. prox(x) has the signs
    of x and the magnitudes max(v, 0), where v is the nonincreasing sequence nearest to |x|₍ᵢ₎ − twᵢ.

    Args:
      tree: Pytree of real or complex arrays, any shapes; together they are one vector of n entries.
      t: Scalar ≥ 0, in the units of the parameters.
      weights: Array or list of n nonincreasing weights w ≥ 0, dimensionless. Equal weights are those
        of ℓ1.

    Returns:
      Pytree like ``tree``; entries of similar magnitudes become equal, small ones exactly zero. One
      NaN entry makes all entries NaN.

    Raises:
      ValueError: ``t`` is a negative number or NaN, or ``weights`` do not have shape [n], or are
        known and negative, increasing or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> import numpy as np
      >>> print(slope(jnp.array([3.0, -2.5, 0.5]), 1.0, weights=np.array([2.0, 1.0, 1.0])))
      [ 1.25 -1.25  0.  ]

    Source: Bogdan, van den Berg, Sabatti, Su and Candès, *SLOPE: Adaptive Variable Selection via
    Convex Optimization*, 2015.
    """
    check_weight(t)
    if isinstance(weights, list | tuple):
        weights = (np if all(map(is_concrete, weights)) else jnp).asarray(weights)
    size = sum(jnp.size(leaf) for leaf in jax.tree.leaves(tree))
    if jnp.shape(weights) != (size,):
        raise ValueError(f"weights must have shape ({size},), got {jnp.shape(weights)}")
    if is_concrete(weights) and not (
        np.all(np.diff(weights) <= 0) and np.all(np.greater_equal(weights, 0))
    ):
        raise ValueError(f"weights must be >= 0 and not increase, got {weights}")
    return on_vector(lambda x: _sorted_threshold(x, t, weights), tree)


@on_whole_arrays
def total_variation(tree: Tree, t: chex.Numeric, *, axis: int = -1) -> Tree:
    """Piecewise constant fit, the prox of the total variation of every line along an axis.

    R(x) = Σᵢ |xᵢ₊₁ − xᵢ| for a line x; R of a leaf is the sum over its lines. prox(x) is constant on
    segments: the mean of x there, moved by t/(length of the segment) towards each neighbor segment.

    Args:
      tree: Pytree of real arrays, any shapes.
      t: Scalar ≥ 0, in the units of the parameters.
      axis: Axis along which neighbors are compared.

    Returns:
      Pytree like ``tree``. Leaves without this axis, such as scalars, do not change. A NaN or
      infinite entry makes its line NaN.

    Raises:
      TypeError: a leaf is complex.
      ValueError: ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(total_variation(jnp.array([0.0, 1.0, 5.0, 6.0]), 1.0))
      [1. 1. 5. 5.]

    Source: Condat, *A Direct Algorithm for 1-D Total Variation Denoising*, 2013.
    """
    check_weight(t)
    check_real("total_variation", tree)

    def on_leaf(x, t):
        if not -x.ndim <= axis < x.ndim or not x.size:
            return x
        last = jnp.moveaxis(x, axis, -1)
        lines = _piecewise_constant(last.reshape(-1, last.shape[-1]), t)
        return jnp.moveaxis(lines.reshape(last.shape), -1, axis)

    return elementwise(on_leaf, tree, t)


def _sorted_threshold(x, t, weights):
    size = magnitude(x)
    order = jnp.argsort(-jax.lax.stop_gradient(size))
    largest = jax.lax.stop_gradient(jnp.max(size))
    scale = _reduction(largest)
    step = weighted(scalar(t, size.dtype), scalar(weights, size.dtype)) / scale
    # A block with an entry below −n times the largest magnitude becomes zero, however low it is.
    y = size[order] / scale - jnp.minimum(step, 2 * x.size * (largest / scale))
    means = _block_means(y, _decreasing_blocks(jax.lax.stop_gradient(y)))
    new = jnp.zeros_like(size).at[order].set(jnp.maximum(means, 0) * scale)
    return with_magnitude(x, new, size)


def _reduction(largest):
    """Return a power of two ≥ 1, by which numbers up to ``largest`` are divided to add them up."""
    return jnp.maximum(power_of_two(largest) * 2.0**-80, 1)


def _block_means(y, block):
    """Return the mean of each entry's block, for nondecreasing block numbers below y.size."""

    def mean(values):
        return (jax.ops.segment_sum(values, block, y.size) / count)[block]

    ones = jnp.ones(y.shape, y.dtype)
    count = jnp.maximum(jax.ops.segment_sum(ones, block, y.size), 1)
    rough = mean(y)
    return rough + mean(y - rough)  # the second term removes the rounding of long sums


def _decreasing_blocks(y):
    """Return block numbers of the nearest nonincreasing sequence, by pooling adjacent violators."""

    def violated(sums, counts, top):
        last, previous = jnp.maximum(top - 1, 0), jnp.maximum(top - 2, 0)
        return (top > 1) & (sums[last] / counts[last] > sums[previous] / counts[previous])

    def unfinished(state):
        number, top, sums, counts = state
        return (number < y.size) | violated(sums, counts, top)

    def step(state):
        """Merge the last two blocks if they increase, else add the next entry as a block."""
        number, top, sums, counts = state
        merge = violated(sums, counts, top)
        place = jnp.where(merge, top - 2, top)
        added = jnp.where(merge, sums[top - 2] + sums[top - 1], y[number])
        count = jnp.where(merge, counts[top - 2] + counts[top - 1], 1)
        state = place + 1, sums.at[place].set(added), counts.at[place].set(count)
        return jnp.where(merge, number, number + 1), *state

    number = jnp.zeros((), "int32")
    start = vary_like((number, number, jnp.zeros_like(y), jnp.ones_like(y)), y)
    _, top, _, counts = jax.lax.while_loop(unfinished, step, start)
    ends = jnp.cumsum(jnp.where(jnp.arange(y.size) < top, counts, 0))
    return jnp.searchsorted(ends, jnp.arange(y.size, dtype=y.dtype), side="right")


def _piecewise_constant(x, t):
    """Fit the lines ``x`` [lines, length], each for itself."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    scale = _reduction(largest)
    # No sum of differences x − prox(x) is larger than this limit of t.
    y, t = x / scale, jnp.minimum(t / scale, 4 * x.shape[-1] * (largest / scale))
    jumps = _jumps(jax.lax.stop_gradient(y), jax.lax.stop_gradient(t))
    start = ((jumps != 0) | (t == 0)).astype("int32")  # at t = 0 every entry is a segment
    block = jnp.cumsum(start, axis=-1) - start[:, :1]
    ends = jnp.concatenate([jumps[:, 1:], jnp.zeros_like(jumps[:, :1])], axis=-1)
    fitted = jax.vmap(_block_means)(y + t * (ends - jumps), block)
    valid = jnp.all(jnp.isfinite(x), axis=-1, keepdims=True)
    return jnp.where(valid, fitted * scale, jnp.nan)


class _Scan(NamedTuple):
    """The state of Condat's algorithm on one line.

    ``low`` and ``high`` bound the value of the segment from ``first`` to ``at``; ``slack_low`` and
    ``slack_high`` are the dual variables at ``at`` for these values. The segment may end at
    ``end_low`` with value ``low``, or at ``end_high`` with value ``high``.
    """

    at: jax.Array
    first: jax.Array
    end_low: jax.Array
    end_high: jax.Array
    low: jax.Array
    high: jax.Array
    slack_low: jax.Array
    slack_high: jax.Array
    jumps: jax.Array
    done: jax.Array


def _jumps(y, t):
    """Return the sign of the jump before each entry of the fit, 0 inside its segments.

    Args:
      y: Lines [lines, length].
      t: Weights [lines, 1].
    """
    lines, length = y.shape
    position = jnp.zeros(lines, "int32")
    first, weight = y[:, 0], t[:, 0]
    state = _Scan(
        at=position,
        first=position,
        end_low=position,
        end_high=position,
        low=first - weight,
        high=first + weight,
        slack_low=weight,
        slack_high=-weight,
        jumps=jnp.zeros_like(y),
        done=position > 0,
    )
    step = jax.vmap(lambda state, y, t: _advance(state, y, t[0], length))
    state = vary_like(state, (y, t))
    return jax.lax.while_loop(lambda s: ~jnp.all(s.done), lambda s: step(s, y, t), state).jumps


def _advance(s, y, t, length):
    """Add one entry to the segment, or end the segment with a jump."""
    last = s.at == length - 1
    following = y[jnp.minimum(s.at + 1, length - 1)]
    down = jnp.where(last, s.slack_low < 0, following + s.slack_low < s.low - t)
    up = ~down & jnp.where(last, s.slack_high > 0, following + s.slack_high > s.high + t)
    done = s.done | (last & ~down & ~up)
    jumped = _jump(s, y, t, down, last)
    grown = _grow(s, following, t)
    moved = jax.tree.map(lambda a, b: jnp.where(down | up, a, b), jumped, grown)
    place = jnp.where((down | up) & ~done, moved.first, length)
    jumps = s.jumps.at[place].set(jnp.where(down, -1, 1), mode="drop")
    return moved._replace(jumps=jumps, done=done)


def _grow(s, following, t):
    """Add the next entry; tighten the bounds where a dual variable leaves [−t, t]."""
    at = s.at + 1
    count = (at - s.first + 1).astype(s.low.dtype)
    slack_low, slack_high = s.slack_low + following - s.low, s.slack_high + following - s.high
    raised, lowered = slack_low >= t, slack_high <= -t
    return s._replace(
        at=at,
        low=jnp.where(raised, s.low + (slack_low - t) / count, s.low),
        high=jnp.where(lowered, s.high + (slack_high + t) / count, s.high),
        slack_low=jnp.where(raised, t, slack_low),
        slack_high=jnp.where(lowered, -t, slack_high),
        end_low=jnp.where(raised, at, s.end_low),
        end_high=jnp.where(lowered, at, s.end_high),
    )


def _jump(s, y, t, down, last):
    """Start a segment after ``end_low`` for a jump down, after ``end_high`` for a jump up.

    The value that the jump leaves free is bounded by 2t. At the end of the line the jump keeps the
    other bound: only one dual variable is out of range there.
    """
    at = jnp.where(down, s.end_low, s.end_high) + 1
    first = y[jnp.minimum(at, y.size - 1)]
    return s._replace(
        at=at,
        first=at,
        end_low=jnp.where(last & ~down, s.end_low, at),
        end_high=jnp.where(last & down, s.end_high, at),
        low=jnp.where(down, first, jnp.where(last, s.low, first - 2 * t)),
        high=jnp.where(down, jnp.where(last, s.high, first + 2 * t), first),
        slack_low=jnp.where(last & ~down, first - t - s.low, t),
        slack_high=jnp.where(last & down, first + t - s.high, -t),
    )
