"""Measure how large the gradients of ResNets are before training, and after epochs of AdamW.

Command: python -m tools.first_gradients
The networks have no BatchNorm. The program writes results/first_gradients.json: the root mean square
(RMS) of the gradient of each convolution's kernel on one batch, the smallest, the median and the
largest of all kernels. It needs CIFAR-10 and takes about five minutes.
"""

import json
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adamprox.command_line import Parser, begin
from adamprox.files import write_atomically
from adamprox.report.claims import compact
from adamprox.training import TrainingRun
from adamprox.training.compiled_network import classic_random
from adamprox.training.program import compile_program
from adamprox.training.step import Hyperparameters, make_loss, normalize
from experiments.presets import protocol

FILE = pathlib.Path(__file__).parents[1] / "results" / "first_gradients.json"
MEASURED = (
    ("reduced", 20, (0, 1, 5)),
    ("reduced", 56, (0, 1, 5)),
    ("reduced", 110, (0, 1, 5)),
    ("paper", 110, (0,)),
)
"""Preset, depth, and numbers of epochs after which to measure."""
_DECAYS = (0.999, 0.99, 0.95)


def magnitudes(run: TrainingRun, after: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the RMS of the gradient of every convolution's kernel, after some numbers of epochs.

    Args:
      run: Run to train; its optimizer, α and λ matter after the first step.
      after: Increasing numbers of epochs.
    """
    compiled = compile_program(run.program)
    network = compiled.network
    hps = Hyperparameters(*(jnp.float32([value]) for value in run.hyperparameters))
    state = compiled.start(network.init(0), hps)
    first = slice(0, run.images.batch_size)
    images = normalize(network.pool.images[first], network.mean, network.std)
    loss = make_loss(network.model)

    @jax.jit
    def measured(params: Any) -> list[jax.Array]:
        found, _ = jax.grad(loss, has_aux=True)(params, {}, 1.0, images, network.pool.labels[first])
        kernels = (leaf for leaf in jax.tree.leaves(found) if leaf.ndim == 4)
        return [jnp.sqrt(jnp.mean(kernel**2)) for kernel in kernels]

    for epoch in range(after[-1] + 1):
        if epoch in after:
            params = jax.tree.map(lambda leaf: np.asarray(leaf)[0], state.variables["params"])
            yield epoch, np.array(measured(params))
        if epoch == after[-1]:
            return
        seeds = jnp.array([run.seed], jnp.int32)
        state, *_ = classic_random(compiled.epoch, state, hps, seeds, epoch + 1, network.pool)


def steps_until_decayed(first: float, later: float, b2: float) -> float:
    """Return the number of steps until the first gradient's share of √v is as small as a later one.

    |g₀| √(1 − β₂) β₂^(t/2) = |g|, solved for t.

    Args:
      first: RMS of the first gradient.
      later: RMS of a later gradient.
      b2: Decay rate β₂ of the second moment.

    Example:
      >>> round(steps_until_decayed(10.0, 0.1, 0.99))
      458
    """
    return max(0.0, 2 * math.log(first * math.sqrt(1 - b2) / later) / -math.log(b2))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table of the measurements.

    The last columns count the steps until the first gradient's share of √v falls to the RMS after five
    epochs. A network without that measurement has the one of its depth on smaller images.
    """
    lines = [
        "| ResNet | images | first step: smallest | median | largest | median after 1 epoch | after 5 | "
        + " | ".join(f"steps, β₂ = {b2}" for b2 in _DECAYS)
        + " |",
        "| --- | --- " + "| --: " * 8 + "|",
    ]
    found = {(row["preset"], row["depth"], row["epochs"]): row for row in rows}
    for preset, depth, _ in MEASURED:
        first = found[preset, depth, 0]
        medians = [
            _two_digits(row["median"]) if (row := found.get((preset, depth, epochs))) else "—"
            for epochs in (1, 5)
        ]
        later = found.get((preset, depth, 5), found["reduced", depth, 5])["median"]
        counts = [f"{steps_until_decayed(first['median'], later, b2):,.0f}" for b2 in _DECAYS]
        kernels = [_two_digits(first[name]) for name in ("smallest", "median", "largest")]
        side = protocol(preset).training.get("image_size", 32)
        row = (str(depth), f"{side}×{side}", *kernels, *medians, *counts)
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _two_digits(value: float) -> str:
    return compact(float(f"{value:.2g}"))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all networks, and write the file."""
    Parser(prog="python -m tools.first_gradients", description=__doc__).parse_args(argv)
    rows = []
    for preset, depth, epochs in MEASURED:
        run = protocol(preset).run("adamw", 1e-3, 5e-4, depth=depth)
        for epoch, rms in magnitudes(run, epochs):
            names = {"smallest": rms.min(), "median": np.median(rms), "largest": rms.max()}
            kernels = {name: float(f"{value:.3g}") for name, value in names.items()}
            rows.append({"preset": preset, "depth": depth, "epochs": epoch, **kernels})
            print(json.dumps(rows[-1]), flush=True)
    write_atomically(FILE, json.dumps(rows, indent=1) + "\n")
    print(FILE)


if __name__ == "__main__":
    begin()
    main()
