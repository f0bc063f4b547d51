"""Helpers for arrays that are divided over several devices."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
from jax.sharding import NamedSharding, PartitionSpec

AxisName = str | tuple[str, ...]
_P = ParamSpec("_P")
_T = TypeVar("_T")


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


def gathered(tree: Any) -> Any:
    """Return ``tree`` with every array whole on each device, where explicit axes divide it.

    Args:
      tree: Pytree of arrays and anything else.

    Returns:
      The same values.

    Example:
      >>> import jax.numpy as jnp
      >>> gathered((3, jnp.ones(2)))
      (3, Array([1., 1.], dtype=float32))
    """

    def on_leaf(x):
        if not isinstance(x, jax.Array) or not has_explicit_axes(x):
            return x
        return jax.sharding.reshard(x, NamedSharding(jax.typeof(x).sharding.mesh, PartitionSpec()))

    return jax.tree.map(on_leaf, tree)


def on_whole_arrays(operator: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let an operator see whole arrays where explicit axes divide them.

    With explicit axes JAX refuses to sort a divided array or to take its singular values. With
    automatic axes the compiler gathers what it must, and nothing is done here.

    Args:
      operator: ``(tree, …) -> tree``; the result has the structure and the shapes of ``tree``.

    Returns:
      The same function; its result is divided as ``tree`` is.

    Example:
      >>> import jax.numpy as jnp
      >>> print(on_whole_arrays(jnp.sort)(jnp.array([2.0, 1.0])))
      [1. 2.]
    """

    @functools.wraps(operator)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        tree = args[0] if args else kwargs.get("tree")  # an error of Python names a missing one
        leaves = [x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array)]
        if not any(map(has_explicit_axes, leaves)):
            return operator(*args, **kwargs)
        args, kwargs = gathered((args, kwargs))
        return jax.tree.map(_divided_like, operator(*args, **kwargs), tree)

    return wrapped


def _divided_like(x, reference):
    if not isinstance(reference, jax.Array) or not has_explicit_axes(reference):
        return x
    return jax.sharding.reshard(x, jax.typeof(reference).sharding)
