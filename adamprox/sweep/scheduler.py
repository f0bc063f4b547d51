"""Scheduler of the engines: give runs to workers, replace dead workers, respect other sweeps.

The driver is the process of the sweep. It claims a run, gives it to a worker, and writes the
record. Workers only compute; a killed worker loses no more than its current run.
"""

import collections
import contextlib
import logging
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from adamprox.interruption import OutOfTimeError
from adamprox.sweep.failures import Failures, LostRunsError
from adamprox.sweep.pace import Pace
from adamprox.sweep.provenance import provenance
from adamprox.sweep.record import Record
from adamprox.sweep.results import Columns, Results
from adamprox.sweep.runs import Batchable, Run, describe, run_key

_TRIES = 3
"""Number of workers that one run may kill before it is lost, and of failed starts per worker."""
_PERSISTENCE = 30
"""Number of failed starts per worker after the first successful start."""
_PATIENCE = 0.2
"""Seconds between two checks for dead workers and for runs that another process finished."""
_SAVING = 5.0
"""Seconds before the deadline at which workers save their runs and stop."""
_log = logging.getLogger(__name__)


CANNOT_START = (
    f"worker processes end right after they start: can this user run {sys.executable} and its libraries? "
    "A script must start its sweep under if __name__ == '__main__'. "
    "With 0 workers the sweep runs in this process"
)


class WorkerDiedError(Exception):
    """The process of a run died."""


class Crew(Protocol):
    """Workers of one kind: processes on this machine, or actors of a cluster.

    A handle represents unfinished work; it is hashable.
    """

    size: int

    def start(self, place: int) -> tuple[Any, Hashable]:
        """Start a worker at a place from 0 to ``size`` - 1; return it and a handle."""
        ...

    def submit(self, worker: Any, run: Run, scratch: pathlib.Path, left: float | None) -> Hashable:
        """Make ``worker`` execute `compute`; return the handle."""
        ...

    def wait(self, handles: Sequence[Any], timeout: float) -> Sequence[Hashable]:
        """Return finished handles, after at most ``timeout`` seconds."""
        ...

    def result(self, handle: Any) -> Any:
        """Return the result of a handle; raise WorkerDiedError if its worker died first."""
        ...

    def stop(self, worker: Any) -> None:
        """End a worker at once, dead or alive."""
        ...


def compute(run: Run, scratch: pathlib.Path | None, left: float | None) -> tuple[Columns, Columns]:
    """Execute a run in a worker; return the columns of its record and their provenance.

    Raises:
      OutOfTimeError: The run would not be done in ``left`` seconds; ``scratch`` has its state.
    """
    if left is None or not isinstance(run, Batchable):
        return run.run(scratch), provenance()
    ((_, columns),) = run.run_together([run], scratch, time.monotonic() + left)
    return columns, provenance()


class _Job(NamedTuple):
    """Current work of a worker; ``run`` is None while the worker starts."""

    place: int
    run: Run | None = None
    claim: contextlib.ExitStack = contextlib.ExitStack()
    compiles: bool = False
    began: float = 0.0


class _Sweep:
    """State of one sweep."""

    def __init__(self, runs: Sequence[Run], results: Results, crew: Crew, deadline: float | None):
        self.deadline, self.out_of_time = deadline, False
        self.waiting, self.elsewhere = list(runs), []
        self.results, self.crew = results, crew
        self.workers: dict[int, Any] = {}
        self.compiled: dict[int, set[Hashable]] = {}
        self.pace = Pace()
        self.free: list[int] = []
        self.jobs: dict[Hashable, _Job] = {}
        self.deaths: collections.Counter[str] = collections.Counter()
        self.lost: list[Run] = []
        self.failures = Failures(results)
        self.has_waited = False
        self.false_starts = 0
        self.allowed_false_starts = _TRIES * crew.size

    def records(self, interrupted: threading.Event) -> Iterator[Record]:
        for place in range(self.crew.size):
            self.start(place)
        while self.waiting or self.elsewhere or any(job.run for job in self.jobs.values()):
            yield from self.hand_out()
            for handle in self.finished():
                yield from self.collect(handle)
            if interrupted.is_set():
                raise KeyboardInterrupt
            late = self.deadline is not None and time.monotonic() > self.deadline
            if late or (self.out_of_time and not any(job.run for job in self.jobs.values())):
                raise OutOfTimeError
        self.failures.end(_lost_message(self.lost) if self.lost else "")

    def start(self, place: int) -> None:
        self.workers[place], ready = self.crew.start(place)
        self.compiled[place] = set()
        self.jobs[ready] = _Job(place)

    def hand_out(self) -> Iterator[Record]:
        """Give every free worker a run; yield records that another sweep wrote meanwhile."""
        resting = []
        while self.free and self.waiting and not self.out_of_time:
            place = self.free.pop(0)
            run = self.choose(place)
            if run is None:  # idle until a program becomes free, or compiling one pays
                resting.append(place)
                continue
            self.waiting.remove(run)
            claim = contextlib.ExitStack()
            if not claim.enter_context(self.results.claim(run)):
                self.elsewhere.append(run)
                self.free.insert(0, place)
            elif (record := self.results.read(run)) is not None:
                claim.close()
                self.free.insert(0, place)
                yield record
            else:
                self.submit(place, run, claim)
        self.free += resting

    def choose(self, place: int) -> Run | None:
        """Choose a run with a program that this worker has compiled, or one that pays to compile.

        A program that no worker has compiled comes next, then one with many waiting runs.
        Compilation can cost as much as several runs. If few runs of a program are left, a second
        worker that compiles it would finish after the first.
        """
        owners = collections.Counter(p for own in self.compiled.values() for p in own)
        many = collections.Counter(run.program for run in self.waiting)
        ours = (run for run in self.waiting if run.program in self.compiled[place])
        fresh = (run for run in self.waiting if not owners[run.program])
        paying = (
            run
            for run in self.waiting
            if self.pace.pays(run.program, many[run.program], owners[run.program])
        )
        return next(ours, None) or next(fresh, None) or next(paying, None)

    def submit(self, place: int, run: Run, claim: contextlib.ExitStack) -> None:
        compiles = run.program not in self.compiled[place]
        self.compiled[place].add(run.program)
        left = self.deadline and self.deadline - time.monotonic() - _SAVING
        handle = self.crew.submit(self.workers[place], run, self.results.scratch(run), left)
        self.jobs[handle] = _Job(place, run, claim, compiles, time.monotonic())

    def finished(self) -> Sequence[Hashable]:
        if not self.jobs:  # another sweep executes all remaining runs, or all are done
            if self.elsewhere and not self.has_waited:
                _log.warning(waiting_for(len(self.elsewhere), self.results))
                self.has_waited = True
            time.sleep(_PATIENCE)
        done = self.crew.wait(list(self.jobs), _PATIENCE) if self.jobs else []
        self.waiting += self.elsewhere
        self.elsewhere.clear()
        return done

    def collect(self, handle: Hashable) -> Iterator[Record]:
        place, run, claim, compiles, began = self.jobs.pop(handle)
        with claim:
            try:
                result = self.crew.result(handle)
            except WorkerDiedError:
                self.replace(place, run)
                return
            except OutOfTimeError:  # the other workers also stop soon
                self.out_of_time = True
                return
            except Exception as error:
                if run is None or isinstance(error, OSError):  # no failure of the run itself
                    raise
                self.failures.add(run, error)
                self.free.append(place)
                return
            self.free.append(place)
            if run is not None:
                self.pace.note(run.program, time.monotonic() - began, compiled=compiles)
            self.false_starts = 0
            self.allowed_false_starts = _PERSISTENCE * self.crew.size  # workers can start here
            record = None if run is None else self.results.write(run, *result)
        if record is not None:
            yield record

    def replace(self, place: int, run: Run | None) -> None:
        """Replace a dead worker, and queue its run again after the others."""
        self.crew.stop(self.workers.pop(place))
        if run is None:
            self.false_starts += 1
            if self.false_starts >= self.allowed_false_starts:
                raise LostRunsError(CANNOT_START)
        else:
            self.deaths[run_key(run)] += 1
            final = self.deaths[run_key(run)] >= _TRIES
            (self.lost if final else self.waiting).append(run)
            if final:
                self.results.fail(run, f"its workers died {_TRIES} times")
            _log.warning(
                "a worker died during %s%s", describe(run), "" if final else "; the run is repeated"
            )
        self.start(place)

    def end(self) -> None:
        for worker in self.workers.values():
            self.crew.stop(worker)
        for job in self.jobs.values():
            job.claim.close()


def dispatch(
    runs: Sequence[Run], results: Results, crew: Crew, deadline: float | None = None
) -> Iterator[Record]:
    """Execute ``runs`` on a crew and yield their records, each after it is on disk.

    Raises:
      OutOfTimeError: The deadline, by `time.monotonic`, has passed; the next sweep continues
        unfinished runs from their last checkpoints.
      KeyboardInterrupt: Ctrl-C or SIGTERM arrived; the workers are stopped.
      LostRunsError: The workers of a run died three times; all other runs are done.
    """
    sweep = _Sweep(runs, results, crew, deadline)
    try:
        with _interruption() as interrupted:
            yield from sweep.records(interrupted)
    finally:
        sweep.end()


@contextlib.contextmanager
def _interruption() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets, instead of an exception at any place.

    Inside a callback of the garbage collector, for example, Python would print a KeyboardInterrupt
    and drop it, and the sweep would continue.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # only the main thread receives signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: interrupted.set()) for number in numbers]
    try:
        yield interrupted
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def waiting_for(count: int, results: Results) -> str:
    """Return a message about runs of another sweep."""
    return f"waiting for {count} runs of another process; its locks are in {results.unfinished}"


def _lost_message(lost: Sequence[Run]) -> str:
    names = "; ".join(map(describe, lost))
    return (
        f"{len(lost)} runs killed their workers {_TRIES} times each and have no record "
        f"(out of memory? fewer workers need less): {names}"
    )
