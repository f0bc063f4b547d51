"""The local engine: one single-threaded worker process per core.

Two single-threaded processes together train small networks faster than one process with two
threads, and one thread is bit-reproducible. With 0 workers this process executes the runs.
"""

import contextlib
import logging
import multiprocessing
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import jax

from adamprox.sweep.device import run_on_device
from adamprox.sweep.failures import LostRunsError
from adamprox.sweep.lock import locked
from adamprox.sweep.record import Record
from adamprox.sweep.results import Results
from adamprox.sweep.runs import Run
from adamprox.sweep.scheduler import CANNOT_START, WorkerDiedError, compute, dispatch

_log = logging.getLogger(__name__)


def run_local(
    runs: Sequence[Run],
    results: Results,
    workers: int | None = None,
    deadline: float | None = None,
) -> Iterator[Record]:
    """Execute ``runs`` and yield their records as they finish, each after it is on disk.

    Args:
      runs: Runs to execute, in order of preference.
      results: Store of the records.
      workers: On a CPU, number of worker processes, at most the number of cores; 0 means this
        process, None one process per core. On an accelerator this process executes the runs, and
        the number is that of runs at once on each device; None or 0 means the fastest one.
      deadline: Time of `time.monotonic` at which to stop; None for no limit.

    Yields:
      One record per run.

    Raises:
      OutOfTimeError: Some runs are not done at the deadline.
    """
    cpu = jax.default_backend() == "cpu"
    if workers is None and cpu:
        workers = len(cores())
    if not workers or not cpu:
        yield from run_on_device(runs, results, deadline, workers or None)
    else:
        if workers > len(cores()):
            _log.warning("%s workers are too many: %s cores", workers, len(cores()))
        size = min(workers, len(runs), len(cores()))
        with _claimed_cores(size) as places:
            yield from dispatch(runs, results, _Processes(places), deadline)


@contextlib.contextmanager
def _claimed_cores(size: int) -> Iterator[list[int | None]]:
    """Claim a core for each of ``size`` workers until the end of the context.

    Yields:
      Numbers of cores that no other sweep of this user has claimed, then None for workers without
      one; the operating system places those.
    """
    places: list[int | None] = []
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # no folder for the locks
            folder = _folder_of_locks()
            for core in cores():
                if len(places) < size and stack.enter_context(locked(folder / f"core-{core}.lock")):
                    places.append(core)
        yield places + [None] * (size - len(places))


def _folder_of_locks() -> pathlib.Path:
    """Return a folder of this user for all sweeps of this machine; refuse one of another user."""
    user = getattr(os, "getuid", int)()
    folder = pathlib.Path(tempfile.gettempdir(), f"adamprox-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != user:
        raise PermissionError(f"{folder} belongs to another user")
    return folder


class _Processes:
    """Pools of one process each; a process that dies does not break the others."""

    def __init__(self, places: Sequence[int | None]):
        self.size = len(places)
        self._places = places
        self._context = multiprocessing.get_context("spawn")

    def start(self, place: int) -> tuple[ProcessPoolExecutor, Future]:
        try:
            pool = ProcessPoolExecutor(1, self._context, _set_up_worker, (self._places[place],))
            with _no_script_on_standard_input():
                return pool, pool.submit(_ready)
        except BrokenPipeError:  # the process ended before its first task
            raise LostRunsError(CANNOT_START) from None

    def submit(
        self, worker: ProcessPoolExecutor, run: Run, scratch: pathlib.Path, left: float | None
    ) -> Future:
        try:
            return worker.submit(compute, run, scratch, left)
        except BrokenProcessPool as error:  # the process died while idle
            handle = Future()
            handle.set_exception(error)
            return handle

    def wait(self, handles: Sequence[Future], timeout: float) -> list[Future]:
        return list(wait(handles, timeout, FIRST_COMPLETED).done)

    def result(self, handle: Future) -> Any:
        try:
            return handle.result()
        except BrokenProcessPool:
            raise WorkerDiedError from None

    def stop(self, worker: ProcessPoolExecutor) -> None:
        processes = list((worker._processes or {}).values())
        worker.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


@contextlib.contextmanager
def _no_script_on_standard_input() -> Iterator[None]:
    """Keep new workers from reading the file ``<stdin>``, which ``python - < script`` has for a script."""
    main = sys.modules["__main__"]
    file = vars(main).get("__file__")
    if file is None or os.path.exists(file):
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file


def _ready() -> None:
    """Do nothing: the first task of a worker shows that it has started."""


def _set_up_worker(core: int | None) -> None:
    # Ctrl-C reaches the whole process group; the parent decides for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    use_one_thread()
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def use_one_thread() -> None:
    """Make XLA use one thread in this process; call this before the first use of XLA.

    Results are then bit-identical in all workers on machines of one kind.
    """
    # XLA reads both variables when the backend starts.
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    # Size of XLA's thread pool, and number of parts of its loops and sums.
    os.environ["NPROC"] = "1"


def _exit_with_parent(parent: int) -> None:
    """End this worker when its parent process has ended or was killed."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def cores() -> list[int]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
