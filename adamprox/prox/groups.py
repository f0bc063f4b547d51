"""Combinators that divide a tree into groups, and weight each group.

A group is the argument of one call of the operator. Combinators nest; read them from the outside
in: ``by_path(re.compile("kernel").search, per_output_channel(size_weighted(l2)))``.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from adamprox.axes import AxisName
from adamprox.prox._arithmetic import Prox, check_operator, divided_along, filled


def per_leaf(prox: Prox) -> Prox:
    """Turn an operator on a tree into one that treats every leaf as a separate group.

    prox_{tR}(x) = (prox_{tR₀}(x₁), …, prox_{tR₀}(x_k)) for R(x) = Σⱼ R₀(xⱼ), one term per leaf.

    Args:
      prox: Operator with the signature of this module.

    Returns:
      An operator with the same signature.

    Example:
      >>> import jax.numpy as jnp
      >>> from adamprox.prox import l2
      >>> tree = {"small": jnp.array([0.3, 0.4]), "large": jnp.array([3.0, 4.0])}
      >>> print(per_leaf(l2)(tree, 1.0)["small"])
      [0. 0.]

    Source: Parikh and Boyd, *Proximal Algorithms*, 2014, §2.1 (separable sum).
    """
    check_operator(prox)
    return lambda tree, t: jax.tree.map(lambda leaf: prox(leaf, t), tree)


def per_output_channel(prox: Prox, *, axis: int = -1) -> Prox:
    """Turn an operator on a tree into one that treats every output channel as a group.

    prox_{tR}(X)[…, j] = prox_{tR₀}(X[…, j]) for R(X) = Σⱼ R₀(X[…, j]), one term per channel.

    By default the channel is the last axis, as in Flax kernels (``[in, out]``, ``[height, width,
    in, out]``). Set ``axis=0`` for kernels of Equinox or PyTorch (``[out, in]``, ``[out, in,
    height, width]``). Every entry of a vector is a channel; a scalar is one group.

    Args:
      prox: Operator with the signature of this module.
      axis: Axis of the channels in every leaf that is not a scalar.

    Returns:
      An operator with the same signature. It raises ValueError for a leaf without this axis.

    Example:
      >>> import jax.numpy as jnp
      >>> from adamprox.prox import l2
      >>> print(per_output_channel(l2)(jnp.array([[3.0, 0.3], [4.0, 0.4]]), 1.0))
      [[2.4 0. ]
       [3.2 0. ]]
      >>> print(per_output_channel(l2, axis=0)(jnp.array([[3.0, 4.0], [0.3, 0.4]]), 1.0))
      [[2.4 3.2]
       [0.  0. ]]

    Source: group lasso, Yuan and Lin, 2006, with channels as groups.
    """
    check_operator(prox)

    def on_leaf(leaf, t):
        leaf = jnp.asarray(leaf)
        if leaf.ndim == 0:
            return prox(leaf, t)
        if not -leaf.ndim <= axis < leaf.ndim:
            raise ValueError(f"a leaf of shape {leaf.shape} has no axis {axis}")
        return jax.vmap(lambda channel: prox(channel, t), in_axes=axis, out_axes=axis)(leaf)

    return lambda tree, t: jax.tree.map(lambda leaf: on_leaf(leaf, t), tree)


def by_path(predicate: Callable[[str], object], prox: Prox) -> Prox:
    """Restrict an operator to the leaves on some paths, which form one group.

    prox_{tR}(x) = (prox_{tR₀}(x_S), x_rest) for R(x) = R₀(x_S), where S are the leaves whose path
    the predicate accepts.

    Args:
      predicate: Function from the path of a leaf to a true or false value. A path has the keys
        joined by "/", such as ``"params/Dense_0/kernel"``; it is ``""`` for a tree that is one
        array. The function runs during tracing. If it accepts no path, nothing changes.
      prox: Operator with the signature of this module; the other leaves are None in its argument.

    Returns:
      An operator with the same signature; the other leaves do not change.

    Raises:
      TypeError: ``predicate`` or ``prox`` is not callable.

    Example:
      >>> import jax.numpy as jnp
      >>> from adamprox.prox import l1
      >>> tree = {"bias": jnp.array([0.5, 3.0]), "kernel": jnp.array([0.5, 3.0])}
      >>> out = by_path(lambda path: path.endswith("kernel"), l1)(tree, 1.0)
      >>> print(out["bias"], out["kernel"])
      [0.5 3. ] [0. 2.]

    Source: Parikh and Boyd, *Proximal Algorithms*, 2014, §2.1 (separable sum).
    """
    if not callable(predicate):
        raise TypeError(f"predicate must be a callable of a path, got {predicate!r}")
    check_operator(prox)

    def selected(path, leaf):
        accepted = predicate(jax.tree_util.keystr(path, simple=True, separator="/"))
        return leaf if accepted else None

    def on_tree(tree, t):
        group = prox(jax.tree_util.tree_map_with_path(selected, tree), t)
        return filled(group, tree)

    return on_tree


def size_weighted(prox: Prox, *, axis_name: AxisName | None = None) -> Prox:
    """Multiply the weight of a group by the square root of its size, as the group lasso does.

    prox_{tR}(x) = prox_{t√n R₀}(x) for R(x) = √n · R₀(x), where n is the number of entries (a
    complex entry counts once). Place it *inside* the combinator that makes the groups:
    ``per_leaf(size_weighted(l2))``.

    Args:
      prox: Operator with the signature of this module.
      axis_name: Mapped axis or axes along which the leaves are divided, for an operator that sees
        one device's part (``shard_map``, ``pmap``); see `adamprox.prox`. Not for ``jit``.

    Returns:
      An operator with the same signature.

    Example:
      >>> import jax.numpy as jnp
      >>> from adamprox.prox import l2
      >>> tree = {"one": jnp.array([5.0]), "four": jnp.full((2, 2), 2.5)}
      >>> out = per_leaf(size_weighted(l2))(tree, 1.0)
      >>> print(out["one"], out["four"][0])
      [4.] [1.5 1.5]

    Source: Yuan and Lin, *Model Selection and Estimation with Grouped Variables*, 2006.
    """
    check_operator(prox)

    def on_tree(tree, t):
        groups = divided_along([jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)], axis_name)
        size = sum(
            leaf.size * math.prod(jax.lax.axis_size(a) for a in axes)
            for axes, leaves in groups.items()
            for leaf in leaves
        )
        return prox(tree, t * math.sqrt(size))

    return on_tree
