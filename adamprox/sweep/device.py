"""The engine for accelerators: execute runs in this process, several at once."""

import contextlib
import hashlib
import json
import logging
import pathlib
import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import jax

from adamprox.files import NotAFileError, read_file, write_atomically
from adamprox.interruption import OutOfTimeError, was_interrupted
from adamprox.sweep.failures import Failures, out_of_memory
from adamprox.sweep.grouping import Composition, composition, fits_devices, next_group
from adamprox.sweep.provenance import provenance
from adamprox.sweep.record import Record
from adamprox.sweep.results import Results
from adamprox.sweep.runs import Batchable, Run, run_key
from adamprox.sweep.scheduler import waiting_for

_PATIENCE = 0.2  # seconds between two checks for records of another sweep
_LARGEST = 2**20  # bytes of the list of a group
_log = logging.getLogger(__name__)


def run_on_device(
    runs: Sequence[Run],
    results: Results,
    deadline: float | None = None,
    at_once: int | None = None,
) -> Iterator[Record]:
    """Execute ``runs`` on all devices of this process; yield each record when it is on disk.

    The function skips runs that another sweep executes, and waits for their records. It first
    continues groups that an interrupted sweep left unfinished.

    Args:
      runs: Runs to execute, in order of preference.
      results: Store of the records.
      deadline: Time of `time.monotonic` at which to stop; None for no limit.
      at_once: Number of runs at once on each device; None for the fastest, which is measured.

    Raises:
      OutOfTimeError: Some runs are not done at the ``deadline``; unfinished groups have
        checkpoints.
      LostRunsError: A run raised an exception; all other runs are done.
    """
    waiting, elsewhere, groups = list(runs), list[Run](), _Groups(results, at_once)
    has_waited = False
    while waiting or elsewhere:
        if deadline is not None and time.monotonic() > deadline:
            raise OutOfTimeError
        if not waiting:  # another sweep executes all remaining runs
            if not has_waited:
                _log.warning(waiting_for(len(elsewhere), results))
            has_waited = True
            time.sleep(_PATIENCE)
            waiting, elsewhere = elsewhere, []
        group = groups.next(waiting)
        keys = {run_key(run) for run in group}
        asked = [run for run in waiting if run_key(run) in keys]
        waiting = _without(waiting, asked)
        with contextlib.ExitStack() as stack:
            ours = [run for run in asked if stack.enter_context(results.claim(run))]
            found = results.read_all(ours)
            if len(ours) == len(asked) and not found:
                again = yield from groups.run(group, deadline)
            else:  # the rest forms a new group, because the program depends on its size
                done = {record.key for record in found}
                again = [run for run in ours if run_key(run) not in done]
        yield from found
        waiting = [*again, *waiting]
        elsewhere += _without(asked, ours)
    groups.failures.end()


class _Groups:
    """Groups of runs in one sweep, and the files of their states."""

    def __init__(self, results: Results, at_once: int | None):
        self.results = results
        self.at_once = at_once
        self.devices = jax.local_device_count()
        self.most: list[tuple[Batchable, int]] = []  # limits of devices that ran out of memory
        self.compiled: list[tuple[Batchable, Composition]] = []
        self.alone: set[str] = set()  # keys of runs whose group raised an exception
        self.failures = Failures(results)

    def next(self, waiting: Sequence[Run]) -> Sequence[Run]:
        """Return an unfinished group, or a new one with the first of ``waiting``.

        An unfinished group keeps the places of its finished runs.
        """
        first: Any = waiting[0]
        if not isinstance(first, Batchable):
            return [first]
        if run_key(waiting[0]) in self.alone:
            return [waiting[0]] * self.devices
        if left := self._unfinished(first, waiting):
            return left
        fitting = [c for c in waiting if type(c) is type(first) and first.fits(c)]
        fitting = [c for c in fitting if run_key(c) not in self.alone]
        known = [composition for run, composition in self.compiled if run.fits(first)]
        return next_group(fitting, self._size(first), self.devices, known)

    def _size(self, run: Any) -> int:
        limits = [size for other, size in self.most if other.fits(run)]
        if limits:
            return min(limits)
        return self.at_once or run.at_once(self.results.directory)

    def run(
        self, group: Sequence[Any], deadline: float | None
    ) -> Generator[Record, None, list[Run]]:
        """Execute a group and yield records; return runs that smaller groups must execute."""
        if isinstance(group[0], Batchable):
            self.compiled.append((group[0], composition(group)))
        files = _Files(self.results, group)
        computed = _compute(group, files.begin(), deadline)
        while True:
            try:
                run, columns = next(computed)
            except StopIteration:
                files.end()
                return []
            except Exception as error:
                again = self._after(error, group)
                if again:
                    files.end()
                return again
            if self.results.read(run) is None:
                about = provenance() | {"runs_at_once": max(1, len(group) // self.devices)}
                yield self.results.write(run, columns, about)

    def _after(self, error: Exception, group: Sequence[Any]) -> list[Run]:
        """Return the runs of a group to execute again after an exception of one of them.

        An exception that says nothing about a single run is raised again.
        """
        if was_interrupted(error) or isinstance(error, OutOfTimeError | OSError):
            raise error
        left = {run_key(run): run for run in group if self.results.read(run) is None}
        each = len(group) // self.devices
        if each > 1 and out_of_memory(error):
            message = "not enough memory for %d runs at once; they start again, %d at once"
            _log.warning(message, each, each // 2)
            self.most.append((group[0], each // 2))
        elif len(left) > 1:
            self.alone.update(left)
        elif not left:
            _log.warning("after the last record of a group: %s: %s", type(error).__name__, error)
        else:
            for run in left.values():
                self.failures.add(run, error)
            return []
        return list(left.values())

    def _unfinished(self, like: Any, waiting: Sequence[Run]) -> list[Any]:
        """Return an interrupted group for these devices whose runs all wait or are done, or []."""
        keys = {run_key(run): run for run in waiting}
        for path in sorted(self.results.unfinished.glob("group-*.json")):
            runs = _listed(path, like)
            missing = [run for run in runs if self.results.read(run) is None]
            if runs and not missing:
                # The process was killed right after the last record.
                _Files(self.results, runs).end()
            elif fits_devices(runs, self.devices) and all(run_key(r) in keys for r in missing):
                return runs
        return []


def _compute(
    group: Sequence[Any], scratch: pathlib.Path, deadline: float | None
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield the runs of a group and their columns."""
    if isinstance(group[0], Batchable):
        yield from type(group[0]).run_together(group, scratch, deadline)
    else:
        yield group[0], group[0].run(scratch)


class _Files:
    """Checkpoints of a group, and the list of its runs."""

    def __init__(self, results: Results, group: Sequence[Any]):
        keys = [run_key(run) for run in group]
        name = hashlib.sha256(" ".join(keys).encode()).hexdigest()[:20]
        self.group = group
        self.scratch = results.unfinished / f"group-{name}"
        if len(group) == 1:
            self.scratch = results.scratch(group[0])
        self.list = self.scratch.with_suffix(".json")

    def begin(self) -> pathlib.Path:
        if len(self.group) > 1:
            options = [run.config() for run in self.group]
            write_atomically(self.list, json.dumps(options))
        return self.scratch

    def end(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.list.unlink(missing_ok=True)


def _listed(path: pathlib.Path, like: Any) -> list[Any]:
    """Return the runs of a list file, or [] if it has no runs of the kind of ``like``."""
    try:
        options = json.loads(read_file(path, _LARGEST))
        runs = [like.from_columns(one) for one in options]
    except (
        FileNotFoundError,
        NotAFileError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        return []
    same = [run.config() for run in runs] == options
    return runs if same and all(like.fits(run) for run in runs) else []


def _without(runs: Sequence[Run], taken: Sequence[Run]) -> list[Run]:
    gone = {id(run) for run in taken}
    return [run for run in runs if id(run) not in gone]
