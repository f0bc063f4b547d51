"""Run in a process of its own, to be killed: one small cell with a checkpoint after every epoch.

Arguments: a directory for the checkpoints, a file for two records: of the run that is killed, and of
one without checkpoints. A line is printed for every epoch.
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


def train(checkpoints: Checkpoints | None) -> str:
    """The columns of the cell as JSON, after all its epochs or what is left of them."""
    trained = None
    for trained in epochs(
        CELL.program,
        [CELL.hyperparameters],
        CELL.schedule,
        seeds=[CELL.seed],
        init_seed=CELL.init_seed,
        checkpoints=checkpoints,
    ):
        print(trained.epoch, flush=True)
    assert trained is not None
    return json.dumps(CELL.columns(trained.run(0)))


def main(directory: str, records: str) -> None:
    """Train the cell, or what is left of it, and then once more from its beginning."""
    found = [train(Checkpoints(directory, repr(CELL), every=0)), train(None)]
    pathlib.Path(records).write_text("\n".join(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
