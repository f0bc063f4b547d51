"""Speed of a training step on a CPU in images/s: ours, plain ``lax.conv``, and PyTorch's.

Command: python -m benchmarks.training_step [--depth D] [--batch N] [--rounds N] [--threads T]
Cost: some minutes, mostly compilation. The program prints a table. The criteria: ours reaches at
least half of PyTorch's images/s, and a step inside a scanned epoch takes at most 1.1 times a step
outside.

A step is forward, backward and AdamW on a ResNet without BatchNorm, on 32×32 images. PyTorch, if it
is installed, has the same network with the same weights (the losses must agree to 1e-4), channels
last and fused AdamW. Every implementation is a separate process that waits on a pipe between its
turns; no thread of one spins during the turn of another. The processes take turns in random order;
the ratio to PyTorch is computed within a round. With ``--threads 1`` all processes are pinned to
the same core. A process "with memory kept" has the environment `KEEP_MEMORY`.
"""

import argparse
import importlib
import importlib.util
import multiprocessing
import os
import random
import statistics
import time
from typing import Any
from unittest import mock

from rich.console import Console
from rich.table import Table

SCANNED = 8
KEPT = ", memory kept"
KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
}
"""With these variables glibc does not return the arrays of a step to the system, only to page them in
again for the next step."""


def problem(depth: int, batch: int):
    """Return network, parameters, images and labels, the same in every process."""
    import jax  # noqa: PLC0415  (not before the process has set its threads)

    from adamprox.models import ResNet  # noqa: PLC0415

    model = ResNet(depth, batch_norm=False)
    images = jax.random.normal(jax.random.key(0), (batch, 32, 32, 3))
    params = model.init(jax.random.key(1), images[:1], train=False)["params"]
    return model, params, images, jax.numpy.arange(batch) % 10


def jax_step(depth: int, batch: int, plain: bool, steps: int):
    """Return a function that takes ``steps`` steps, by scan if > 1, and returns the first loss."""
    import jax  # noqa: PLC0415
    import optax  # noqa: PLC0415

    import adamprox  # noqa: PLC0415
    from adamprox.models import convolution, layers  # noqa: PLC0415

    model, params, images, labels = problem(depth, batch)
    tx = adamprox.adamw(1e-5, 1e-6)

    def loss_fn(params):
        logits: Any = model.apply({"params": params}, images, train=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def step(carry, _=None):
        params, state = carry
        loss, gradient = jax.value_and_grad(loss_fn)(params)
        updates, state = tx.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), loss

    def scanned(carry):
        return jax.lax.scan(step, carry, length=steps)

    carry = params, tx.init(params)
    conv = convolution._lax_conv if plain else convolution.conv3x3
    with mock.patch.object(layers, "conv3x3", conv):
        compiled = jax.jit(scanned if steps > 1 else step, donate_argnums=0).lower(carry).compile()

    def run() -> float:
        nonlocal carry
        carry, loss = compiled(carry)
        return float(loss.ravel()[0])

    return run


def torch_step(depth: int, batch: int, threads: int):
    """Return a function that takes one step in PyTorch, as `jax_step`."""
    import jax  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    _, params, images, labels = problem(depth, batch)
    torch = importlib.import_module("torch")
    resnet = importlib.import_module("benchmarks.torch_resnet")
    torch.set_num_threads(threads)
    network = resnet.make(depth)
    resnet.load(network, jax.device_get(params))
    x = torch.from_numpy(np.array(images).transpose(0, 3, 1, 2))
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(np.array(labels)).long()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-5, weight_decay=0.1, fused=True)

    def run() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def serve(pipe, name: str, depth: int, batch: int, threads: int) -> None:
    """Build one implementation; then take a turn per message and answer with seconds per step."""
    if threads == 1:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false"
    name = name.removesuffix(KEPT)
    steps = SCANNED if name == "ours, scanned" else 1
    make_jax = {"ours": False, "ours, scanned": False, "lax.conv": True}
    if name == "torch":
        run = torch_step(depth, batch, threads)
    else:
        run = jax_step(depth, batch, make_jax[name], steps)
    pipe.send(run())
    while pipe.recv():
        start = time.perf_counter(), time.process_time()
        run()
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        pipe.send([value / steps for value in seconds])


def measure(names: list[str], rounds: int, *options) -> tuple[dict, dict]:
    """Return first losses and [wall, CPU] seconds per step, by implementation, per round."""
    context = multiprocessing.get_context("spawn")
    pipes, losses, processes = {}, {}, []
    for name in names:  # sequentially: compilation would take memory and cores from the others
        pipes[name], end = context.Pipe()
        processes.append(context.Process(target=serve, args=(end, name, *options), daemon=True))
        with mock.patch.dict(os.environ, KEEP_MEMORY if name.endswith(KEPT) else {}):
            processes[-1].start()
        losses[name] = pipes[name].recv()
    seconds: dict[str, list] = {name: [] for name in names}
    for round_number in range(rounds):
        for name in random.Random(round_number).sample(names, len(names)):
            pipes[name].send(True)
            seconds[name].append(pipes[name].recv())
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(False)
        process.join()
    return losses, seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    names = ["ours", f"ours{KEPT}", "ours, scanned", "lax.conv"]
    names += [f"torch{KEPT}", "torch"] if importlib.util.find_spec("torch") else []
    losses, seconds = measure(names, args.rounds, args.depth, args.batch, args.threads)
    reference = names[-1]
    for name, loss in losses.items():
        if abs(loss - losses[reference]) > 1e-4 * abs(losses[reference]):
            raise SystemExit(f"{name} starts at loss {loss}, {reference} at {losses[reference]}")
    table = Table(
        "implementation", "images/s", f"time / {reference}'s", "quartiles", "ms", "CPU ms"
    )
    table.title = f"ResNet-{args.depth}, batch {args.batch}, {args.threads} threads"
    for name, times in seconds.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        ratios = [own[0] / base[0] for own, base in zip(times, seconds[reference], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        spread = f"{low:.2f} to {high:.2f}"
        speed = f"{args.batch / wall:.0f}"
        table.add_row(name, speed, f"{middle:.2f}", spread, f"{1e3 * wall:.0f}", f"{1e3 * cpu:.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
