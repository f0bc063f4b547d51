"""The local engine: one single-threaded worker process a core.

Two single-threaded processes train small networks faster in sum than one process with two threads,
and one thread is bit-reproducible. With no workers the cells run in this process.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

import jax

from adamprox.sweep.cells import Cell
from adamprox.sweep.device import run_on_device, run_one
from adamprox.sweep.results import Record, Results

_WORTH_COMPILING = 12


def run_local(
    cells: Sequence[Cell], results: Results, workers: int | None = None
) -> Iterator[Record]:
    """Run ``cells`` and yield their records as they finish; each is on disk before it is yielded.

    Args:
      cells: What to run, in order of preference.
      results: Where records go.
      workers: Processes; one a core by default, and none (this process) on an accelerator.

    Yields:
      One record a cell.
    """
    if workers is None:
        workers = len(_cores()) if jax.default_backend() == "cpu" else 0
    if workers == 0:
        yield from run_on_device(cells, results)
        return
    crew = [_Worker(core) for core in (_cores() * workers)[: min(workers, len(cells))]]
    try:
        with _interruption() as interrupted:
            yield from _dispatch(list(cells), results, crew, interrupted)
    finally:
        for worker in crew:
            worker.stop()


class _Worker:
    """A pool of one process that remembers which programs it has compiled."""

    def __init__(self, core: int):
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, context, _set_up_worker, (core,))
        self.compiled: set[Hashable] = set()

    def submit(self, cell: Cell, results: Results) -> Future:
        self.compiled.add(cell.program)
        return self.pool.submit(run_one, cell, results)

    def stop(self) -> None:
        processes = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


@contextlib.contextmanager
def _interruption() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, in place of an exception that may be raised anywhere.

    Raised inside a callback of the garbage collector, say, a KeyboardInterrupt would be printed and
    lost, and the sweep would go on.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # only the main thread is given signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: interrupted.set()) for number in numbers]
    try:
        yield interrupted
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _dispatch(
    waiting: list[Cell], results: Results, crew: list[_Worker], interrupted: threading.Event
) -> Iterator[Record]:
    busy: dict[Future, _Worker] = {}
    free, resting = list(crew), []
    while waiting or busy:
        while free and waiting:
            worker = free.pop(0)
            cell = _choose(waiting, worker, crew)
            if cell is None:  # rests until another worker's programs come free, or for good
                resting.append(worker)
                continue
            waiting.remove(cell)
            busy[worker.submit(cell, results)] = worker
        done, _ = wait(busy, timeout=0.2, return_when=FIRST_COMPLETED)
        if interrupted.is_set():
            raise KeyboardInterrupt
        free += resting
        resting.clear()
        for future in done:
            free.append(busy.pop(future))
            yield future.result()


def _choose(waiting: list[Cell], worker: _Worker, crew: list[_Worker]) -> Cell | None:
    """A cell this worker has compiled, else one that nobody has, else any, if enough are left.

    Compiling costs as much as several cells: a worker that would compile what another one has
    compiled, for the last few cells, would finish after it.
    """
    compiled = [cell for cell in waiting if cell.program in worker.compiled]
    taken = set().union(*(other.compiled for other in crew))
    fresh = [cell for cell in waiting if cell.program not in taken]
    many = waiting if len(waiting) >= _WORTH_COMPILING else []
    return next(iter(compiled or fresh or many), None)


def _set_up_worker(core: int) -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    # Both are read when the backend starts, which is after this.
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def _exit_with_parent(parent: int) -> None:
    """End this worker when the process that started it is gone, killed perhaps."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
