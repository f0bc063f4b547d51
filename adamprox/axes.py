"""Questions to the type of an array about the devices over which it is divided."""

from typing import Any

import jax

AxisName = str | tuple[str, ...]


def varying_axes(tree: Any) -> frozenset[str]:
    """Names of the manual mesh axes along which some leaf differs from device to device.

    Types have these names inside ``shard_map(check_vma=True)``; elsewhere the set is empty.

    Args:
      tree: Pytree of arrays.

    Returns:
      Axis names.

    Example:
      >>> import jax.numpy as jnp
      >>> sorted(varying_axes({"a": jnp.ones(3)}))
      []
    """
    found: frozenset[str] = frozenset()
    for leaf in jax.tree.leaves(tree):
        kind = jax.typeof(leaf)
        # JAX 0.10 moved ``vma`` into a type of its own.
        held = getattr(kind, "manual_axis_type", None)
        found |= kind.vma if held is None else held.varying
    return found


def vary_like(tree: Any, reference: Any) -> Any:
    """Return ``tree``, typed as varying along every axis along which ``reference`` varies.

    Args:
      tree: Pytree of arrays.
      reference: Pytree of arrays.

    Returns:
      The same values.

    Example:
      >>> import jax.numpy as jnp
      >>> print(vary_like(jnp.ones(2), jnp.ones(3)))
      [1. 1.]
    """
    axes = varying_axes(reference)

    def on_leaf(x):
        missing = tuple(sorted(axes - varying_axes(x)))
        return jax.lax.pcast(x, missing, to="varying") if missing else x

    return jax.tree.map(on_leaf, tree) if axes else tree


def has_explicit_axes(x: jax.Array) -> bool:
    """Return True if the sharding of ``x`` is part of its type, on an axis of type ``Explicit``.

    Args:
      x: An array.

    Returns:
      A plain bool, known while tracing.

    Example:
      >>> import jax.numpy as jnp
      >>> has_explicit_axes(jnp.ones(3))
      False
    """
    return bool(jax.typeof(x).sharding.mesh.explicit_axes)
