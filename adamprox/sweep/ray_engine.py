"""The Ray engine: one single-threaded actor a CPU of a cluster; the driver writes the records.

Actors, because a task cannot be sent to the process that has compiled its program. An actor that
is killed is replaced and its cell run again; Ray itself retries nothing, or a cell that kills its
worker would do so for ever.
"""

import pathlib
import platform
from collections.abc import Iterator, Sequence
from typing import Any

from adamprox.sweep.cells import Cell, cell_key
from adamprox.sweep.crew import WorkerDiedError, compute, dispatch
from adamprox.sweep.local import use_one_thread
from adamprox.sweep.ray_cluster import connected, load
from adamprox.sweep.record import Record
from adamprox.sweep.results import Columns, Results


def run_ray(
    cells: Sequence[Cell],
    results: Results,
    workers: int | None = None,
    address: str | None = None,
    deadline: float | None = None,
) -> Iterator[Record]:
    """The records of ``cells``, run on a Ray cluster; each is on disk before it is yielded.

    The package and the data sets must be on every node. A node that sees the directory of
    ``results`` keeps checkpoints there; on others a cell whose worker died starts anew.

    Args:
      cells: What to run, in order of preference.
      results: Where the driver, this process, writes records.
      workers: Actors, each of one CPU; as many as the cluster has CPUs by default and at most.
      address: None or ``local`` starts Ray on this machine, for this machine and behind a token;
        ``auto`` finds the cluster that this machine is part of; ``host:port`` is a cluster's head.
        A connection that there is already is used instead, and kept.
      deadline: `time.monotonic` at which to stop; None for no limit.

    Returns:
      One record a cell, as they finish.

    Raises:
      ValueError: Ray is missing or too old, or no cluster at ``address`` takes our token.

    Source: P. Moritz et al., Ray: a distributed framework for emerging AI applications, OSDI 2018.
    """
    return _run(load(), cells, results, workers, address, deadline)  # without Ray nothing is begun


def _run(ray: Any, cells, results: Results, workers, address, deadline) -> Iterator[Record]:
    with connected(ray, workers, address):
        available = int(ray.cluster_resources().get("CPU", 0))
        if available < 1:
            raise ValueError("the Ray cluster must have CPUs, it has none")
        yield from dispatch(
            cells, results, _Actors(ray, min(workers or available, available, len(cells)))
        )


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

    def compute(self, cell: Cell, key: str, scratch: pathlib.Path) -> tuple[Columns, Columns]:
        if cell_key(cell) != key:
            raise ValueError(
                f"data and package must be the same on all nodes, {platform.node()} has others"
            )
        return compute(cell, scratch if scratch.parent.is_dir() else None)
