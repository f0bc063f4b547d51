"""Run in a process with several devices: sharded parameters give the iterates of one device."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

import adamprox

MESH = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


def iterates(name, sharding):
    tx = getattr(adamprox, name)(1e-2, eps=0.0, weight_decay=1e-2)
    x = jax.device_put({"w": jnp.linspace(-1, 1, 64).reshape(16, 4)}, sharding)
    state = jax.jit(tx.init)(x)

    @jax.jit
    def step(x, state, scale):
        gradient = jax.tree.map(lambda w: jnp.sin(w * scale), x)
        updates, state = tx.update(gradient, state, x)
        return optax.apply_updates(x, updates), state

    for k in range(5):
        x, state = step(x, state, 1.0 + k)
    if sharding is not None:
        assert x["w"].sharding.is_equivalent_to(sharding, 2), x["w"].sharding
    return np.asarray(x["w"])


if __name__ == "__main__":
    assert len(jax.devices()) > 1
    for name in ("adam_l2", "adamw", "adamprox", "adamprox_l2", "adamprox_l1"):
        one = iterates(name, None)
        many = iterates(name, NamedSharding(MESH, PartitionSpec("data")))
        np.testing.assert_allclose(many, one, rtol=0, atol=1e-6)
