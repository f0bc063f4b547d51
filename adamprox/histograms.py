"""Histograms of update magnitudes on a log2 scale, kept on the device as integers.

The paper's figures show the distribution of |update|/α over the coordinates in 28 bins, one for
every power of two from 2⁻²⁷ to 2⁰. `update_histogram` counts the magnitudes inside the step.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec

from adamprox.arguments import (
    Schedule,
    at_count,
    check_constants,
    check_nonnegative,
    positive_count,
)
from adamprox.axes import AxisName, has_explicit_axes, vary_like
from adamprox.prox._arithmetic import scalar

LOWEST_LOG2 = -27
NUM_BINS = 28
BEYOND = 10_000  # larger than the exponent of any number


class UpdateHistogramState(NamedTuple):
    """Counts of the last recorded step, and the state of the wrapped regularizer.

    Attributes:
      count: Number of steps taken, int32[].
      direction: Counts of the incoming updates (Adam's part), int32[28].
      decay: Counts of the regularizer's contribution, int32[28].
      total: Counts of the outgoing updates, int32[28].
      inner: State of the wrapped regularizer.
    """

    count: Any
    direction: jax.Array
    decay: jax.Array
    total: jax.Array
    inner: optax.OptState


def log2_histogram(
    tree: Any, scale: chex.Numeric = 1.0, *, axis_name: AxisName | None = None
) -> jax.Array:
    """Count the coordinates of a pytree by ⌊log2(|x|/scale)⌋, clipped to −27 … 0.

    Bin k counts 2^(k−27) ≤ |x|/scale < 2^(k−26). The first bin also counts smaller values and 0,
    the last bin larger values and NaN.

    Args:
      tree: Pytree of real or complex arrays.
      scale: Divisor of the magnitudes, ≥ 0; usually the learning rate. 0/0 is 0, therefore the
        first step of a warmup from 0 lies in the first bin. The scale is cast to the dtype of the
        leaf, or to float32 if that is wider. Counts are exact for the cast values. A subnormal
        scale, if it is traced, or a subnormal modulus of a complex number may count as 0.
      axis_name: Mapped axis or axes along which all leaves are divided, inside ``shard_map``; the
        function then counts the whole arrays. None counts the part on this device. Arrays that are
        sharded under ``jit``, on automatic or explicit meshes, need no axis.

    Returns:
      int32[28]; the sum is the number of coordinates (at most 2³¹ − 1).

    Raises:
      TypeError: A leaf is neither floating-point nor complex, or ``scale`` is no number or array.
      ValueError: ``scale`` is a negative number.

    Example:
      >>> import jax.numpy as jnp
      >>> print(log2_histogram(jnp.array([1.0, 0.5, 0.6, 0.0]))[jnp.array([0, 26, 27])])
      [1 2 1]

    Source: the update histograms of the paper's §4 and appendix.
    """
    check_constants(scale=scale)
    check_nonnegative(scale=scale)
    counts = jnp.zeros([NUM_BINS], jnp.int32)
    for leaf in map(jnp.asarray, jax.tree.leaves(tree)):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise TypeError(f"tree must have floating-point or complex leaves, got {leaf.dtype}")
        count = _count
        if has_explicit_axes(leaf):
            # The sharding of a scatter is ambiguous; auto_axes leaves the choice to the compiler.
            whole = jax.sharding.NamedSharding(jax.typeof(leaf).sharding.mesh, PartitionSpec())
            count = jax.sharding.auto_axes(out_sharding=whole)(_count)
        magnitude = jnp.abs(leaf) if jnp.iscomplexobj(leaf) else leaf
        if jnp.finfo(magnitude.dtype).bits < 32:
            magnitude = magnitude.astype(jnp.float32)
        counts += count(magnitude, scalar(scale, magnitude.dtype))
    return counts if axis_name is None else jax.lax.psum(counts, axis_name)


def _count(leaf, scale):
    """Return the histogram of one array of real numbers; ``scale`` has the same dtype."""
    numerator, significand = _split(leaf.ravel())
    denominator, unit = _split(scale)
    # ⌊log2 of the quotient⌋ without a division, which would round and could overflow.
    exponent = numerator - denominator - (significand < unit).astype(jnp.int32)
    exponent = jnp.where((numerator == BEYOND) | (denominator == -BEYOND), BEYOND, exponent)
    exponent = jnp.where(numerator == -BEYOND, -BEYOND, exponent)
    exponent = jnp.where(jnp.isnan(scale), BEYOND, exponent)
    counts = vary_like(jnp.zeros([NUM_BINS], jnp.int32), exponent)
    return counts.at[jnp.clip(exponent - LOWEST_LOG2, 0, NUM_BINS - 1)].add(1)


def _split(x):
    """Return the int32 exponent and the significand of |x| = m · 2^e, 1 ≤ m < 2.

    The exponent of inf and NaN is `BEYOND`, that of 0 is −`BEYOND`. The function reads the bits as
    integers because XLA flushes subnormal numbers to zero.
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


@jax.jit
def log2_quantile(counts: chex.Array, fraction: chex.Numeric) -> jax.Array:
    """Return the log2 magnitude below which ``fraction`` of the counts lie, linear within a bin.

    Args:
      counts: int[28], as `log2_histogram` returns them.
      fraction: Share of the counts, in [0, 1].

    Returns:
      float32[] between −27 and 1; NaN if all counts are 0.

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
    # The target can lie at the lower edge of an empty bin; without any counts the result is NaN.
    within = inside / jnp.where(cumulative[-1] > 0, jnp.maximum(counts[index], 1e-9), 0)
    return LOWEST_LOG2 + index + within


def log2_spread(counts: chex.Array) -> jax.Array:
    """Return the spread of the magnitudes: from the 10th to the 90th percentile, in powers of two.

    Args:
      counts: int[28], as `log2_histogram` returns them.

    Returns:
      float32[] ≥ 0; at 1 the two percentiles differ by a factor of two.

    Example:
      >>> import jax.numpy as jnp
      >>> print(log2_spread(jnp.zeros(28).at[19:24].set(2)))
      4.0
    """
    return log2_quantile(counts, 0.9) - log2_quantile(counts, 0.1)


def update_histogram(
    regularizer: optax.GradientTransformation | None = None,
    *,
    scale: Schedule = 1.0,
    every: chex.Numeric = 1,
    axis_name: AxisName | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Wrap a regularizer and record the magnitudes of the updates around it.

    The updates are those of ``regularizer`` (`decay_weights`, `proximal`), unchanged. With None,
    updates pass through. The state has histograms of |u|/scale for the incoming updates
    (``direction``), the regularizer's contribution (``decay``) and the outgoing updates
    (``total``). ``decay`` is the difference of the other two in the dtype of the updates. A decay
    too small to change an update counts as 0, and the contribution of `proximal` is accurate to one
    rounding of the parameter.

    Args:
      regularizer: Last transformation of the chain, or None.
      scale: Divisor of the magnitudes, usually the learning rate; a number ≥ 0, traced scalar or
        schedule.
      every: Number of steps from one record to the next, > 0, starting at step 0. Other steps do
        not pay for counting.
      axis_name: Mapped axis or axes along which all leaves are divided, inside ``shard_map``; see
        `log2_histogram`.

    Returns:
      A transformation with an `UpdateHistogramState`; find it with
      ``optax.tree.get(state, "UpdateHistogramState")``.

    Raises:
      TypeError: ``scale`` is no number, array or schedule, or ``regularizer`` no transformation.
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
    every = positive_count("every", every)
    check_nonnegative(scale=scale)
    if regularizer is not None and not hasattr(regularizer, "init"):
        raise TypeError(f"regularizer must be a transformation or None, got {regularizer!r}")
    inner = optax.with_extra_args_support(optax.identity() if regularizer is None else regularizer)

    def init(params):
        # Three separate buffers, as donation requires.
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
