"""The local engine: one single-threaded worker process a core.

Two single-threaded processes train small networks faster in sum than one process with two threads,
and one thread is bit-reproducible. With no workers the cells run in this process.
"""

import logging
import multiprocessing
import os
import pathlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import jax

from adamprox.sweep.cells import Cell
from adamprox.sweep.crew import CANNOT_START, LostCellsError, WorkerDiedError, compute, dispatch
from adamprox.sweep.device import run_on_device
from adamprox.sweep.record import Record
from adamprox.sweep.results import Results

_log = logging.getLogger(__name__)


def run_local(
    cells: Sequence[Cell],
    results: Results,
    workers: int | None = None,
    address: str | None = None,
    deadline: float | None = None,
) -> Iterator[Record]:
    """Run ``cells`` and yield their records as they finish; each is on disk before it is yielded.

    Args:
      cells: What to run, in order of preference.
      results: Where records go.
      workers: Processes, no more than cores; one a core by default, and none (this process, on all
        its devices) on an accelerator.
      address: None; this engine is here.
      deadline: `time.monotonic` at which to stop; None for no limit.

    Yields:
      One record a cell.

    Raises:
      ValueError: There is an address.
      OutOfTimeError: Not all are done at the deadline.
    """
    if address is not None:
        raise ValueError(f"address is for the engine ray, the engine is local; got {address!r}")
    if workers is None:
        workers = len(cores()) if jax.default_backend() == "cpu" else 0
    if workers == 0:
        yield from run_on_device(cells, results, deadline)
    else:
        if workers > len(cores()):
            _log.warning("%s workers are too many: %s cores", workers, len(cores()))
        size = min(workers, len(cells), len(cores()))
        yield from dispatch(cells, results, _Processes(size), deadline)


class _Processes:
    """Pools of one process each, so that one that dies breaks no other."""

    def __init__(self, size: int):
        self.size = size
        self._context = multiprocessing.get_context("spawn")

    def start(self, place: int) -> tuple[ProcessPoolExecutor, Future]:
        try:
            pool = ProcessPoolExecutor(1, self._context, _set_up_worker, (cores()[place],))
            return pool, pool.submit(_ready)
        except BrokenPipeError:  # it ended before it was told what to do
            raise LostCellsError(CANNOT_START) from None

    def submit(self, worker: ProcessPoolExecutor, cell: Cell, scratch: pathlib.Path) -> Future:
        try:
            return worker.submit(compute, cell, scratch)
        except BrokenProcessPool as error:  # it died while it had nothing to do
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


def _ready() -> None:
    """The first thing a worker does: it shows that it can do anything."""


def _set_up_worker(core: int) -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    use_one_thread()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def use_one_thread() -> None:
    """Have XLA compute on one thread in this process, in which it has not been used yet.

    Results are then the same to the bit on machines of one kind, wherever a worker runs.
    """
    # Both are read when the backend starts, which is after this.
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    # The size of XLA's pool of threads, into as many parts as which it divides loops and sums.
    os.environ["NPROC"] = "1"


def _exit_with_parent(parent: int) -> None:
    """End this worker when the process that started it is gone, killed perhaps."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
