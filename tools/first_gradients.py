"""Print how large the gradients of a ResNet are before training and after epochs of AdamW.

Commands: python -m tools.first_gradients --depth 110
python -m tools.first_gradients --depth 110 --preset paper --epochs 0
The network has no BatchNorm. A row has the root mean square (RMS) of the gradient of each
convolution's kernel on one batch: the smallest, the median and the largest of all kernels.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adamprox.command_line import Parser, begin, integer
from adamprox.training import TrainingRun
from adamprox.training.compiled_network import classic_random
from adamprox.training.program import compile_program
from adamprox.training.step import Hyperparameters, make_loss, normalize
from experiments.presets import protocol


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
    gradient = jax.jit(jax.grad(make_loss(network.model), has_aux=True))
    for epoch in range(after[-1] + 1):
        if epoch in after:
            params: Any = jax.tree.map(lambda leaf: leaf[0], state.variables["params"])
            found, _ = gradient(params, {}, 1.0, images, network.pool.labels[first])
            kernels = [leaf for leaf in jax.tree.leaves(found) if leaf.ndim == 4]
            yield epoch, np.array([jnp.sqrt(jnp.mean(kernel**2)) for kernel in kernels])
        if epoch == after[-1]:
            return
        seeds = jnp.array([run.seed], jnp.int32)
        state, *_ = classic_random(compiled.epoch, state, hps, seeds, epoch + 1, network.pool)


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line for each number of epochs."""
    parser = Parser(prog="python -m tools.first_gradients", description=__doc__)
    add = parser.add_argument
    add("--depth", type=integer, default=110, metavar="6n+2", help="of the ResNet (110)")
    add("--preset", default="reduced", help="of images and batches (reduced)")
    add("--epochs", type=integer, nargs="+", default=[0, 1, 5], metavar="N", help="trained (0 1 5)")
    given = parser.parse_args(argv)
    if min(given.epochs) < 0:
        parser.error(f"epochs must be >= 0, got {min(given.epochs)}")
    try:
        run = protocol(given.preset).run("adamw", 1e-3, 5e-4, depth=given.depth)
    except ValueError as error:
        parser.error(str(error))
    print("| epochs | smallest RMS | median | largest |\n| --: | --: | --: | --: |")
    for epoch, rms in magnitudes(run, sorted(given.epochs)):
        numbers = (f"{value:.1e}" for value in (rms.min(), np.median(rms), rms.max()))
        print(f"| {epoch} | {' | '.join(numbers)} |", flush=True)


if __name__ == "__main__":
    begin()
    main()
