"""Overhead of local processes and of a Ray cluster for the same sweep.

Command: python -m benchmarks.engines
Cost: about eight minutes on two cores with the defaults.

Every round executes the sweep once with each engine, into a new directory and with the same number
of workers. The wall time includes the start of processes, and of Ray if it starts here. The
overhead is the wall time minus the summed durations of the runs per worker.
"""

import argparse
import dataclasses
import functools
import pathlib
import statistics
import tempfile
import time
from collections.abc import Sequence

from rich.console import Console

from adamprox.checks import positive_integer
from adamprox.command_line import Parser, integer
from adamprox.sweep import Results, run_sweep
from adamprox.sweep.local import cores
from adamprox.sweep.ray_cluster import check_cluster
from adamprox.sweep.run import ENGINES
from adamprox.training import TrainingRun


def arguments_parser() -> Parser:
    """Return the parser of this command."""
    parser = Parser(
        prog="python -m benchmarks.engines", description="Time one sweep on every engine."
    )
    add = functools.partial(parser.add_argument, type=integer, metavar="N")
    add("--runs", default=16, help="runs of a sweep, of one network, each with its own λ (16)")
    add("--epochs", default=40, help="epochs of a run on the digits (40)")
    add("--depth", default=8, metavar="6n+2", help="depth of the ResNet (8)")
    add("--workers", default=len(cores()), help="workers (one per core)")
    add("--rounds", default=3, help="sweeps per engine; the table shows medians (3)")
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="Ray cluster, or auto (default: start Ray here)"
    )
    return parser


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Wall time of one sweep and total time of its runs, in seconds."""

    wall: float
    runs: float


def sweep(arguments: argparse.Namespace, engine: str) -> Sweep:
    """Execute the sweep once."""
    runs = [
        TrainingRun.of(depth=arguments.depth, epochs=arguments.epochs, weight_decay=1e-5 * number)
        for number in range(arguments.runs)
    ]
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        records = run_sweep(
            runs,
            Results(pathlib.Path(directory)),
            workers=arguments.workers,
            engine=engine,
            address=arguments.address if engine == "ray" else None,
            console=Console(quiet=True),
        )
        return Sweep(time.perf_counter() - started, sum(r["seconds"] for r in records))


def table(found: dict[str, list[Sweep]], workers: int) -> str:
    """Return a Markdown table of medians over rounds: time of the runs, and wall time."""
    first = statistics.median(s.wall for s in next(iter(found.values())))
    rows = [
        "| engine | s of the runs / workers | wall time in s | ratio to local |",
        "| --- | --: | --: | --: |",
    ]
    for engine, sweeps in found.items():
        wall = statistics.median(s.wall for s in sweeps)
        own = statistics.median(s.runs for s in sweeps) / workers
        rows.append(f"| {engine} | {own:.0f} | {wall:.0f} | {wall / first:.2f} |")
    return "\n".join(rows)


def main(given: Sequence[str] | None = None) -> None:
    """Compile once, time all engines in turn, and print the table."""
    parser = arguments_parser()
    arguments = parser.parse_args(given)
    try:
        for name in ("runs", "epochs", "workers", "rounds"):
            positive_integer(name, getattr(arguments, name))
        once = argparse.Namespace(**{**vars(arguments), "runs": 1, "epochs": 1})
        TrainingRun.of(depth=arguments.depth)
        check_cluster(arguments.address)
    except ValueError as error:
        parser.error(str(error))
    sweep(once, "local")  # fills the compilation cache
    found: dict[str, list[Sweep]] = {engine: [] for engine in ENGINES}
    for number in range(arguments.rounds):
        order = list(ENGINES) if number % 2 == 0 else list(ENGINES)[::-1]
        for engine in order:
            found[engine].append(sweep(arguments, engine))
    print(f"{arguments.runs} runs of ResNet-{arguments.depth}, {arguments.epochs} epochs each, "
          f"{arguments.workers} workers, median of {arguments.rounds} rounds.\n")  # fmt: skip
    print(table(found, arguments.workers))


if __name__ == "__main__":
    main()
