"""Runs in processes of their own, and whether two of them came to the same."""

import contextlib
import functools
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from adamprox.report.tables import read_claims
from adamprox.sweep import Results
from adamprox.training import TrainingRun
from tests.faults.case import Finding, Outcome
from tests.squares import table

ROOT = pathlib.Path(__file__).parents[2]
CACHE = ROOT / ".pytest_cache" / "jax"


@contextlib.contextmanager
def started(out: pathlib.Path, *arguments: object) -> Iterator[subprocess.Popen]:
    """The run into ``out`` in a process, which has begun to write; see `tests.faults.victim`."""
    environment = {"JAX_COMPILATION_CACHE_DIR": str(CACHE), **os.environ}
    command = [sys.executable, "-m", "tests.faults.victim", out, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        while not out.exists() and process.poll() is None:
            time.sleep(0.005)
        yield process


def run(out: pathlib.Path, *arguments: object) -> tuple[int, str]:
    """The run to its end: exit code and standard error."""
    with started(out, *arguments) as process:
        _, error = process.communicate(timeout=300)
        return process.returncode, error


def contents(out: pathlib.Path) -> Any:
    """Every record, verdict and table of a run, without when and where it was."""
    records = list(Results(out / "records").each(TrainingRun.kind))
    tables = {p.name: table(pq.read_table(p).to_pylist()) for p in out.glob("tables/*.parquet")}
    found = read_claims(out)
    # As text, since NaN is not equal to itself.
    return repr((table(records), found and found["claims"], tables))


@functools.cache
def uninterrupted() -> tuple[str, float]:
    """Return the result of an undisturbed run, and the time during which it writes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        run(out)  # compiles
        with started(pathlib.Path(folder) / "again") as process:
            began = time.monotonic()
            process.communicate(timeout=300)
            seconds = time.monotonic() - began
        assert contents(out) == contents(pathlib.Path(folder) / "again")
        return contents(out), seconds


def goes_on(out: pathlib.Path, outcome: Outcome, what: str, *arguments: object) -> Finding:
    """``outcome`` if the same command, given again, ends as the uninterrupted run did."""
    code, error = run(out, *arguments)
    same = contents(out) == uninterrupted()[0]
    left = list(out.glob("records/unfinished/*"))
    if outcome is Outcome.HARMLESS:  # a kill, or a disk that takes no changes, leaves half a file
        left += out.rglob(".*.tmp")
    if code or not same:
        return Finding(Outcome.LOST, f"{what}: exit code {code}, same {same}: {error[-500:]}")
    return Finding(outcome, what) if not left else Finding(Outcome.LOST, f"{what}: left {left}")


def one_line(error: str, start: str = "python -m experiments: ") -> bool:
    """Return True if the command prints one line that begins so, beside its table and progress.

    Threads of Orbax may print more where a checkpoint is broken off.
    """
    ours = f'File "{ROOT}'
    return ours not in error and error.count(start) == 1
