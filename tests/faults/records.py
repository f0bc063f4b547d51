"""Records and verdicts whose files are hurt: counted as absent and named, or as they were written."""

import functools
import io
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator

from rich.console import Console

from adamprox.report import Claim
from adamprox.report.claims import Verdict
from adamprox.report.tables import read_claims, write_claims
from adamprox.sweep import Results, run_sweep
from tests.faults.case import Case, Finding, Outcome, Setting
from tests.faults.damage import DAMAGES, damages, replaced_by
from tests.squares import QUIET, Square, table

CELL, OTHER = Square(2.0), Square(3.0)


def judge(results: Results, whole: dict, what: str) -> Finding:
    """Return the outcome of a sweep over one run, whose record was ``whole`` before its damage."""
    path = results.path(CELL)
    if results.read(CELL) == whole:
        return Finding(Outcome.HARMLESS, what)
    found = results.read(CELL)
    present, said = path.exists(), Console(file=io.StringIO(), width=1000)
    (record,) = run_sweep([CELL], results, workers=0, console=said)
    named = str(path) in said.file.getvalue() or not present
    again = table([record]) == table([whole]) and results.read(CELL) == record
    good = found is None and named and again
    return Finding(Outcome.RECOVERED if good else Outcome.LOST, what)


def record(setting: Setting, damage: str) -> Iterator[Finding]:
    """The record of a cell, damaged in many places; then the sweep is run again."""
    results = Results(setting.folder)
    for number, do in enumerate(damages(damage, setting, 25)):
        results.path(CELL).unlink(missing_ok=True)
        (whole,) = run_sweep([CELL], results, workers=0, console=QUIET)
        do(results.path(CELL), setting.moments)
        yield judge(results, whole, f"{damage} {number}")


def exchanged(setting: Setting) -> Iterator[Finding]:
    """The intact record of another cell, under this one's name."""
    results = Results(setting.folder)
    whole, _ = run_sweep([CELL, OTHER], results, workers=0, console=QUIET)
    replaced_by(results.path(OTHER))(results.path(CELL), setting.moments)
    yield judge(results, whole, "another cell's")


def times(setting: Setting) -> Iterator[Finding]:
    """Files whose times were set by a clock that was wrong: no decision is made by them."""
    results = Results(setting.folder)
    (whole,) = run_sweep([CELL], results, workers=0, console=QUIET)
    for year in (0, 2**31 - 1, 2**32):  # 1970, 2038, 2106
        os.utime(results.path(CELL), (year, year))
        yield judge(results, whole, str(year))


CLAIM = Claim("§1", "It is so.", "1 %", "2 %", Verdict.REPRODUCED)


def claims(setting: Setting, damage: str) -> Iterator[Finding]:
    """The verdicts of a run: what comes back is what was written, or nothing."""
    path = setting.folder / "claims.json"
    for number, do in enumerate(damages(damage, setting, 10)):
        path.unlink(missing_ok=True)
        write_claims(setting.folder, {"one": [CLAIM]}, {"preset": "demo"})
        whole = read_claims(setting.folder)
        do(path, setting.moments)
        yield _read_again(path, whole, lambda: write_claims(setting.folder, {}, {}), f"{number}")


def _read_again(
    path: pathlib.Path, whole: dict | None, write: Callable[[], None], what: str
) -> Finding:
    found, present = read_claims(path.parent), path.exists()
    if found == whole:
        return Finding(Outcome.HARMLESS, what)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write()  # what other experiments left is gone: that must be said
    named = not present or any(str(path) in str(warning.message) for warning in caught)
    return Finding(Outcome.RECOVERED if found is None and named else Outcome.LOST, what)


CASES = [
    *(Case(f"a record: {name}", functools.partial(record, damage=name)) for name in DAMAGES),
    Case("a record: that of another run", exchanged),
    Case("a record with a time of 1970, 2038 or 2106", times),
    *(Case(f"`claims.json`: {name}", functools.partial(claims, damage=name)) for name in DAMAGES),
]
