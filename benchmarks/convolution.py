"""GFLOP/s of each 3×3 convolution of the networks: result, input gradient, kernel gradient.

Command: python -m benchmarks.convolution [--batch N] [--rounds N] [--single-thread]
Cost: some minutes. The program prints the speed for each shape (for the result also that of
``lax.conv``), and the speed of a large matrix product on the same machine. Operations count as in
the definition, 18·H·W·C·O per image of the result. Winograd's algorithm needs fewer and can exceed
the matrix product.

Everything runs inside a loop, as in a training epoch. Each iteration changes one entry of the
operands, which keeps the compiler from moving work out of the loop. With one thread the program
measures CPU time, else wall time; the fastest round counts.
"""

import os
import time

import jax
import jax.numpy as jnp
from jax import lax
from rich.console import Console
from rich.table import Table

from adamprox.command_line import Parser
from adamprox.models.convolution import _cpu_conv, _lax_conv

# H = W, C, O, stride: the ResNets at 32×32, DenseNet-BC's k = 12, the reduced protocols.
SHAPES = [
    (32, 3, 16, 1), (32, 16, 16, 1), (32, 16, 32, 2), (16, 32, 32, 1), (16, 32, 64, 2),
    (8, 64, 64, 1), (32, 48, 12, 1), (16, 48, 12, 1), (8, 48, 12, 1), (8, 16, 16, 1),
    (4, 32, 32, 1), (2, 64, 64, 1),
]  # fmt: skip
_REPEAT = 4


def in_loop(function):
    """Jit ``function(a, b)`` run ``_REPEAT`` times with operands that change."""

    def body(_, operands):
        # Use the whole result; XLA would not compute unused parts.
        change = 1e-30 * jnp.sum(function(*operands))
        return tuple(a.at[(0,) * a.ndim].add(change) for a in operands)

    return jax.jit(lambda a, b: lax.fori_loop(0, _REPEAT, body, (a, b)))


def products_of(convolve, x, kernel, stride):
    """Return the three functions and their operands."""
    dy = convolve(x, kernel, stride)

    def input_gradient(dy, kernel):
        return jax.vjp(lambda x: convolve(x, kernel, stride), x)[1](dy)[0]

    def kernel_gradient(x, dy):
        return jax.vjp(lambda kernel: convolve(x, kernel, stride), kernel)[1](dy)[0]

    return {
        "result": (lambda x, kernel: convolve(x, kernel, stride), (x, kernel)),
        "input": (input_gradient, (dy, kernel)),
        "kernel": (kernel_gradient, (x, dy)),
    }


def fastest(functions: dict, rounds: int, clock) -> dict:
    """Return the minimum seconds of each ``(function, operands)``; the first round compiles."""
    compiled = {name: (in_loop(f), operands) for name, (f, operands) in functions.items()}
    least = dict.fromkeys(compiled, float("inf"))
    for round_number in range(rounds + 1):
        for name, (function, operands) in compiled.items():
            start = clock()
            jax.block_until_ready(function(*operands))
            if round_number:
                least[name] = min(least[name], (clock() - start) / _REPEAT)
    return least


def main() -> None:
    """Measure and print."""
    parser = Parser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--single-thread", action="store_true")
    args = parser.parse_args()
    clock = time.perf_counter
    if args.single_thread:
        # Set before the first use of JAX, which reads it.
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false"
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        clock = time.process_time
    table = Table("shape", "result", "input gradient", "kernel gradient")
    table.title = f"GFLOP/s, ours / lax.conv, batch {args.batch}"
    for size, c, o, stride in SHAPES:
        keys = jax.random.split(jax.random.key(0))
        x = jax.random.normal(keys[0], (args.batch, size, size, c))
        kernel = jax.random.normal(keys[1], (3, 3, c, o))
        ours, baseline = (products_of(f, x, kernel, stride) for f in (_cpu_conv, _lax_conv))
        # Inside a loop lax.conv's gradients take seconds: measure only its result.
        functions = {**ours, "lax": baseline["result"]}
        seconds = fastest(functions, args.rounds, clock)
        work = 18e-9 * args.batch * (size // stride) ** 2 * c * o
        speed = {name: f"{work / value:.0f}" for name, value in seconds.items()}
        row = (f"{speed['result']} / {speed['lax']}", speed["input"], speed["kernel"])
        table.add_row(f"{size}×{size}, {c} → {o}, stride {stride}", *row)
    matrix = jnp.ones((2048, 2048))
    seconds = fastest({"matmul": (jnp.matmul, (matrix, matrix))}, args.rounds, clock)
    table.add_row("matrix product, 2048³", f"{2e-9 * 2048**3 / seconds['matmul']:.0f}", "", "")
    Console().print(table)


if __name__ == "__main__":
    main()
