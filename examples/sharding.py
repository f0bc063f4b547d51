"""Train on two devices: with sharded data, with sharded parameters, and with pmap.

Under ``jit`` the norm of `adamprox_l2` is that of the whole tree, on any number of devices. Under
``pmap`` every device has a copy of the parameters, and `step` averages the gradients.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

import adamprox

TX = adamprox.adamprox_l2(1e-2, weight_decay=1e-2)


def step(params, state, x, axis_name=None):
    """Take one step of a regression; average gradients over ``axis_name`` if there is one."""
    grads = jax.grad(lambda p: jnp.mean((x @ p["kernel"] - x[:, :4]) ** 2))(params)
    if axis_name is not None:
        grads = jax.lax.pmean(grads, axis_name)
    updates, state = TX.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def run(step, params, state, x):
    """Return the kernel after 20 steps."""
    for _ in range(20):
        params, state = step(params, state, x)
    return params["kernel"]


def main():
    """Train in four ways and compare the results."""
    jax.config.update("jax_num_cpu_devices", 2)  # only to try this on a machine with one CPU
    x = jax.random.normal(jax.random.key(0), (64, 8))
    params = {"kernel": jnp.ones((8, 4))}
    start, jitted = (params, TX.init(params)), jax.jit(step)
    mesh = jax.make_mesh((2,), ("data",))
    rows, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    split = {"kernel": jax.device_put(params["kernel"], rows)}
    copies = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), start)
    kernels = {
        "one device": run(jitted, *start, x),
        "data": run(jitted, *jax.device_put(start, whole), jax.device_put(x, rows)),
        "parameters": run(jitted, split, TX.init(split), jax.device_put(x, whole)),
        "pmap": run(jax.pmap(lambda *a: step(*a, "data"), "data"), *copies, x.reshape(2, 32, 8))[0],
    }
    for name, kernel in kernels.items():
        np.testing.assert_allclose(kernel, kernels["one device"], atol=1e-6)
        print(f"{name}: result on {len(kernel.sharding.device_set)} device(s)")


if __name__ == "__main__":
    main()
