"""Save parameters and optimizer state with Orbax, restore them, and continue with the same bits.

The states of adamprox are NamedTuples of arrays, as those of Optax. ``jax.eval_shape`` gives the
structure to restore into, without computing anything.
"""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp

import adamprox

TX = adamprox.adamprox_l1(1e-2, eps=0.0, weight_decay=3e-3)


def start():
    """Return the parameters and the state before the first step."""
    params = {"kernel": jnp.ones((8, 4)), "bias": jnp.zeros(4)}
    return params, TX.init(params)


@jax.jit
def step(params, state):
    """Take one step of a regression."""
    x = jax.random.normal(jax.random.key(0), (32, 8))
    loss = lambda p: jnp.mean((x @ p["kernel"] + p["bias"] - x[:, :4]) ** 2)  # noqa: E731
    updates, state = TX.update(jax.grad(loss)(params), state, params)
    return optax.apply_updates(params, updates), state


def main():
    """Interrupt a run of 20 steps after 10; return True if the result has the same bits."""
    straight = start()
    for _ in range(20):
        straight = step(*straight)
    carry = start()
    for _ in range(10):
        carry = step(*carry)
    with tempfile.TemporaryDirectory() as folder, ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(Path(folder) / "step_10", carry)
        checkpointer.wait_until_finished()
        carry = checkpointer.restore(Path(folder) / "step_10", jax.eval_shape(start))
    for _ in range(10):
        carry = step(*carry)
    equal = jax.tree.map(lambda a, b: bool((a == b).all()), carry, straight)
    print("the same bits:", same := all(jax.tree.leaves(equal)))
    return same


if __name__ == "__main__":
    main()
