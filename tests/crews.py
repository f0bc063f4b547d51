"""Workers of a sweep that are threads of this process, for what the scheduler does with them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from adamprox.sweep import local
from adamprox.sweep.runs import Run


class Threads(local._Processes):
    """Pools of one thread each; a run that raises `BrokenProcessPool` has ended its worker.

    Attributes:
      places: Cores that the sweep has claimed, None for a worker without one.
      given: Worker and run of everything that was submitted, in order.
    """

    def __init__(self, places: Sequence[int | None]):
        super().__init__(places)
        self.places, self.given = places, list[tuple[Any, Run]]()

    def start(self, place: int) -> Any:
        pool = ThreadPoolExecutor(1)
        return pool, pool.submit(local._ready)

    def submit(self, worker: Any, run: Run, *rest: Any) -> Any:
        self.given.append((worker, run))
        return super().submit(worker, run, *rest)

    def stop(self, worker: Any) -> None:
        worker.shutdown(wait=False, cancel_futures=True)


def threads(monkeypatch) -> list[Threads]:
    """Make the workers of the local engine threads; the list gets the crew of every sweep."""
    crews: list[Threads] = []

    def crew(places: Sequence[int | None]) -> Threads:
        crews.append(Threads(places))
        return crews[-1]

    monkeypatch.setattr(local, "_Processes", crew)
    return crews
