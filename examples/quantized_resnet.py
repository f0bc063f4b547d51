"""Train ResNet-20 with float, ternary, 1-bit and 2:4 sparse weights; print test errors.

The 18 kernels inside the blocks, 99 % of the parameters, are quantized. The first convolution, the
dense layer and BatchNorm stay float. Images and length are those of the preset ``reduced``.
"""

from functools import partial

import jax
import numpy as np

from adamprox import adam_direction, hardening, prox, straight_through
from adamprox.training import TrainingRun
from adamprox.training.loop import train
from adamprox.training.recipes import RECIPES, Recipe

REDUCED = {"dataset": "cifar10", "image_size": 8, "train_size": 5120, "validation_size": 5000}
REDUCED |= {"epochs": 30, "evaluate_every": 30, "batch_size": 64, "depth": 20, "batch_norm": True}
REDUCED |= {"learning_rate": 0.01, "weight_decay": 0.0}  # the best of AdamW's grid for floats
GRIDS = {"ternary": partial(prox.fit_levels, count=3), "1-bit": partial(prox.fit_levels, count=2)}
PARQ = {name: partial(prox.parq, levels=grid) for name, grid in GRIDS.items()}
METHODS = {"float": lambda tree, t: tree, **PARQ, "2:4 sparse": prox.n_m}


def in_blocks(params):
    """Return a mask of the kernels inside the blocks."""
    select = lambda path, x: x.ndim == 4 and "BasicBlock" in jax.tree_util.keystr(path)  # noqa: E731
    return jax.tree_util.tree_map_with_path(select, params)


def fit(method, seed, **options):
    """Train one run; return its test error and its kernels inside the blocks."""
    run = TrainingRun.of(seed=seed, **options)
    steps = run.schedule.epochs * -(-run.images.expected.train // run.images.batch_size)
    weight = hardening(steps // 10, steps * 6 // 10)  # 40 % of the steps have hard levels
    last = straight_through(METHODS[method], weight, mask=in_blocks)
    name = f"{method}, {steps} steps"
    RECIPES[name] = lambda alpha, _: Recipe(adam_direction(alpha), last)
    run = run.with_options(optimizer=name)
    trained = train(run.program, run.hyperparameters, run.schedule, seed=seed, init_seed=0)
    params = trained.variables["params"]
    kernels = jax.tree.map(lambda x, inside: x if inside else None, params, in_blocks(params))
    return trained.history[-1].test_error, jax.tree.leaves(kernels)


def holds(method, kernel):
    """Return True if the projection changes nothing but the last bit: x + (prox − x) rounds."""
    projected = jax.jit(METHODS[method])(kernel, np.inf)
    return np.allclose(kernel, projected, rtol=1e-6, atol=0)


if __name__ == "__main__":
    for method in METHODS:
        errors, kernels = zip(*(fit(method, seed, **REDUCED) for seed in range(3)), strict=True)
        exact = all(holds(method, kernel) for run in kernels for kernel in run)
        error, spread = np.mean(errors), np.std(errors, ddof=1)
        print(f"{method}: {error:.1%} ± {spread:.1%}, {exact=}", flush=True)
