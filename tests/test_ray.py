"""The Ray engine: the table of the local one, whatever happens to its workers."""

import os
import pathlib
import signal
import socket
import sys

import pytest

from adamprox.sweep import Results, run_sweep
from adamprox.sweep.ray_engine import run_ray
from adamprox.training import TrainingRun
from tests.squares import QUIET, Fatal, Square, table

# Ray leaves log files open, and starting a cluster forks, of which JAX warns.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CELLS = [
    *(Square(float(n), 0.05) for n in range(20)),
    Fatal(1.0, deaths=2),
    TrainingRun.of(depth=8, train_size=64, batch_size=32),
]


@pytest.fixture(scope="module")
def cluster():
    """The address of two nodes of one CPU each, on this machine."""
    utilities = pytest.importorskip("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parents[1]))
        node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        head = node | {"include_dashboard": False}
        nodes = utilities.Cluster(initialize_head=True, head_node_args=head)
        nodes.add_node(**node)
        yield nodes.address
        nodes.shutdown()


@pytest.mark.slow
def test_two_nodes_fill_the_table_of_the_local_engine(cluster, tmp_path):
    ours = run_sweep(CELLS, Results(tmp_path / "local"), workers=2, console=QUIET)
    theirs = run_sweep(
        CELLS, Results(tmp_path / "ray"), engine="ray", address=cluster, console=QUIET
    )
    assert table(theirs) == table(ours)
    processes = {r["process"] for r in theirs if "process" in r}
    assert os.getpid() not in processes and len(processes) >= 2


@pytest.mark.slow
def test_five_killed_workers_leave_no_trace(cluster, tmp_path):
    cells = CELLS[:20]
    expected = run_sweep(cells, Results(tmp_path / "whole"), workers=0, console=QUIET)
    results, finished = Results(tmp_path / "killed"), []
    for record in run_ray(cells, results, address=cluster):
        finished.append(record["key"])
        if len(finished) <= 10 and len(finished) % 2:
            os.kill(record["process"], signal.SIGKILL)
    assert len(finished) == len(set(finished)) == 20
    assert table(results.read_all(cells)) == table(expected)


@pytest.mark.slow
def test_ray_is_started_here_and_what_a_cell_raises_is_raised(tmp_path):
    pytest.importorskip("ray")
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(AssertionError, match="no such cell"):
        run_sweep([Wrong(1.0)], Results(tmp_path), engine="ray", workers=1, console=QUIET)
    assert signal.getsignal(signal.SIGTERM) is handler


class Wrong(Square):
    """A cell that fails."""

    def run(self, scratch=None):
        raise AssertionError("no such cell")


def test_without_ray_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"not installed; run: pip install 'adamprox\[ray\]'"):
        run_sweep([Square(1.0)], Results(tmp_path), engine="ray", console=QUIET)


def test_ray_has_no_runs_in_this_process(tmp_path):
    with pytest.raises(ValueError, match="workers must be at least 1 with the engine ray, got 0"):
        run_sweep([Square(1.0)], Results(tmp_path), engine="ray", workers=0, console=QUIET)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["somewhere", "ray://localhost:1", "host:port", "", ":1"])
def test_addresses_that_cannot_be(tmp_path, address):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match="address must be local, auto or host:port"):
        run_sweep([Square(1.0)], Results(tmp_path), engine="ray", address=address, console=QUIET)


def test_nobody_at_the_address(tmp_path):
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    with pytest.raises(ValueError, match=rf"{address} cannot be reached"):
        run_sweep([Square(1.0)], Results(tmp_path), engine="ray", address=address, console=QUIET)


def test_somebody_else_at_the_address(tmp_path):
    pytest.importorskip("ray")

    with socket.create_server(("localhost", 0)) as listener:
        address = f"localhost:{listener.getsockname()[1]}"
        with pytest.raises(ValueError, match=rf"must be that of a Ray cluster, {address}"):
            run_sweep(
                [Square(1.0)], Results(tmp_path), engine="ray", address=address, console=QUIET
            )
