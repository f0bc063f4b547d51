"""Run in a process that sees eight CPU devices: batches and cells divided over them.

With the argument ``all``: also convolutions with and without BatchNorm, and a batch that eight
devices do not divide.
"""

import re
import sys

import jax
import numpy as np

from adamprox.training.loop import epochs, train
from adamprox.training.program import compile_program
from adamprox.training.sharding import batch_mesh, run_mesh
from adamprox.training.specs import ImageSpec, MLPSpec, Program, ResNetSpec, Schedule
from adamprox.training.step import Hyperparameters

HP = Hyperparameters(1e-3, 1e-3, 1.0)
COLLECTIVES = r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"


def program(batch_norm: bool, size: int = 64) -> Program:
    images = ImageSpec("digits", train_size=size, image_size=4, batch_size=32)
    return Program(images, ResNetSpec(depth=8, batch_norm=batch_norm))


CELLS = Program(ImageSpec("digits", train_size=64, batch_size=32), MLPSpec(depth=3))
"""Cells do not speak to each other whatever the network: this one compiles fast."""


def losses(trained) -> np.ndarray:
    return np.array([(r.train_loss, r.test_loss, r.test_error) for r in trained.history])


def check_batches(wanted: Program) -> None:
    """The same losses on eight devices as on one; BatchNorm sees the whole batch on both.

    Sums in another order part by 2e-5 within two epochs.
    """
    one, eight = (
        losses(train(wanted, HP, Schedule(2), seed=0, init_seed=0, mesh=mesh))
        for mesh in (None, batch_mesh())
    )
    np.testing.assert_allclose(eight, one, rtol=1e-4, atol=1e-4)


def check_cells() -> None:
    """Sixteen cells on eight devices: as each alone, and no device speaks to another."""
    hps = [HP._replace(learning_rate=1e-3 * (k + 1), weight_decay=1e-3 * k) for k in range(16)]
    two = CELLS._replace(optimizers=("adamw", "adamw"), one_order=False)
    *_, last = epochs(two, hps, Schedule(2), seeds=range(16), init_seed=0, mesh=run_mesh())
    together = [last.run(k) for k in range(16)]
    for k in (0, 15):
        alone = train(CELLS, hps[k], Schedule(2), seed=k, init_seed=0)
        np.testing.assert_allclose(losses(together[k]), losses(alone), rtol=1e-4, atol=1e-4)
    assert not re.search(COLLECTIVES, _compiled_cells())
    assert re.search(COLLECTIVES, _compiled_batches())  # the search finds what there is to find


def _compiled_cells() -> str:
    return _compiled_epoch(CELLS, run_mesh(), 8)


def _compiled_batches() -> str:
    return _compiled_epoch(CELLS, batch_mesh(), 1)


def _compiled_epoch(wanted: Program, mesh, runs: int) -> str:
    compiled = compile_program(wanted, mesh)
    hps = Hyperparameters(*np.ones((3, runs), np.float32))
    state = jax.eval_shape(compiled.start, compiled.network.init(0), hps)
    arguments = state, hps, np.zeros(runs, np.int32), 1, compiled.network.pool
    return compiled.epoch.lower(*arguments).compile().as_text()


if __name__ == "__main__":
    assert jax.device_count() == 8
    check_batches(CELLS)
    check_cells()
    if sys.argv[1:] == ["all"]:
        check_batches(program(batch_norm=True))
        check_batches(program(batch_norm=False, size=70))
        check_batches(program(batch_norm=True, size=72))
