"""Workers of a sweep that are threads of this process, for what the scheduler does with them."""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from adamprox.sweep import local
from adamprox.sweep.runs import Run
from adamprox.sweep.scheduler import compute


class Worker(NamedTuple):
    """A thread that executes what it is given, and the place of its worker."""

    place: int
    pool: ThreadPoolExecutor


class Threads:
    """A crew like `local._Processes`; a run that raises `WorkerDiedError` has ended its worker.

    Attributes:
      places: Cores that the sweep has claimed, None for a worker without one.
      given: Place and run of everything that was submitted, in order.
    """

    def __init__(self, places: Sequence[int | None]):
        self.size, self.places = len(places), places
        self.given: list[tuple[int, Run]] = []

    def start(self, place: int) -> tuple[Worker, Future]:
        worker = Worker(place, ThreadPoolExecutor(1))
        return worker, worker.pool.submit(int)

    def submit(self, worker: Worker, run: Run, scratch, left: float | None) -> Future:
        self.given.append((worker.place, run))
        return worker.pool.submit(compute, run, scratch, left)

    def wait(self, handles: Sequence[Future], timeout: float) -> list[Future]:
        return list(wait(handles, timeout, FIRST_COMPLETED).done)

    def result(self, handle: Future) -> Any:
        return handle.result()

    def stop(self, worker: Worker) -> None:
        worker.pool.shutdown(wait=False, cancel_futures=True)


def threads(monkeypatch) -> list[Threads]:
    """Make the workers of the local engine threads; the list gets the crew of every sweep."""
    crews: list[Threads] = []

    def crew(places: Sequence[int | None]) -> Threads:
        crews.append(Threads(places))
        return crews[-1]

    monkeypatch.setattr(local, "_Processes", crew)
    return crews
