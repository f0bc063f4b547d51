"""Run in a process of its own, to be killed: one small cell with a checkpoint after every epoch.

Arguments: a directory for the checkpoints, a file for the record. A line is printed for every epoch.
"""

import json
import pathlib
import sys

from adamprox.training import TrainingRun
from adamprox.training.checkpoints import Checkpoints
from adamprox.training.loop import epochs

CELL = TrainingRun.of(
    network="mlp",
    train_size=64,
    image_size=4,
    depth=3,
    batch_size=32,
    epochs=9,
    batch_norm=True,
    evaluate_every=4,
)


def main(directory: str, record: str) -> None:
    """Train the cell, or what is left of it, and write its columns as JSON."""
    trained = None
    for trained in epochs(
        CELL.program,
        [CELL.hyperparameters],
        CELL.schedule,
        seeds=[CELL.seed],
        init_seed=CELL.init_seed,
        checkpoints=Checkpoints(directory, repr(CELL), every=0),
    ):
        print(trained.epoch, flush=True)
    assert trained is not None
    pathlib.Path(record).write_text(json.dumps(CELL.columns(trained.run(0))))


if __name__ == "__main__":
    main(*sys.argv[1:])
