"""Placement of arrays on the devices of a mesh; without a mesh nothing moves."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

BATCH, RUNS = "batch", "runs"


def batch_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Return a mesh that divides the examples of a batch.

    Args:
      devices: Devices of the mesh; None means all devices of all processes.

    Returns:
      A one-dimensional mesh with axis ``batch``.
    """
    return Mesh(np.asarray(devices or jax.devices()), (BATCH,))


def run_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Return a mesh with axis ``runs`` that divides runs; otherwise as `batch_mesh`."""
    return Mesh(np.asarray(devices or jax.devices()), (RUNS,))


def replicate(tree: Any, mesh: Mesh | None) -> Any:
    """Copy ``tree`` to every device of ``mesh``; all processes must pass the same values."""
    if mesh is None:
        return tree
    # Copy through the host: a process cannot place its device array on devices of another process.
    return jax.device_put(jax.device_get(tree), NamedSharding(mesh, P()))


def batch_sharder(mesh: Mesh | None) -> Callable[[jax.Array], jax.Array]:
    """Return a function that divides axis 0 of an array over ``mesh`` in a compiled function.

    If the number of devices does not divide the length, as for the last batch of an epoch, the
    compiler chooses the placement.
    """
    if mesh is None or BATCH not in mesh.axis_names:
        return lambda x: x
    sharding = NamedSharding(mesh, P(BATCH))

    def shard(x):
        divides = x.shape[0] % mesh.size == 0
        return jax.lax.with_sharding_constraint(x, sharding) if divides else x

    return shard
