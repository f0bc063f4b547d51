"""Cost of a jitted step of each optimizer over ``optax.adamw``, on the leaves of ResNet-110.

Command: python -m benchmarks.optimizer_step [--rounds N]
Cost: about two minutes. Prints a table; the bars are 1.05 for the element-wise optimizers and 1.6 for ℓ2. Where PyTorch
is installed its AdamW runs too, fused and as a loop over tensors. "Bytes" are those of XLA's cost
analysis per parameter; reading x, g, m, v and writing x, m, v once in float32 is 28.

In every round each optimizer takes a short burst of steps in turn, in a new order every time, so
that what slows the machine slows them all. The ratio to the rival is taken within each round; shown
are its median over rounds and the quartiles.
"""

import argparse
import importlib
import importlib.util
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


def leaves() -> dict:
    """The parameters of ResNet-110 without BatchNorm, as shapes."""
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    model = ResNet(110, batch_norm=False)
    return jax.eval_shape(lambda i: model.init(jax.random.key(0), i, train=False), images)["params"]


class JaxRival:
    """One optimizer of `OPTIMIZERS` with its state."""

    def __init__(self, tx, shapes):
        self.grads = jax.tree.map(lambda s: jnp.full(s.shape, 1e-2), shapes)
        self.params = jax.tree.map(lambda s: jnp.full(s.shape, 0.1), shapes)
        self.state = tx.init(self.params)
        self.step = make_step(tx).lower(self.params, self.state, self.grads).compile()
        size = sum(leaf.size for leaf in jax.tree.leaves(shapes))
        moved = (self.step.cost_analysis() or {}).get("bytes accessed", float("nan"))
        self.bytes = f"{moved / size:.0f}"

    def run(self, burst: int) -> None:
        for _ in range(burst):
            self.params, self.state = self.step(self.params, self.state, self.grads)
        jax.block_until_ready(self.params)


class TorchRival:
    """``torch.optim.AdamW`` on tensors of the same shapes."""

    bytes = "–"

    def __init__(self, torch, shapes, **options):
        tensors = [torch.full(s.shape, 0.1, requires_grad=True) for s in jax.tree.leaves(shapes)]
        for tensor in tensors:
            tensor.grad = torch.full_like(tensor, 1e-2)
        self.optimizer = torch.optim.AdamW(tensors, 1e-3, weight_decay=0.1, **options)

    def run(self, burst: int) -> None:
        for _ in range(burst):
            self.optimizer.step()


def make_rivals() -> dict:
    """Everything to be measured, by name."""
    shapes = leaves()
    rivals: dict = {name: JaxRival(tx, shapes) for name, tx in OPTIMIZERS.items()}
    if importlib.util.find_spec("torch"):
        torch = importlib.import_module("torch")
        rivals["torch AdamW, fused"] = TorchRival(torch, shapes, fused=True)
        rivals["torch AdamW, loop"] = TorchRival(torch, shapes, foreach=False)
    return rivals


def measure(rivals: dict, rounds: int, burst: int = 5) -> dict[str, list[float]]:
    """Seconds a step, one entry a round; a first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for round_number in range(rounds + 1):
        for name in random.Random(round_number).sample(list(rivals), len(rivals)):
            start = time.perf_counter()
            rivals[name].run(burst)
            if round_number:
                seconds[name].append((time.perf_counter() - start) / burst)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=80)
    rivals = make_rivals()
    seconds = measure(rivals, parser.parse_args().rounds)
    table = Table("optimizer", "ms a step", "over optax.adamw", "quartiles", "bytes a parameter")
    for name, values in seconds.items():
        ratios = [mine / rival for mine, rival in zip(values, seconds[RIVAL], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        milliseconds = f"{1e3 * statistics.median(values):.2f}"
        table.add_row(
            name, milliseconds, f"{middle:.2f}", f"{low:.2f} to {high:.2f}", rivals[name].bytes
        )
    Console().print(table)


if __name__ == "__main__":
    main()
