"""Convex penalties, each with its proximal operator."""

import chex
import jax
import jax.numpy as jnp

from adamprox.axes import AxisName
from adamprox.prox._arithmetic import (
    Tree,
    cast_like,
    check_between,
    check_weight,
    divide,
    elementwise,
    keep_fraction,
    scalar,
    scaled_norm,
    soft_threshold,
    times,
    weighted,
    widen,
)


def l1(tree: Tree, t: chex.Numeric) -> Tree:
    """Soft thresholding, the prox of R(x) = ‖x‖₁.

    prox(x)ᵢ = sign(xᵢ) · max(|xᵢ| − t, 0); a complex entry keeps its phase.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Scalar ≥ 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``; entries with |xᵢ| ≤ t are exactly zero.

    Raises:
      ValueError: ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l1(jnp.array([-3.0, 0.5, 2.0]), 1.0))
      [-2.  0.  1.]

    Source: §5 of the paper; Parikh and Boyd, *Proximal Algorithms*, 2014, §6.5.2.
    """
    check_weight(t)
    return elementwise(soft_threshold, tree, t)


def l2(tree: Tree, t: chex.Numeric, *, axis_name: AxisName | None = None) -> Tree:
    """Block soft thresholding, the prox of the unsquared R(x) = ‖x‖₂ over the *whole* tree.

    prox(x) = max(1 − t/‖x‖₂, 0) · x. Use `per_leaf` or `per_output_channel` for smaller groups.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Scalar ≥ 0, in the units of the parameters.
      axis_name: Mapped axis or axes along which the leaves are divided, for an operator that sees
        one device's part (``shard_map``, ``pmap``); see `adamprox.prox`. Not for ``jit``.

    Returns:
      Pytree like ``tree``; all entries are exactly zero if ‖x‖₂ ≤ t. At x = 0 the value is 0 and
      the gradient is finite.

    Raises:
      ValueError: ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l2({"a": jnp.array(3.0), "b": jnp.array(4.0)}, 1.0)["b"])
      3.2

    Source: §5 of the paper, AdamProxL2.
    """
    check_weight(t)
    if not jax.tree.leaves(tree):
        return tree
    scale, relative_norm = scaled_norm(tree, axis_name)
    keep = keep_fraction(relative_norm, scalar(t, scale.dtype) / scale)
    # At t = 0 a NaN entry does not reach the others.
    return elementwise(times, tree, jnp.where(jnp.isnan(keep) & (t == 0), 1, keep))


def squared_l2(tree: Tree, t: chex.Numeric) -> Tree:
    """Shrinkage, the prox of R(x) = ½‖x‖₂²; R includes the ½.

    prox(x) = x / (1 + t).

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Scalar ≥ 0, dimensionless.

    Returns:
      Pytree like ``tree``.

    Raises:
      ValueError: ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(squared_l2(jnp.array([2.0, -4.0]), 1.0))
      [ 1. -2.]

    Source: eq. (5) of the paper, AdamProx.
    """
    check_weight(t)
    return elementwise(lambda x, t: divide(x, 1 + t), tree, t)


def elastic_net(tree: Tree, t: chex.Numeric, l1_ratio: chex.Numeric = 0.5) -> Tree:
    """Soft thresholding and shrinkage, the prox of R(x) = ρ‖x‖₁ + (1 − ρ)·½‖x‖₂².

    prox(x)ᵢ = sign(xᵢ) · max(|xᵢ| − tρ, 0) / (1 + t(1 − ρ)), where ρ is ``l1_ratio``.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Scalar ≥ 0; tρ is in the units of the parameters, t(1 − ρ) is dimensionless.
      l1_ratio: Share ρ of ℓ1, in [0, 1]; 1 is `l1`, 0 is `squared_l2`.

    Returns:
      Pytree like ``tree``; entries with |xᵢ| ≤ tρ are exactly zero.

    Raises:
      ValueError: ``l1_ratio`` is a number outside [0, 1], or ``t`` is a negative number or NaN.

    Example:
      >>> import functools
      >>> import jax.numpy as jnp
      >>> print(elastic_net(jnp.array([-3.0, 0.5, 2.0]), 2.0))
      [-1.   0.   0.5]
      >>> mostly_l1 = functools.partial(elastic_net, l1_ratio=0.9)

    Source: Parikh and Boyd, *Proximal Algorithms*, 2014, §6.5.
    """
    check_weight(t)
    check_between("l1_ratio", l1_ratio, 0, 1, inclusive=True)

    def shrink(x, t, ratio):
        return divide(soft_threshold(x, weighted(t, ratio)), 1 + weighted(t, 1 - ratio))

    return elementwise(shrink, tree, t, l1_ratio)


def sparse_group(
    tree: Tree,
    t: chex.Numeric,
    l1_ratio: chex.Numeric = 0.5,
    *,
    axis_name: AxisName | None = None,
) -> Tree:
    """Soft thresholding of entries, then of the norm: the prox of R(x) = ρ‖x‖₁ + (1 − ρ)‖x‖₂.

    prox(x) = max(1 − t(1 − ρ)/‖s‖₂, 0) · s with sᵢ = sign(xᵢ) · max(|xᵢ| − tρ, 0). The norm is over
    the whole tree; `per_leaf` or `per_output_channel` turn it into the sparse group lasso.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Scalar ≥ 0, in the units of the parameters.
      l1_ratio: Share ρ of ℓ1, in [0, 1]; 1 is `l1`, 0 is `l2`.
      axis_name: Mapped axis or axes along which the leaves are divided, for an operator that sees
        one device's part (``shard_map``, ``pmap``); see `adamprox.prox`. Not for ``jit``.

    Returns:
      Pytree like ``tree``; entries with |xᵢ| ≤ tρ are exactly zero, all entries if ‖s‖₂ ≤ t(1 − ρ).

    Raises:
      ValueError: ``l1_ratio`` is a number outside [0, 1], or ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(sparse_group(jnp.array([-4.0, 0.5, 5.0]), 2.0))
      [-2.4  0.   3.2]

    Source: Simon, Friedman, Hastie and Tibshirani, *A Sparse-Group Lasso*, 2013.
    """
    check_weight(t)
    check_between("l1_ratio", l1_ratio, 0, 1, inclusive=True)
    wide = jax.tree.map(widen, tree)
    soft = l1(wide, weighted(t, l1_ratio))
    return cast_like(l2(soft, weighted(t, 1 - l1_ratio), axis_name=axis_name), tree)


def huber(tree: Tree, t: chex.Numeric, delta: chex.Numeric = 1.0) -> Tree:
    """Shrinkage of small entries, a constant step for large entries: the prox of Huber's function.

    R(x) = Σᵢ h(xᵢ), h(r) = ½r² where |r| ≤ δ and δ(|r| − δ/2) beyond. prox(x)ᵢ = xᵢ/(1 + t) where
    |xᵢ| ≤ δ(1 + t), and xᵢ − tδ sign(xᵢ) beyond.

    Args:
      tree: Pytree of real or complex arrays, any shapes; a complex entry keeps its phase.
      t: Scalar ≥ 0, dimensionless.
      delta: Finite δ > 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``.

    Raises:
      ValueError: ``delta`` is a number outside (0, ∞), or ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(huber(jnp.array([-5.0, 1.0, 2.0]), 1.0))
      [-4.   0.5  1. ]

    Source: Beck, *First-Order Methods in Optimization*, 2017, §6.7 (Huber as a Moreau envelope).
    """
    check_weight(t)
    check_between("delta", delta, 0, float("inf"), inclusive=False)

    def shrink(x, t, delta):
        small = jnp.abs(x) <= delta * (1 + t)
        return jnp.where(small, divide(x, 1 + t), soft_threshold(x, t * delta))

    return elementwise(shrink, tree, t, delta)
