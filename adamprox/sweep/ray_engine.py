"""The Ray engine: one single-threaded actor per CPU of a cluster; the driver writes the records.

The engine uses actors because a Ray task cannot be sent to the process that has compiled its
program. The driver replaces a killed actor and repeats its run. Ray itself retries nothing;
otherwise a run that kills its worker would repeat forever.
"""

import pathlib
import platform
from collections.abc import Iterator, Sequence
from typing import Any

from adamprox.sweep.local import use_one_thread
from adamprox.sweep.ray_cluster import connected, load
from adamprox.sweep.record import Record
from adamprox.sweep.results import Columns, Results
from adamprox.sweep.runs import Run, run_key
from adamprox.sweep.scheduler import WorkerDiedError, compute, dispatch


def run_ray(
    runs: Sequence[Run],
    results: Results,
    workers: int | None = None,
    deadline: float | None = None,
    *,
    address: str | None = None,
) -> Iterator[Record]:
    """Execute ``runs`` on a Ray cluster and yield their records, each after it is on disk.

    Every node needs the package and the data sets. A node with access to the directory of
    ``results`` writes checkpoints there. On other nodes, a run whose worker died starts again.

    Args:
      runs: Runs to execute, in order of preference.
      results: Store of the records; this process, the driver, writes them.
      workers: Number of actors of one CPU each, at most and by default the CPUs of the cluster.
      deadline: Time of `time.monotonic` at which to stop; None for no limit.
      address: Address of the cluster. None or ``local`` starts a private cluster on this machine
        with a token, ``auto`` finds the cluster of this machine, ``host:port`` is the head of a
        cluster. An existing connection has priority and stays open.

    Returns:
      An iterator with one record per run, in order of completion.

    Raises:
      ValueError: Ray is missing or too old, ``workers`` is 0, or no cluster at ``address`` takes our
        token.
      OutOfTimeError: The deadline has passed.

    Source: P. Moritz et al., Ray: a distributed framework for emerging AI applications, OSDI 2018.
    """
    if workers == 0:  # the local engine's name for this process
        raise ValueError("workers must be at least 1 with the engine ray, got 0")
    return _run(load(), runs, results, workers, address, deadline)  # raise at once


def _run(ray: Any, runs, results: Results, workers, address, deadline) -> Iterator[Record]:
    with connected(ray, workers, address):
        available = int(ray.cluster_resources().get("CPU", 0))
        if available < 1:
            raise ValueError("the Ray cluster must have CPUs, it has none")
        crew = _Actors(ray, min(workers or available, available, len(runs)))
        yield from dispatch(runs, results, crew, deadline)


class _Actors:
    """Actors of one CPU each."""

    def __init__(self, ray: Any, size: int):
        self.size = size
        self._ray = ray
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor)

    def start(self, place: int) -> tuple[Any, Any]:
        actor = self._actor.remote()
        return actor, actor.ready.remote()

    def submit(self, worker: Any, run: Run, scratch: pathlib.Path, left: float | None) -> Any:
        return worker.compute.remote(run, run_key(run), scratch, left)

    def wait(self, handles: Sequence[Any], timeout: float) -> Sequence[Any]:
        return self._ray.wait(handles, num_returns=1, timeout=timeout)[0]

    def result(self, handle: Any) -> Any:
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:  # an error of the run
            raise error.cause from None
        except self._ray.exceptions.RayError:
            raise WorkerDiedError from None

    def stop(self, worker: Any) -> None:
        self._ray.kill(worker)


class _Actor:
    """Worker on a node of the cluster."""

    def __init__(self):
        use_one_thread()

    def ready(self) -> None:
        """Do nothing: the return shows that this actor has a CPU."""

    def compute(
        self, run: Run, key: str, scratch: pathlib.Path, left: float | None
    ) -> tuple[Columns, Columns]:
        if run_key(run) != key:
            raise ValueError(
                f"data and package must be the same on all nodes, those of {platform.node()} differ"
            )
        return compute(run, scratch if scratch.parent.is_dir() else None, left)
