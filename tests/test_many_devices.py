"""Training on many devices gives the losses of one; the cells of a sweep need no network."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests import distributed_training

HERE = pathlib.Path(__file__).parent


def test_eight_devices(run_with_devices):
    run_with_devices(8, HERE / "sharded_training.py")


@pytest.mark.slow
def test_eight_devices_and_batches_they_do_not_divide(run_with_devices):
    run_with_devices(8, HERE / "sharded_training.py", "all")


@pytest.mark.slow  # both compile everything
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
