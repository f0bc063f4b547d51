"""Cost of a jitted step of each optimizer over ``optax.adamw``, on the leaves of ResNet-110.

Command: python -m benchmarks.optimizer_step [--rounds N]
Cost: about two minutes. Prints a table; the bar is 1.1 for the element-wise optimizers.

In every round each optimizer takes a short burst of steps in turn, in a new order every time, so
that what slows the machine slows them all. The ratio to the rival is taken within each round; shown
are its median over rounds and the quartiles.
"""

import argparse
import random
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


def measure(rounds: int, burst: int = 5) -> dict[str, list[float]]:
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
        for name in random.Random(round_number).sample(list(running), len(running)):
            step, params, state = running[name]
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
    parser.add_argument("--rounds", type=int, default=80)
    seconds = measure(parser.parse_args().rounds)
    table = Table("optimizer", "ms a step", "over optax.adamw", "quartiles")
    for name, values in seconds.items():
        ratios = [mine / rival for mine, rival in zip(values, seconds[RIVAL], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        milliseconds = f"{1e3 * statistics.median(values):.2f}"
        table.add_row(name, milliseconds, f"{middle:.2f}", f"{low:.2f} to {high:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
