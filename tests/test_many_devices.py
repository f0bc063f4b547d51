"""Training on many devices gives the losses of one; the cells of a sweep need no network."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from adamprox.training.loop import Schedule, train
from adamprox.training.program import Program
from adamprox.training.specs import ImageSpec, NetworkSpec
from adamprox.training.step import Hyperparameters
from adamprox.training.together import BATCHINGS, train_together
from tests import distributed_training

HERE = pathlib.Path(__file__).parent


def test_eight_devices(run_with_devices):
    run_with_devices(8, HERE / "sharded_training.py")


@pytest.mark.slow
def test_eight_devices_and_batches_they_do_not_divide(run_with_devices):
    run_with_devices(8, HERE / "sharded_training.py", "all")


def test_two_processes_of_two_devices_are_one_run(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    command = [sys.executable, "-W", "error", "-m", "tests.distributed_training"]
    processes = [
        subprocess.Popen(
            [*command, str(number), port, tmp_path], env={**os.environ, "XLA_FLAGS": flags}
        )
        for number in range(2)
    ]
    assert [process.wait(300) for process in processes] == [0, 0]
    actual = json.loads((tmp_path / "losses").read_text())
    np.testing.assert_allclose(actual, distributed_training.losses(), rtol=1e-5)


@pytest.mark.parametrize("batching", BATCHINGS)
def test_cells_at_once_are_as_each_alone(batching):
    """Also beside one that diverges at its first steps."""
    program = Program(ImageSpec("digits", train_size=64), NetworkSpec(depth=8), "adamw", 32)
    hps = [Hyperparameters(alpha, 1e-3, 1.0) for alpha in (1e-3, 1e6, 3e-3)]
    together = train_together(
        program, hps, Schedule(2), seeds=[0, 1, 2], init_seed=0, batching=batching
    )
    for k, hp in enumerate(hps):
        alone = train(program, hp, Schedule(2), seed=k, init_seed=0).history
        assert len(together[k].history) == len(alone)
        for ours, theirs in zip(together[k].history, alone, strict=True):
            assert ours.diverged_step == theirs.diverged_step
            assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4, nan_ok=True)
            if ours.epoch == 1:  # later, rounding has driven the runs apart
                check_histograms(ours.update_histogram, theirs.update_histogram)


def check_histograms(ours, theirs):
    """Equal but for a few coordinates, whose gradient is 0 one way and a rounding error the other."""
    assert sum(ours) == sum(theirs)
    assert np.abs(np.subtract(ours, theirs)).sum() <= 0.002 * sum(theirs)
