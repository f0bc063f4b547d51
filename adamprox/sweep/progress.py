"""Progress of a sweep, for other processes: the list of its runs, and how far they are."""

import contextlib
import datetime
import json
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from adamprox.files import NotAFileError, read_file, write_atomically
from adamprox.sweep.record import Record
from adamprox.sweep.results import Results
from adamprox.sweep.runs import Run, non_default, run_key

_LIST = "sweep.json"
_LARGEST = 2**26  # bytes; a run takes 300


class Progress(NamedTuple):
    """State of the runs of the last sweep into a directory that is not complete.

    Attributes:
      started: Time at which the sweep started, UTC; None without such a sweep.
      finished: Records of its finished runs; without such a sweep, of all runs.
      running: Options of the runs that a process executes now.
      failed: Options of the runs that raised an error, or killed their workers.
      left: Options of the other runs.
      damaged: Paths of files that hold no intact record.
    """

    started: datetime.datetime | None
    finished: list[Record]
    running: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    left: list[dict[str, Any]]
    damaged: list[pathlib.Path]


def announce(runs: Iterable[Run], results: Results) -> datetime.datetime:
    """List the runs of a sweep in its directory, for `progress`; a full disk is no error.

    Returns:
      Time of the start, which the list has too.
    """
    listed = [{"key": run_key(run), "kind": run.kind, "options": non_default(run)} for run in runs]
    started = datetime.datetime.now(datetime.UTC)
    with contextlib.suppress(OSError):
        contents = json.dumps({"started": started.isoformat(), "runs": listed})
        write_atomically(results.directory / _LIST, contents)
    return started


def retract(results: Results, started: datetime.datetime) -> None:
    """Delete the list of a complete sweep; keep the list of one that started at another time."""
    if _read(results)[0] == started:
        with contextlib.suppress(OSError):
            (results.directory / _LIST).unlink(missing_ok=True)


def progress(results: Results) -> Progress:
    """Return the progress of the last sweep into a directory of records, which is only read."""
    started, listed = _read(results)
    kinds = {path.name for path in results.directory.glob("*") if path.is_dir()} - {"unfinished"}
    damaged: list[pathlib.Path] = []
    found = (record for kind in sorted(kinds) for record in results.each(kind, damaged))
    records = {record.key: record for record in found}
    if started is None:
        return Progress(None, list(records.values()), [], [], [], damaged)
    waiting = {run["key"]: run for run in listed if run["key"] not in records}
    running = [key for key in waiting if results.is_claimed(key)]
    noted = results.failed()
    failed = [key for key in waiting if key in noted and key not in running]
    left = [key for key in waiting if key not in running and key not in failed]
    finished = [records[run["key"]] for run in listed if run["key"] in records]
    now, lost, rest = ([waiting[key] for key in keys] for keys in (running, failed, left))
    return Progress(started, finished, now, lost, rest, damaged)


def as_time(text: str) -> datetime.datetime:
    """Return the time of an ISO text; a text without a zone is in UTC."""
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _read(results: Results) -> tuple[datetime.datetime | None, list[dict[str, Any]]]:
    """Return start and runs of the last sweep; None and [] if no list, or a damaged one, is there."""
    try:
        found = json.loads(read_file(results.directory / _LIST, _LARGEST))
        runs = [
            {"key": str(run["key"]), "kind": str(run["kind"]), **dict(run["options"])}
            for run in found["runs"]
        ]
        return as_time(found["started"]), runs
    except (OSError, NotAFileError, ValueError, TypeError, KeyError, RecursionError):
        return None, []
