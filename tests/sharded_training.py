"""Run in a process that sees eight CPU devices: batches and cells divided over them.

With the argument ``all``: also what takes minutes, without BatchNorm and with a batch that eight
devices do not divide.
"""

import re
import sys

import jax
import numpy as np

from adamprox.training.loop import Schedule, train
from adamprox.training.program import compile_program
from adamprox.training.sharding import batch_mesh, cell_mesh
from adamprox.training.specs import ImageSpec, NetworkSpec, Program
from adamprox.training.step import Hyperparameters
from adamprox.training.together import compile_together, train_together

HP = Hyperparameters(1e-3, 1e-3, 1.0)
COLLECTIVES = r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"


def program(batch_norm: bool, size: int = 64) -> Program:
    images = ImageSpec("digits", train_size=size)
    return Program(images, NetworkSpec(depth=8, batch_norm=batch_norm), "adamw", 32)


CELLS = Program(ImageSpec("digits", train_size=64), NetworkSpec("mlp", depth=3), "adamw", 32)
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
    together = train_together(
        CELLS, hps, Schedule(2), seeds=range(16), init_seed=0, mesh=cell_mesh()
    )
    for k in (0, 15):
        alone = train(CELLS, hps[k], Schedule(2), seed=k, init_seed=0)
        np.testing.assert_allclose(losses(together[k]), losses(alone), rtol=1e-4, atol=1e-4)
    assert not re.search(COLLECTIVES, _compiled_cells())
    assert re.search(COLLECTIVES, _compiled_batches())  # the search finds what there is to find


def _compiled_cells() -> str:
    compiled = compile_together(CELLS, "sequential", cell_mesh())
    network = compile_program(CELLS).network
    hps = Hyperparameters(*np.ones((3, 8), np.float32))
    states = jax.eval_shape(compiled.start, network.init(0), hps)
    arguments = states, hps, np.zeros(8, np.int32), 1, network.pool
    return compiled.epoch.lower(*arguments).compile().as_text()


def _compiled_batches() -> str:
    compiled = compile_program(program(True), batch_mesh())
    hp = Hyperparameters(*np.ones(3, np.float32))
    state = jax.eval_shape(compiled.start, compiled.network.init(0), hp)
    return compiled.jit_epoch.lower(state, hp, 0, 1, compiled.network.pool).compile().as_text()


if __name__ == "__main__":
    assert jax.device_count() == 8
    check_batches(program(batch_norm=True))
    check_cells()
    if sys.argv[1:] == ["all"]:
        check_batches(program(batch_norm=False, size=70))
        check_batches(program(batch_norm=True, size=72))
