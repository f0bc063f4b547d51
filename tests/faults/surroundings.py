"""Surroundings that fail a run: disks, clocks, hosts, another run beside it."""

import functools
import pathlib
import resource
import subprocess
from collections.abc import Iterator

from adamprox.sweep import Results
from tests.faults.case import Case, Finding, Outcome, Setting
from tests.faults.runs import contents, goes_on, one_line, run, started, uninterrupted
from tests.squares import Square

_OPERATIONS = 120  # nearly all of the run's


def at_operations(setting: Setting, fault: str, count: int) -> Iterator[Finding]:
    """A disk that fails from some file operation on; then the same command on one that does not."""
    for at in setting.some(setting.moments.sample(range(1, _OPERATIONS), count), 1):
        out = setting.folder / str(at)
        yield _failed(out, *run(out, fault, at), f"{fault} at operation {at}")


def _failed(out: pathlib.Path, code: int, error: str, what: str) -> Finding:
    if code == 0:
        return goes_on(out, Outcome.HARMLESS, what)
    if code in (1, 2) and one_line(error):
        return goes_on(out, Outcome.REFUSED, what)
    return Finding(Outcome.LOST, f"{what}: exit code {code}: {error[-2000:]}")


def read_only_from_the_start(setting: Setting) -> Iterator[Finding]:
    """Nothing can be written: refused before anything is computed, and nothing made."""
    out = setting.folder / "out"
    code, error = run(out, "read_only", 1)
    good = code == 2 and one_line(error) and "out must be" in error and not out.exists()
    yield Finding(Outcome.REFUSED if good else Outcome.LOST, error)


def small_file_system(setting: Setting) -> Iterator[Finding]:
    """A real file system of too few pages, given more afterwards; where mounting is allowed."""
    for kilobytes in setting.some([16, 64, 128, 192, 256], 1):
        folder = setting.folder / str(kilobytes)
        folder.mkdir()
        if not _mounted(folder, f"size={kilobytes}k"):
            return
        try:
            found = run(folder / "out")
            _mounted(folder, "remount,size=64m")
            yield _failed(folder / "out", *found, f"{kilobytes} kB")
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _mounted(folder: pathlib.Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def record_too_large(setting: Setting) -> Iterator[Finding]:
    """A limit on the size of files that a record does not fit: no part of one is left."""
    results = Results(setting.folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in setting.some([0, 1, 100, 1000], 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            results.write(Square(2.0), {"square": 4.0}, {})
            refused = False
        except OSError as error:
            refused = "\n" not in str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        left = [path for path in setting.folder.rglob("*") if path.is_file()]
        yield Finding(Outcome.REFUSED if refused and not left else Outcome.LOST, f"{size} bytes")


def two_at_once(setting: Setting) -> Iterator[Finding]:
    """Two processes with the same command: both end, and share the cells."""
    for trial in range(3 if setting.thorough else 1):
        out = setting.folder / str(trial)
        with started(out) as one, started(out) as other:
            errors = [process.communicate(timeout=300)[1] for process in (one, other)]
        codes = one.returncode, other.returncode
        good = codes == (0, 0) and contents(out) == uninterrupted()[0]
        yield Finding(Outcome.HARMLESS if good else Outcome.LOST, f"{codes}: {errors}")


def stepped(setting: Setting, faults: tuple[str, ...]) -> Iterator[Finding]:
    """A clock or a host name that changes during a run: nothing is decided by either."""
    for fault in faults:
        for at in setting.some([2, 40, 80], 1):
            out = setting.folder / f"{fault}{at}"
            yield _failed(out, *run(out, fault, at), f"{fault} at operation {at}")


def moved_to_another_host(setting: Setting) -> Iterator[Finding]:
    """A run that is killed on one host and goes on on another."""
    for at in setting.some([20, 60, 100], 1):
        out = setting.folder / str(at)
        run(out, "kill", at)
        yield goes_on(out, Outcome.RECOVERED, f"killed at operation {at}", "host", 1)


def lock_left_behind(setting: Setting) -> Iterator[Finding]:
    """The claim of a cell, in a file that a killed process leaves, keeps nobody from running it."""
    results = Results(setting.folder)
    for content in (b"", b"1", b"\0" * 100):
        lock = results.scratch(Square(2.0)).with_suffix(".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_bytes(content)
        with results.claim(Square(2.0)) as ours:
            yield Finding(Outcome.RECOVERED if ours else Outcome.LOST, repr(content))


def _slow(name: str, trials) -> Case:
    return Case(name, trials, slow=True)


CASES = [
    Case("files may not grow: a record is written", record_too_large),
    Case("a lock file that a killed process left", lock_left_behind),
    _slow(
        "disk full from some operation on",
        functools.partial(at_operations, fault="disk_full", count=15),
    ),
    _slow(
        "quota exceeded from some operation on",
        functools.partial(at_operations, fault="quota", count=5),
    ),
    _slow("disk full: a file system of 16 to 256 kB", small_file_system),
    _slow("read-only from the start", read_only_from_the_start),
    _slow(
        "read-only from some operation on",
        functools.partial(at_operations, fault="read_only", count=10),
    ),
    _slow("two processes on one run directory", two_at_once),
    _slow(
        "the clock steps back or forward by a year",
        functools.partial(stepped, faults=("clock_back", "clock_forward")),
    ),
    _slow("the host is renamed during a run", functools.partial(stepped, faults=("host",))),
    _slow("killed, and continued on another host", moved_to_another_host),
]
