"""Proximal operators: pure functions from a pytree to a pytree of the same structure.

Every operator has the signature ``prox(tree, t)`` and computes, for its regularizer R,

    prox_{tR}(x) = argmin_z  ½‖z − x‖² + t R(z),        t ≥ 0.

``t`` may be a Python float or a traced scalar. Leaves keep their dtype; half-precision leaves are
computed in float32. ``None`` leaves are skipped, as everywhere in Optax.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import chex
import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")  # a pytree of arrays; every operator returns one of the same structure
Prox = Callable[[Any, chex.Numeric], Any]


def _elementwise(shrink: Callable[[jax.Array, jax.Array], jax.Array], tree, t):
    """Apply ``shrink(x, t)`` to every leaf at no less than float32, and cast back."""

    def on_leaf(leaf):
        leaf = jnp.asarray(leaf)
        wide = leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))
        return shrink(wide, jnp.asarray(t, jnp.finfo(wide.dtype).dtype)).astype(leaf.dtype)

    return jax.tree.map(on_leaf, tree)


def _soft_threshold(x, t):
    if jnp.iscomplexobj(x):
        return x * _keep_fraction(jnp.abs(x), t)
    # x − clip(x, −t, t) is an exact zero inside the dead zone and exact at t = 0.
    return x - jnp.clip(x, -t, t)


def _keep_fraction(norm, t):
    """max(1 − t/norm, 0), with value and derivative 0 where norm ≤ t."""
    alive = norm > t
    return jnp.where(alive, 1 - t / jnp.where(alive, norm, 1), 0)


def _squared_magnitude(x):
    return jnp.real(x) ** 2 + jnp.imag(x) ** 2 if jnp.iscomplexobj(x) else x**2


def _scaled_norm(leaves, dtype):
    """Scalars (s, r) with ‖leaves‖₂ = s · r, 1 ≤ r ≤ √n, so that no square leaves the range.

    s is the largest magnitude (1 at zero, where r = 0). It only guards the range and the norm does
    not depend on it, so no gradient flows through it; that of r is 0, not NaN, at zero.
    """
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(x), initial=0).astype(dtype) for x in leaves]))
    scale = jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1))
    total = sum(jnp.sum(_squared_magnitude(x.astype(_like(x, dtype)) / scale)) for x in leaves)
    positive = total > 0
    return scale, jnp.where(positive, jnp.sqrt(jnp.where(positive, total, 1)), 0)


def _like(x, dtype):
    """The real or complex counterpart of the real ``dtype``, as ``x`` is real or complex."""
    return jnp.promote_types(dtype, jnp.complex64) if jnp.iscomplexobj(x) else dtype


def l1(tree: Tree, t: chex.Numeric) -> Tree:
    """Soft thresholding, the prox of R(x) = ‖x‖₁.

    prox(x)ᵢ = sign(xᵢ) · max(|xᵢ| − t, 0); a complex entry keeps its phase.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Scalar ≥ 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``; entries with |xᵢ| ≤ t are exactly zero.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l1(jnp.array([-3.0, 0.5, 2.0]), 1.0))
      [-2.  0.  1.]

    Source: §5 of the paper; Parikh and Boyd, *Proximal Algorithms*, 2014, §6.5.2.
    """
    return _elementwise(_soft_threshold, tree, t)


def l2(tree: Tree, t: chex.Numeric) -> Tree:
    """Block soft thresholding, the prox of the unsquared R(x) = ‖x‖₂ over the *whole* tree.

    prox(x) = max(1 − t/‖x‖₂, 0) · x. Use `per_leaf` or `per_output_channel` for smaller groups.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Scalar ≥ 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``; all of it exactly zero when ‖x‖₂ ≤ t. At x = 0 the value is 0 and the
      gradient finite.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l2({"a": jnp.array(3.0), "b": jnp.array(4.0)}, 1.0)["b"])
      3.2

    Source: §5 of the paper, AdamProxL2.
    """
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    if not leaves:
        return tree
    dtype = jnp.promote_types(
        jnp.result_type(*(jnp.finfo(x.dtype).dtype for x in leaves)), "float32"
    )
    scale, relative_norm = _scaled_norm(leaves, dtype)
    keep = _keep_fraction(relative_norm, jnp.asarray(t, dtype) / scale)
    return _elementwise(lambda x, k: x * k, tree, keep)


def squared_l2(tree: Tree, t: chex.Numeric) -> Tree:
    """Shrinkage, the prox of R(x) = ½‖x‖₂²; the ½ is inside.

    prox(x) = x / (1 + t).

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Scalar ≥ 0, dimensionless.

    Returns:
      Pytree like ``tree``.

    Example:
      >>> import jax.numpy as jnp
      >>> print(squared_l2(jnp.array([2.0, -4.0]), 1.0))
      [ 1. -2.]

    Source: eq. (5) of the paper, AdamProx.
    """
    return _elementwise(lambda x, t: x / (1 + t), tree, t)


def per_leaf(prox: Prox) -> Prox:
    """Turn an operator on a tree into one that treats every leaf as a group of its own.

    prox_{tR}(x) = (prox_{tR₀}(x₁), …, prox_{tR₀}(x_k)) for R(x) = Σⱼ R₀(xⱼ), one term a leaf.

    Args:
      prox: An operator with the signature of this module.

    Returns:
      An operator with the same signature.

    Example:
      >>> import jax.numpy as jnp
      >>> tree = {"small": jnp.array([0.3, 0.4]), "large": jnp.array([3.0, 4.0])}
      >>> print(per_leaf(l2)(tree, 1.0)["small"])
      [0. 0.]

    Source: Parikh and Boyd, *Proximal Algorithms*, 2014, §2.1 (separable sum).
    """
    return lambda tree, t: jax.tree.map(lambda leaf: prox(leaf, t), tree)


def per_output_channel(prox: Prox) -> Prox:
    """Turn an operator on a tree into one that treats every output channel as a group.

    The channel is the last axis, as in Flax kernels (``[in, out]``, ``[height, width, in, out]``).
    A vector has one entry a channel, a scalar is one group.

    Args:
      prox: An operator with the signature of this module.

    Returns:
      An operator with the same signature.

    Example:
      >>> import jax.numpy as jnp
      >>> print(per_output_channel(l2)(jnp.array([[3.0, 0.3], [4.0, 0.4]]), 1.0))
      [[2.4 0. ]
       [3.2 0. ]]

    Source: group lasso, Yuan and Lin, 2006, with channels as groups.
    """

    def on_leaf(leaf, t):
        leaf = jnp.asarray(leaf)
        if leaf.ndim == 0:
            return prox(leaf, t)
        return jax.vmap(lambda channel: prox(channel, t), in_axes=-1, out_axes=-1)(leaf)

    return lambda tree, t: jax.tree.map(lambda leaf: on_leaf(leaf, t), tree)
