"""Progress of run directories in words, with speed and time left."""

import datetime
import pathlib

from adamprox.output import one_line
from adamprox.report.cost import cost_in_seconds, in_words
from adamprox.sweep import Results
from adamprox.sweep.progress import Progress, as_time, progress
from adamprox.sweep.record import Record
from adamprox.training import TrainingRun


def status_lines(root: pathlib.Path) -> list[str]:
    """Return lines on a run directory, or on each run directory in ``root``; nothing is written.

    Raises:
      ValueError: There are no records.
    """
    found = (
        [root] if (root / "records").is_dir() else sorted(p.parent for p in root.glob("*/records"))
    )
    if not found:
        raise ValueError(f"out must hold records, got {root}")
    return [line for out in found for line in _lines(out)]


def _lines(out: pathlib.Path) -> list[str]:
    results = Results(out / "records")
    now = progress(results)
    done, rest = len(now.finished), [*now.running, *now.failed, *now.left]
    damaged = [
        f"  {one_line(path)} is damaged or belongs to another run: not counted"
        for path in now.damaged
    ]
    if now.started is None or not rest:
        return [f"{out}: {done} runs finished", *damaged]
    counts = [
        (done, "finished"),
        *((len(getattr(now, n)), n) for n in ("running", "failed", "left")),
    ]
    text = ", ".join(f"{count} {name}" for count, name in counts)
    return [f"{out}: {done + len(rest)} runs: {text}", *damaged, *_speed(now, results)]


def _speed(now: Progress, results: Results) -> list[str]:
    """Return a line with epochs per second and the time left, as far as both are known."""
    assert now.started is not None
    if not now.running:
        return ["  no process trains; repeat the command to continue"]
    since = [r for r in now.finished if _finished(r) >= now.started and r.kind == TrainingRun.kind]
    elapsed = (datetime.datetime.now(datetime.UTC) - now.started).total_seconds()
    try:
        runs = [
            TrainingRun.from_columns(options)
            for options in (*now.running, *now.left)
            if options["kind"] == TrainingRun.kind
        ]
    except (ValueError, TypeError):
        return ["  another version of the package trains these runs; time left unknown"]
    left = cost_in_seconds(runs, now.finished, results.directory)
    if not since or elapsed <= 0:
        return [f"  about {in_words(left / len(now.running))} left"]
    speed = sum(len(record.epochs) for record in since) / elapsed
    paid = sum(record.seconds for record in since) / elapsed
    remaining = f"about {in_words(left / paid)} left" if paid else "time left unknown"
    return [f"  {speed:.3g} epochs/s, {remaining}"]


def _finished(record: Record) -> datetime.datetime:
    try:
        return as_time(record.origin["finished"])
    except ValueError:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)
