"""Run as one of two processes of a job, each with two CPU devices: one run over all four.

Arguments: the process's number, the coordinator's port, a directory. Process 0 writes the losses of
the run, as JSON, to ``losses`` in it; both leave a checkpoint there, and find it again.
"""

import json
import pathlib
import sys

import jax

from adamprox.training.checkpoints import Checkpoints
from adamprox.training.loop import train
from adamprox.training.sharding import batch_mesh
from adamprox.training.specs import ImageSpec, MLPSpec, Program, Schedule
from adamprox.training.step import Hyperparameters

PROGRAM = Program(ImageSpec("digits", train_size=64, batch_size=32), MLPSpec(depth=3))
HP = Hyperparameters(1e-3, 1e-3, 1.0)


def losses(mesh=None, checkpoints=None, epochs=2) -> list[list[float | None]]:
    """Train and test loss of every epoch."""
    trained = train(
        PROGRAM, HP, Schedule(epochs), seed=0, init_seed=0, checkpoints=checkpoints, mesh=mesh
    )
    return [[r.train_loss, r.test_loss] for r in trained.history]


def main(process: str, port: str, directory: str) -> None:
    """Train one epoch, save, and go on from there to the second."""
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(process))
    assert jax.device_count() == 4 and jax.process_count() == 2
    folder = pathlib.Path(directory)
    for epochs in (1, 2):
        checkpoints = Checkpoints(folder / "checkpoints", "one run", every=0)
        history = losses(batch_mesh(), checkpoints, epochs)
    if process == "0":
        (folder / "losses").write_text(json.dumps(history))


if __name__ == "__main__":
    main(*sys.argv[1:])
