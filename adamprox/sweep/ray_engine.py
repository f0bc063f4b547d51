"""The Ray engine: one single-threaded actor a CPU of a cluster; the driver writes the records.

Actors, because a task cannot be sent to the process that has compiled its program. An actor that
is killed is replaced and its cell run again; Ray itself retries nothing, or a cell that kills its
worker would do so for ever.
"""

import contextlib
import importlib
import os
import pathlib
import platform
import signal
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from adamprox.sweep.cells import Cell, cell_key
from adamprox.sweep.crew import WorkerDiedError, compute, dispatch
from adamprox.sweep.local import cores, use_one_thread
from adamprox.sweep.results import Record, Results

_CONNECT_SECONDS = 5.0
_OBJECT_STORE_BYTES = 100 * 2**20  # cells and records are small
# What begins an HTTP/2 connection, and thereby gRPC's, which Ray speaks: see RFC 9113, 3.4.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


def run_ray(
    cells: Sequence[Cell],
    results: Results,
    workers: int | None = None,
    address: str | None = None,
) -> Iterator[Record]:
    """The records of ``cells``, run on a Ray cluster; each is on disk before it is yielded.

    The package and the data sets must be on every node. A node that sees the directory of
    ``results`` keeps checkpoints there; on others a cell whose worker died starts anew.

    Args:
      cells: What to run, in order of preference.
      results: Where the driver, this process, writes records.
      workers: Actors, each of one CPU; as many as the cluster has CPUs by default.
      address: None or ``local`` starts Ray on this machine; ``auto`` finds the cluster that this
        machine is part of; ``host:port`` is a cluster's head. A connection that there is already is
        used instead, and kept.

    Returns:
      One record a cell, as they finish.

    Raises:
      ValueError: Ray is not installed, or there is no cluster at ``address``.

    Source: P. Moritz et al., Ray: a distributed framework for emerging AI applications, OSDI 2018.
    """
    return _run(_ray(), cells, results, workers, address)  # without Ray nothing is begun


def _run(ray: Any, cells, results: Results, workers, address) -> Iterator[Record]:
    with _connected(ray, workers, address):
        available = int(ray.cluster_resources().get("CPU", 0))
        if available < 1:
            raise ValueError("the Ray cluster must have CPUs, it has none")
        yield from dispatch(cells, results, _Actors(ray, min(workers or available, len(cells))))


class _Actors:
    """Actors of one CPU each."""

    def __init__(self, ray: Any, size: int):
        self.size = size
        self._ray = ray
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor)

    def start(self, place: int) -> tuple[Any, Any]:
        actor = self._actor.remote()
        return actor, actor.ready.remote()

    def submit(self, worker: Any, cell: Cell, scratch: pathlib.Path) -> Any:
        return worker.compute.remote(cell, cell_key(cell), scratch)

    def wait(self, handles: Sequence[Any], timeout: float) -> Sequence[Any]:
        return self._ray.wait(handles, num_returns=1, timeout=timeout)[0]

    def result(self, handle: Any) -> Any:
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:  # the cell's own
            raise error.cause from None
        except self._ray.exceptions.RayError:
            raise WorkerDiedError from None

    def stop(self, worker: Any) -> None:
        self._ray.kill(worker)


class _Actor:
    """What runs on a node."""

    def __init__(self):
        use_one_thread()

    def ready(self) -> None:
        """Return, which shows that there was a CPU for this actor."""

    def compute(self, cell: Cell, key: str, scratch: pathlib.Path) -> tuple[Record, Record]:
        if cell_key(cell) != key:
            raise ValueError(
                f"data and package must be the same on all nodes, {platform.node()} has others"
            )
        return compute(cell, scratch if scratch.parent.is_dir() else None)


def check_cluster(address: str | None) -> None:
    """Refuse a cluster that is not there, before anything is begun.

    Args:
      address: As `run_ray` takes it; one that starts Ray on this machine only needs it installed.

    Raises:
      ValueError: Ray is not installed, or there is no cluster at ``address``.
    """
    ray = _ray()
    if address not in (None, "local"):
        with _connected(ray, None, address):
            pass


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise ValueError(
            "engine ray needs Ray, which is not installed; run: pip install -e '.[ray]'"
        ) from None


@contextlib.contextmanager
def _connected(ray: Any, workers: int | None, address: str | None) -> Iterator[None]:
    """Connect to Ray, or start it, and disconnect afterwards; a connection of the user's is kept."""
    if ray.is_initialized():
        yield
        return
    # Ray takes SIGTERM for itself.
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address in (None, "local"):
            _start(ray, workers or len(cores()))
        else:
            _connect(ray, address)
        yield
    finally:
        ray.shutdown()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _start(ray: Any, cpus: int) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with warnings.catch_warnings():
        # Where JAX has been used, it warns of forks; these become Ray's programs at once.
        warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            **_QUIET,
        )


_QUIET = {"log_to_driver": False, "logging_level": "ERROR"}


def _connect(ray: Any, address: str) -> None:
    if address != "auto":
        _check_address(address)
    try:
        ray.init(address=address, **_QUIET)
    except (ConnectionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"address must be that of a Ray cluster, got {address!r}: {reason}"
        ) from None


def _check_address(address: str) -> None:
    """Refuse what is not there within seconds; Ray itself tries for minutes, then ends the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ValueError(f"address must be local, auto or host:port, got {address!r}")
    try:
        with socket.create_connection((host, int(port)), _CONNECT_SECONDS) as connection:
            connection.sendall(_PREFACE)
            header = connection.recv(9)
    except (OSError, OverflowError) as error:
        reason = f"cannot be reached ({error})"
    else:
        if len(header) > 3 and header[3] == _SETTINGS:
            return
        reason = "answers, but is no Ray cluster"
    raise ValueError(f"address must be that of a Ray cluster, {address} {reason}")
