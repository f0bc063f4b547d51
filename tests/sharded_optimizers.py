"""Run in a process with several devices: every way to spread parameters gives one device's iterates.

Automatic sharding works for all optimizers; under ``shard_map`` a transform sees its shard alone, so
the norm of `adamprox_l2` would be that of the shard: it is left out there, as documented.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

import adamprox

DEVICES = len(jax.devices())
MESH = jax.make_mesh((DEVICES,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
SHARDED = NamedSharding(MESH, PartitionSpec("data"))
OPTIMIZERS = ("adam_l2", "adamw", "adamprox", "adamprox_l2", "adamprox_l1")
START = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)
STEPS = 5


def make(name):
    return getattr(adamprox, name)(1e-2, eps=0.0, weight_decay=1e-2)


def descend(tx, w):
    """A few steps on a function that is a sum over coordinates."""

    def step(carry, k):
        w, state = carry
        updates, state = tx.update(jnp.sin(w * k), state, w)
        return (optax.apply_updates(w, updates), state), None

    ks = jnp.arange(1.0, STEPS + 1)
    return jax.lax.scan(step, (w, tx.init(w)), ks)[0][0]


def automatic(name):
    start = jax.device_put(START, SHARDED)
    out = jax.jit(lambda w: descend(make(name), w))(start)
    assert out.sharding.is_equivalent_to(SHARDED, 2), out.sharding
    return np.asarray(out)


def by_shard_map(name):
    spec = PartitionSpec("data")
    body = jax.shard_map(
        lambda w: descend(make(name), w), mesh=MESH, in_specs=spec, out_specs=spec, check_vma=False
    )
    return np.asarray(jax.jit(body)(START))


def by_pmap(name):
    copies = np.broadcast_to(START, (DEVICES, *START.shape))
    out = np.asarray(jax.pmap(lambda w: descend(make(name), w))(copies))
    assert all(np.array_equal(copy, out[0]) for copy in out)
    return out[0]


if __name__ == "__main__":
    assert DEVICES == 8
    for name in OPTIMIZERS:
        one = np.asarray(jax.jit(lambda w, name=name: descend(make(name), w))(jnp.asarray(START)))
        assert np.abs(one - START).max() > 0.01
        ways = [automatic, by_pmap] + ([by_shard_map] if name != "adamprox_l2" else [])
        for way in ways:
            np.testing.assert_allclose(way(name), one, rtol=0, atol=1e-6, err_msg=f"{name} {way}")
