"""Histograms of update magnitudes on a log2 scale, kept on the device as integers.

The paper's figures show how |update|/α is distributed over the coordinates: 28 bins, one for every
power of two from 2⁻²⁷ to 2⁰. `update_histogram` counts them inside the step.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec

from adamprox.axes import AxisName, has_explicit_axes, vary_like
from adamprox.checks import positive_integer
from adamprox.prox._arithmetic import scalar
from adamprox.transforms import Schedule, at_count, is_static_number

LOWEST_LOG2 = -27
NUM_BINS = 28
BEYOND = 10_000  # an exponent that no number has


class UpdateHistogramState(NamedTuple):
    """Counts of the last recorded step and the state of the regularizer inside.

    Attributes:
      count: steps taken, int32[].
      direction: int32[28], the updates that came in (Adam's part).
      decay: int32[28], what the regularizer added.
      total: int32[28], the updates that went out.
      inner: state of the wrapped transformation.
    """

    count: Any
    direction: jax.Array
    decay: jax.Array
    total: jax.Array
    inner: optax.OptState


def log2_histogram(
    tree: Any, scale: chex.Numeric = 1.0, *, axis_name: AxisName | None = None
) -> jax.Array:
    """Count the coordinates of a pytree by ⌊log2 |x|/scale⌋, clipped to −27 … 0.

    Bin k counts 2^(k−27) ≤ |x|/scale < 2^(k−26); the first bin also what is smaller (and 0), the
    last what is larger (and NaN).

    Args:
      tree: Pytree of real or complex arrays.
      scale: What the magnitudes are divided by, ≥ 0; usually the learning rate. 0/0 is 0, so the
        first step of a warmup from 0 lies in the first bin. It takes the dtype of a leaf, float32
        for fewer bits; the count is exact for the two as they are then. A traced scale, or the modulus
        of a complex number, may count as 0 where it is subnormal.
      axis_name: The mapped axis or axes that all leaves are divided along, inside ``shard_map``: the
        counts are then those of the whole arrays. None counts what this device holds. Arrays that
        are sharded under ``jit``, on automatic or explicit meshes, need none.

    Returns:
      int32[28], summing to the number of coordinates (at most 2³¹ − 1).

    Raises:
      ValueError: ``scale`` is a negative number.

    Example:
      >>> import jax.numpy as jnp
      >>> print(log2_histogram(jnp.array([1.0, 0.5, 0.6, 0.0]))[jnp.array([0, 26, 27])])
      [1 2 1]

    Source: the update histograms of the paper's §4 and appendix.
    """
    _check_scale(scale)
    counts = jnp.zeros([NUM_BINS], jnp.int32)
    for leaf in map(jnp.asarray, jax.tree.leaves(tree)):
        count = _count
        if has_explicit_axes(leaf):
            # A scatter has no unambiguous sharding; the compiler knows what to do.
            whole = jax.sharding.NamedSharding(jax.typeof(leaf).sharding.mesh, PartitionSpec())
            count = jax.sharding.auto_axes(out_sharding=whole)(_count)
        magnitude = jnp.abs(leaf) if jnp.iscomplexobj(leaf) else leaf
        if jnp.finfo(magnitude.dtype).bits < 32:
            magnitude = magnitude.astype(jnp.float32)
        counts += count(magnitude, scalar(scale, magnitude.dtype))
    return counts if axis_name is None else jax.lax.psum(counts, axis_name)


def _count(leaf, scale):
    """The histogram of one array of real numbers, ``scale`` being in its dtype."""
    numerator, significand = _split(leaf.ravel())
    denominator, unit = _split(scale)
    # ⌊log2 of the quotient⌋ without a division, which would round and leave the range.
    exponent = numerator - denominator - (significand < unit)
    exponent = jnp.where((numerator == BEYOND) | (denominator == -BEYOND), BEYOND, exponent)
    exponent = jnp.where(numerator == -BEYOND, -BEYOND, exponent)
    counts = vary_like(jnp.zeros([NUM_BINS], jnp.int32), exponent)
    return counts.at[jnp.clip(exponent - LOWEST_LOG2, 0, NUM_BINS - 1)].add(1)


def _split(x):
    """Exponent int32 and significand of |x| = m · 2^e, 1 ≤ m < 2; ±`BEYOND` for inf and NaN, and 0.

    Bits are integers here: XLA flushes subnormal numbers to zero, but no integers.
    """
    limits = jnp.finfo(x.dtype)
    kind = jnp.dtype(f"int{limits.bits}")
    bits = jax.lax.bitcast_convert_type(x, kind) & jnp.iinfo(kind).max
    field, fraction = bits >> limits.nmant, bits & ((1 << limits.nmant) - 1)
    significand = fraction | jnp.where(field > 0, 1 << limits.nmant, 0).astype(kind)
    shift = jax.lax.clz(significand) - (limits.bits - 1 - limits.nmant)
    exponent = (jnp.maximum(field, 1) - shift + limits.minexp - 1).astype(jnp.int32)
    exponent = jnp.where(field > limits.maxexp - limits.minexp, BEYOND, exponent)
    return jnp.where(bits == 0, -BEYOND, exponent), significand << shift


def _check_scale(scale):
    """Raise ValueError for a plain number that is not a magnitude's unit."""
    if is_static_number(scale) and not float(scale) >= 0:
        raise ValueError(f"scale must be a number >= 0, got {scale}")


def log2_quantile(counts: chex.Array, fraction: chex.Numeric) -> jax.Array:
    """The log2 magnitude below which ``fraction`` of the counts lie, linear within a bin.

    Args:
      counts: int[28], as `log2_histogram` returns them.
      fraction: In [0, 1].

    Returns:
      float32[], between −27 and 1; NaN when there are no counts.

    Example:
      >>> import jax.numpy as jnp
      >>> print(log2_quantile(jnp.zeros(28).at[20].set(8), 0.5))
      -6.5
    """
    counts = jnp.asarray(counts, jnp.float32)
    cumulative = jnp.cumsum(counts)
    target = fraction * cumulative[-1]
    index = jnp.clip(jnp.searchsorted(cumulative, target), 0, NUM_BINS - 1)
    inside = target - (cumulative[index] - counts[index])
    # An empty bin is only hit at its lower edge; without any counts there is no quantile.
    within = inside / jnp.where(cumulative[-1] > 0, jnp.maximum(counts[index], 1e-9), 0)
    return LOWEST_LOG2 + index + within


def log2_spread(counts: chex.Array, low: float = 0.1, high: float = 0.9) -> jax.Array:
    """Dispersion of the magnitudes: the distance of two quantiles, in powers of two.

    Args:
      counts: int[28], as `log2_histogram` returns them.
      low: The lower quantile.
      high: The upper quantile.

    Returns:
      float32[] ≥ 0; 1 means that the middle of the coordinates spans a factor of two.

    Example:
      >>> import jax.numpy as jnp
      >>> print(log2_spread(jnp.zeros(28).at[19:24].set(2)))
      4.0
    """
    return log2_quantile(counts, high) - log2_quantile(counts, low)


def update_histogram(
    regularizer: optax.GradientTransformation | None = None,
    *,
    scale: Schedule = 1.0,
    every: int = 1,
    axis_name: AxisName | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Record the magnitudes of updates before, by and after a regularizer; change nothing.

    The updates are those of ``regularizer`` alone (`decay_weights`, `proximal`), or pass through
    when it is None. Counted are |u|/scale of what comes in (``direction``), of what the regularizer
    adds (``decay``), and of what goes out (``total``). ``decay`` is the difference of the other two as
    they are in the dtype of the updates: a decay too small to change an update counts as 0, and what
    `proximal` adds is known to a rounding of the parameter.

    Args:
      regularizer: The last transformation of the chain, or None.
      scale: What magnitudes are divided by, usually the learning rate; a number ≥ 0, traced scalar
        or schedule.
      every: Record at steps 0, every, 2·every, …; > 0. Other steps pay for no counting.
      axis_name: Inside ``shard_map``, the axis or axes that all leaves are divided along; see
        `log2_histogram`.

    Returns:
      A transformation with an `UpdateHistogramState`; find it with
      ``optax.tree.get(state, "UpdateHistogramState")``.

    Raises:
      ValueError: ``every`` is not a positive integer, or ``scale`` a negative number.

    Example:
      >>> import jax.numpy as jnp, optax, adamprox
      >>> tx = optax.chain(
      ...     adamprox.adam_direction(1e-3),
      ...     adamprox.update_histogram(adamprox.decay_weights(1e-4), scale=1e-3),
      ... )
      >>> x = jnp.ones(3)
      >>> _, state = tx.update(jnp.array([1.0, 2.0, 0.0]), tx.init(x), x)
      >>> histogram = optax.tree.get(state, "UpdateHistogramState")
      >>> print(histogram.direction[0], histogram.decay[23:25])
      1 [3 0]

    Source: the update histograms of the paper's §4 and appendix.
    """
    every = positive_integer("every", every)
    _check_scale(scale)
    inner = optax.with_extra_args_support(optax.identity() if regularizer is None else regularizer)

    def init(params):
        # A buffer each, so that the state can be donated.
        like = params if axis_name is None else ()
        direction, decay, total = (
            vary_like(jnp.zeros([NUM_BINS], jnp.int32), like) for _ in range(3)
        )
        return UpdateHistogramState(
            jnp.zeros([], jnp.int32), direction, decay, total, inner.init(params)
        )

    def update(updates, state, params=None, **extra_args):
        out, inner_state = inner.update(updates, state.inner, params, **extra_args)
        unit = at_count(scale, state.count)
        like = out if axis_name is None else ()

        def record():
            added = jax.tree.map(lambda after, before: after - before, out, updates)
            counts = (log2_histogram(t, unit, axis_name=axis_name) for t in (updates, added, out))
            return vary_like(tuple(counts), like)

        def keep():
            return vary_like((state.direction, state.decay, state.total), like)

        direction, decay, total = jax.lax.cond(state.count % every == 0, record, keep)
        count = optax.safe_increment(state.count)
        return out, UpdateHistogramState(count, direction, decay, total, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)
