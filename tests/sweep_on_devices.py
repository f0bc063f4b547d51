"""Run in a process that sees eight CPU devices: ten cells in two groups, one of them filled up."""

import sys

import jax
import numpy as np
from rich.console import Console

from adamprox.sweep import Results, run_sweep
from adamprox.training import TrainingRun
from adamprox.training import run as training_run
from adamprox.training.loop import epochs

MLP = {"network": "mlp", "depth": 3}  # compiles fast
calls = []


def noted(program, hps, schedule, **options):
    """`epochs`, noting the number of cells and of devices."""
    if options["mesh"]:
        calls.append((len(hps), options["mesh"].size))
    return epochs(program, hps, schedule, **options)


if __name__ == "__main__":
    assert jax.device_count() == 8
    training_run.epochs = noted
    cells = [
        TrainingRun.of(**MLP, train_size=32, batch_size=32, learning_rate=1e-3 * (k + 1), seed=k)
        for k in range(10)
    ]
    records = run_sweep(cells, Results(sys.argv[1]), workers=0, console=Console(quiet=True))
    assert calls == [(8, 8), (8, 8)], calls
    assert [record["seed"] for record in records] == list(range(10))
    # As each alone, wherever in a group it was; that this is what `run` gives is tested elsewhere.
    for k in (0, 9):
        alone = cells[k].run()
        for name in ("train_loss", "test_loss", "test_error"):
            np.testing.assert_allclose(records[k][name], alone[name], rtol=1e-6)
    losses = [record["test_loss"][0] for record in records]
    assert len(set(losses)) == len(losses)
