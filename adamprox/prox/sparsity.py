"""Projections on sets of sparse vectors, which keep the largest magnitudes and zero the others.

The sets are not convex, and t is ignored. Of equal magnitudes the first are kept, so the number of
kept entries is exact. Under ``jit``, `top_k` and `top_share` rank the whole arrays for any
sharding; inside ``shard_map`` they would rank one device's part.
"""

import chex
import jax
import jax.numpy as jnp

from adamprox.axes import on_whole_arrays
from adamprox.checks import is_integer, is_known, positive_integer
from adamprox.prox._arithmetic import Tree, check_between, elementwise
from adamprox.prox._vectors import magnitude, on_vector


@on_whole_arrays
def top_k(tree: Tree, t: chex.Numeric, *, k: chex.Numeric) -> Tree:
    """Keep the k largest magnitudes of the *whole* tree: the projection on ‖x‖₀ ≤ k.

    prox(x)ᵢ = xᵢ where |xᵢ| is among the k largest, else 0.

    Args:
      tree: Pytree of real or complex arrays, any shapes; together they are one vector.
      t: Ignored, for a common signature.
      k: Number of entries to keep, an integer ≥ 0; all are kept if the tree has fewer.

    Returns:
      Pytree like ``tree``; every entry is unchanged or exactly zero. NaN entries stay NaN and
      count as the largest.

    Raises:
      ValueError: ``k`` is a number that is not an integer ≥ 0.

    Example:
      >>> import jax.numpy as jnp
      >>> print(top_k({"a": jnp.array([-3.0, 0.5]), "b": jnp.array([2.0])}, 1.0, k=2)["a"])
      [-3.  0.]

    Source: Blumensath and Davies, *Iterative Hard Thresholding for Compressed Sensing*, 2009.
    """
    del t
    if is_known(k) and not is_integer(k, 0):
        raise ValueError(f"k must be an integer >= 0, got {k}")
    return on_vector(lambda x: _keep_largest(x, k), tree)


@on_whole_arrays
def top_share(tree: Tree, t: chex.Numeric, *, share: chex.Numeric) -> Tree:
    """Keep the largest magnitudes of the *whole* tree, a given share of all entries.

    prox(x)ᵢ = xᵢ where |xᵢ| is among the k largest, else 0. k is share · n for n entries, rounded
    to the nearest integer, and to the even one at a tie.

    Args:
      tree: Pytree of real or complex arrays, any shapes; together they are one vector.
      t: Ignored, for a common signature.
      share: Share of the entries to keep, in [0, 1].

    Returns:
      Pytree like ``tree``; every entry is unchanged or exactly zero. NaN entries stay NaN and
      count as the largest.

    Raises:
      ValueError: ``share`` is a number outside [0, 1] or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(top_share(jnp.array([-3.0, 0.5, 2.0, 1.0]), 1.0, share=0.5))
      [-3.  0.  2.  0.]

    Source: Zhu and Gupta, *To Prune, or Not to Prune*, 2017 (magnitude pruning).
    """
    del t
    check_between("share", share, 0, 1, inclusive=True)

    def project(x):
        known = is_known(share)
        count = round(float(share) * x.size) if known else jnp.round(share * x.size).astype(int)
        return _keep_largest(x, count)

    return on_vector(project, tree)


@on_whole_arrays
def n_m(tree: Tree, t: chex.Numeric, *, n: int = 2, m: int = 4, axis: int = -2) -> Tree:
    """Keep the n largest magnitudes of every m neighbors along an axis, as 2:4 sparsity does.

    prox(x)ᵢ = xᵢ where |xᵢ| is among the n largest of its block, else 0. A block has the entries
    mj, …, mj + m − 1 along the axis.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Ignored, for a common signature.
      n: Number of entries to keep in a block, 0 ≤ n ≤ m.
      m: Size of a block ≥ 1.
      axis: Axis of the blocks. −2 is the input of Flax kernels (``[in, out]``, ``[height, width,
        in, out]``).

    Returns:
      Pytree like ``tree``; every entry is unchanged or exactly zero. Leaves without this axis, such
      as biases for −2, do not change. NaN entries stay NaN and count as the largest.

    Raises:
      ValueError: m does not divide the size of the axis, or ``n`` or ``m`` is out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> print(n_m(jnp.array([3.0, -1.0, 2.0, 0.5]), 1.0, axis=-1))
      [3. 0. 2. 0.]

    Source: Mishra et al., *Accelerating Sparse Deep Neural Networks*, 2021.
    """
    del t
    positive_integer("m", m)
    if not is_integer(n, 0, m):
        raise ValueError(f"n must be an integer with 0 <= n <= m = {m}, got {n!r}")

    def project(x):
        if not -x.ndim <= axis < x.ndim:
            return x
        if x.shape[axis] % m:
            raise ValueError(f"m={m} does not divide axis {axis} of a leaf of shape {x.shape}")
        last = jnp.moveaxis(x, axis, -1)
        blocks = last.reshape(*last.shape[:-1], last.shape[-1] // m, m)
        return jnp.moveaxis(_keep_largest(blocks, n).reshape(last.shape), -1, axis)

    return elementwise(project, tree)


def _keep_largest(x, k):
    """Zero all but the k largest magnitudes along the last axis."""
    if not x.size:
        return x
    invalid = jnp.isnan(x)
    size = jax.lax.stop_gradient(jnp.where(invalid, jnp.inf, magnitude(x)))
    length = x.shape[-1]
    smallest = jnp.clip(length - jnp.asarray(k), 0, length - 1)
    threshold = jnp.take(jnp.sort(size, axis=-1), smallest, axis=-1)[..., None]
    above, equal = size > threshold, size == threshold
    left = k - jnp.sum(above, axis=-1, keepdims=True)
    kept = above | (equal & (jnp.cumsum(equal, axis=-1) <= left))
    return jnp.where(kept | invalid, x, 0)
