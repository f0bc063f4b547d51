"""Cost of a jitted step of each optimizer over ``optax.adamw``, on the leaves of ResNet-110.

Command: python -m benchmarks.optimizer_step [--rounds N]
Cost: about two minutes. Prints a table; the bar is 1.1 for the element-wise optimizers.

In every round each optimizer takes a burst of steps in turn, so that what slows the machine slows
them all; the ratio is that of the medians over rounds.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import optax
from rich.console import Console
from rich.table import Table

import adamprox
from adamprox.models import ResNet

RIVAL = "optax.adamw"
OPTIMIZERS = {
    RIVAL: optax.adamw(1e-3, weight_decay=0.1),
    "adam_l2": adamprox.adam_l2(1e-3),
    "adamw": adamprox.adamw(1e-3),
    "adamprox": adamprox.adamprox(1e-3),
    "adamprox_l1": adamprox.adamprox_l1(1e-3),
    "adamprox_l2": adamprox.adamprox_l2(1e-3),
    "adamw, eps=0": adamprox.adamw(1e-3, eps=0.0),
}


def make_step(tx):
    """A jitted step that owns its buffers, as a training loop has it."""

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(step, donate_argnums=(0, 1))


def measure(rounds: int, burst: int = 20) -> dict[str, list[float]]:
    """Seconds a step, one entry a round."""
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    model = ResNet(110, batch_norm=False)
    shapes = jax.eval_shape(lambda i: model.init(jax.random.key(0), i, train=False), images)[
        "params"
    ]
    grads = jax.tree.map(lambda s: jnp.full(s.shape, 1e-2), shapes)
    running = {}
    for name, tx in OPTIMIZERS.items():
        params = jax.tree.map(lambda s: jnp.full(s.shape, 0.1), shapes)
        running[name] = [make_step(tx), params, tx.init(params)]
    seconds: dict[str, list[float]] = {name: [] for name in OPTIMIZERS}
    for round_number in range(rounds + 1):
        for name, (step, params, state) in running.items():
            start = time.perf_counter()
            for _ in range(burst):
                params, state = step(params, state, grads)
            jax.block_until_ready(params)
            if round_number:  # the first round compiles
                seconds[name].append((time.perf_counter() - start) / burst)
            running[name][1:] = [params, state]
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    seconds = measure(parser.parse_args().rounds)
    rival = statistics.median(seconds[RIVAL])
    table = Table("optimizer", "ms a step", "over optax.adamw")
    for name, values in seconds.items():
        median = statistics.median(values)
        table.add_row(name, f"{1e3 * median:.2f}", f"{median / rival:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
