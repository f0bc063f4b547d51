"""Cost of a jitted step of each optimizer relative to ``optax.adamw``, on the leaves of ResNet-110.

Command: python -m benchmarks.optimizer_step [--flat] [--rounds N]
Cost: about two minutes. The program prints a table. With --flat all parameters are one vector. The
criteria are ratios of at most 1.1 for the element-wise optimizers, 1.05 for Adam-ℓ2 and, with
--flat, 1.6 for ℓ2; docs/decisions.md says what was reached. If PyTorch is installed, its AdamW runs too, fused and as a
loop over tensors. "Bytes" are from XLA's cost analysis, per parameter; reading x, g, m, v and
writing x, m, v once in float32 is 28.

In every round each optimizer takes a short burst of steps, in random order, because changes of the
machine's speed must affect all optimizers equally. The program computes the ratio to the baseline
within each round, and prints its median and quartiles over rounds.
"""

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
from adamprox.command_line import Parser
from adamprox.models import ResNet

BASELINE = "optax.adamw"
DIRECTION = adamprox.adam_direction(1e-3)
OPTIMIZERS = {
    BASELINE: optax.adamw(1e-3, weight_decay=0.1),
    "adam_l2": adamprox.adam_l2(1e-3),
    "adamw": adamprox.adamw(1e-3),
    "adamprox": adamprox.adamprox(1e-3),
    "adamprox_l1": adamprox.adamprox_l1(1e-3),
    "adamprox_l2": adamprox.adamprox_l2(1e-3),
    "adamw, eps=0": adamprox.adamw(1e-3, eps=0.0),
    "cautious_decay": optax.chain(DIRECTION, adamprox.cautious_decay(1e-4)),
    "corrected_decay": optax.chain(DIRECTION, adamprox.corrected_decay(1e-4)),
    "huber_decay": optax.chain(DIRECTION, adamprox.huber_decay(1e-4)),
    "decay_to_init": optax.chain(DIRECTION, adamprox.decay_to_init(1e-4)),
}


def make_step(tx):
    """Return a jitted step that donates its buffers, as in a training loop."""

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(step, donate_argnums=(0, 1))


def leaves() -> dict:
    """Return the shapes of the parameters of ResNet-110 without BatchNorm."""
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    model = ResNet(110, batch_norm=False)
    return jax.eval_shape(lambda i: model.init(jax.random.key(0), i, train=False), images)["params"]


class JaxOptimizer:
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


class TorchOptimizer:
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


def make_candidates(flat: bool) -> dict:
    """Return all candidates, by name."""
    shapes = leaves()
    if flat:
        size = sum(leaf.size for leaf in jax.tree.leaves(shapes))
        shapes = {"all": jax.ShapeDtypeStruct((size,), jnp.float32)}
    candidates: dict = {name: JaxOptimizer(tx, shapes) for name, tx in OPTIMIZERS.items()}
    if importlib.util.find_spec("torch"):
        torch = importlib.import_module("torch")
        candidates["torch AdamW, fused"] = TorchOptimizer(torch, shapes, fused=True)
        candidates["torch AdamW, loop"] = TorchOptimizer(torch, shapes, foreach=False)
    return candidates


def measure(candidates: dict, rounds: int, burst: int = 5) -> dict[str, list[float]]:
    """Return seconds per step, one entry per round; the first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_number in range(rounds + 1):
        for name in random.Random(round_number).sample(list(candidates), len(candidates)):
            start = time.perf_counter()
            candidates[name].run(burst)
            if round_number:
                seconds[name].append((time.perf_counter() - start) / burst)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = Parser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--flat", action="store_true", help="make one vector of all parameters")
    arguments = parser.parse_args()
    candidates = make_candidates(arguments.flat)
    seconds = measure(candidates, arguments.rounds)
    table = Table(
        "optimizer", "ms per step", "over optax.adamw", "quartiles", "bytes per parameter"
    )
    for name, values in seconds.items():
        ratios = [own / base for own, base in zip(values, seconds[BASELINE], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        milliseconds = f"{1e3 * statistics.median(values):.2f}"
        table.add_row(
            name, milliseconds, f"{middle:.2f}", f"{low:.2f} to {high:.2f}", candidates[name].bytes
        )
    Console().print(table)


if __name__ == "__main__":
    main()
