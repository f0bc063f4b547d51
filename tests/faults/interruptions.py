"""Runs that are killed or stopped: the same command, given again, ends as if they had not been."""

import functools
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from adamprox.sweep import Results
from tests.faults import checkpoints
from tests.faults.case import Case, Finding, Outcome, Setting
from tests.faults.killed_writes import write_record
from tests.faults.runs import ROOT, goes_on, one_line, run, started, uninterrupted
from tests.squares import Square

_OPERATIONS = 150  # of the whole run; a number beyond its last is a run that nothing happens to


def at_random_moments(setting: Setting, number: signal.Signals, count: int) -> Iterator[Finding]:
    """A signal at any moment between the first file of a run and its end."""
    for trial in range(count if setting.thorough else 1):
        out = setting.folder / str(trial)
        delay = setting.moments.uniform(0, uninterrupted()[1])
        with started(out) as process:
            time.sleep(delay)
            process.send_signal(number)
            _, error = process.communicate(timeout=300)
        yield _stopped(out, process.returncode, error, f"after {delay:.2f} s")


def at_operations(setting: Setting, fault: str, count: int) -> Iterator[Finding]:
    """A signal just before a file operation, drawn from all that the run makes."""
    for at in setting.some(setting.moments.sample(range(1, _OPERATIONS), count), 1):
        out = setting.folder / str(at)
        yield _stopped(out, *run(out, fault, at), f"at operation {at}")


def _stopped(out: pathlib.Path, code: int, error: str, what: str) -> Finding:
    """Return the outcome of an interrupted run and of the same command after it."""
    if code == 0:  # done
        return goes_on(out, Outcome.HARMLESS, what)
    if code == 130:
        said = one_line(error, "interrupted; finished runs are kept")
        return goes_on(out, Outcome.REFUSED, what) if said else Finding(Outcome.LOST, error)
    expected = code == -signal.SIGKILL
    lost = Finding(Outcome.LOST, f"{what}: exit code {code}: {error}")
    return goes_on(out, Outcome.RECOVERED, what) if expected else lost


def writes(setting: Setting, what: str, whole: Callable[[pathlib.Path], bool]) -> Iterator[Finding]:
    """Kills before every file operation of one write; see `tests.faults.killed_writes`."""
    command = [sys.executable, "-m", "tests.faults.killed_writes", setting.folder, what]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    folders = sorted(setting.folder.iterdir(), key=lambda folder: int(folder.name))
    for folder in folders:
        outcome = Outcome.HARMLESS if folder is folders[-1] else Outcome.RECOVERED
        yield Finding(outcome if whole(folder) else Outcome.LOST, f"at operation {folder.name}")


def record_is_whole(folder: pathlib.Path) -> bool:
    """Return True if the record is whole or absent, and can be written again."""
    before = Results(folder).read(Square(2.0))
    write_record(folder)
    after = Results(folder).read(Square(2.0))
    return (before is None or before["square"] == 4) and after is not None


def checkpoint_is_whole(folder: pathlib.Path) -> bool:
    """Likewise of two checkpoints, the second after the first."""
    number, _ = checkpoints.found(folder)
    checkpoints.save(folder, range(number + 1, 3))
    return checkpoints.found(folder)[0] == 2


CASES = [
    Case(
        "SIGKILL before each file operation of writing a record",
        functools.partial(writes, what="record", whole=record_is_whole),
    ),
    Case(
        "SIGKILL before each file operation of saving two checkpoints",
        functools.partial(writes, what="checkpoint", whole=checkpoint_is_whole),
        slow=True,
    ),
    Case(
        "SIGKILL of a run at random moments",
        functools.partial(at_random_moments, number=signal.SIGKILL, count=30),
        slow=True,
    ),
    Case(
        "SIGKILL of a run before random file operations",
        functools.partial(at_operations, fault="kill", count=20),
        slow=True,
    ),
    Case(
        "SIGTERM at random moments",
        functools.partial(at_random_moments, number=signal.SIGTERM, count=20),
        slow=True,
    ),
    Case(
        "SIGTERM before random file operations",
        functools.partial(at_operations, fault="terminate", count=5),
        slow=True,
    ),
    Case(
        "Ctrl-C at random moments",
        functools.partial(at_random_moments, number=signal.SIGINT, count=20),
        slow=True,
    ),
    Case(
        "Ctrl-C before random file operations",
        functools.partial(at_operations, fault="interrupt", count=5),
        slow=True,
    ),
]
