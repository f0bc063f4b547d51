"""Placing arrays on the devices of a mesh; with no mesh, everything stays where it is."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

BATCH, RUNS = "batch", "runs"


def batch_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh over which the examples of a batch are divided.

    Args:
      devices: Which devices, all processes' by default.

    Returns:
      A one-dimensional mesh with axis ``batch``.
    """
    return Mesh(np.asarray(devices or jax.devices()), (BATCH,))


def run_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Return a mesh over which runs are divided; as `batch_mesh`, with axis ``runs``."""
    return Mesh(np.asarray(devices or jax.devices()), (RUNS,))


def replicate(tree: Any, mesh: Mesh | None) -> Any:
    """``tree`` on every device of ``mesh``, or as it is; all processes must have the same one."""
    if mesh is None:
        return tree
    # By way of the host: one process cannot place its array on the devices of another.
    return jax.device_put(jax.device_get(tree), NamedSharding(mesh, P()))


def batch_sharder(mesh: Mesh | None) -> Callable[[jax.Array], jax.Array]:
    """What divides axis 0 of an array over ``mesh`` inside a compiled function.

    An array whose length the number of devices does not divide, the last batch of an epoch say, is
    left to the compiler.
    """
    if mesh is None or BATCH not in mesh.axis_names:
        return lambda x: x
    sharding = NamedSharding(mesh, P(BATCH))

    def shard(x):
        divides = x.shape[0] % mesh.size == 0
        return jax.lax.with_sharding_constraint(x, sharding) if divides else x

    return shard
