"""A sweep by local processes and the same sweep by a Ray cluster: ``python -m benchmarks.engines``.

Every round runs the cells once with each engine, in turn, each into a new directory and with the same
number of workers. The clock includes the start of processes, and of Ray where it is started here.
Beside it stand the seconds that the cells themselves took: what is between the two is overhead.
Cost: with the defaults about eight minutes of two cores.
"""

import dataclasses
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Annotated

import tyro
from rich.console import Console

from adamprox.command_line import parse
from adamprox.sweep import Results, run_cells
from adamprox.sweep.local import cores
from adamprox.sweep.run import ENGINES
from adamprox.training import TrainingCell


@dataclasses.dataclass
class Arguments:
    """Time one sweep on every engine."""

    cells: Annotated[int, tyro.conf.arg(metavar="N")] = 16
    """How many, of one network and as many λ."""
    epochs: Annotated[int, tyro.conf.arg(metavar="N")] = 40
    """Of each, on the digits."""
    depth: Annotated[int, tyro.conf.arg(metavar="6n+2")] = 8
    """Of the ResNet."""
    workers: Annotated[int, tyro.conf.arg(metavar="N")] = len(cores())
    """At once; one a core by default."""
    rounds: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """How often each engine runs them; medians are reported."""
    address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Of a Ray cluster, or auto; Ray is started on this machine by default."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Seconds of one sweep: by the clock, and summed over its cells."""

    wall: float
    cells: float


def sweep(arguments: Arguments, engine: str) -> Sweep:
    """Run all cells once."""
    cells = [
        TrainingCell.of(depth=arguments.depth, epochs=arguments.epochs, weight_decay=1e-5 * number)
        for number in range(arguments.cells)
    ]
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        records = run_cells(
            cells,
            Results(pathlib.Path(directory)),
            workers=arguments.workers,
            engine=engine,
            address=arguments.address if engine == "ray" else None,
            console=Console(quiet=True),
        )
        return Sweep(time.perf_counter() - started, sum(r["seconds"] for r in records))


def table(found: dict[str, list[Sweep]], workers: int) -> str:
    """Markdown: medians of the rounds, predicted from the cells' own seconds and measured."""
    first = statistics.median(s.wall for s in next(iter(found.values())))
    rows = [
        "| engine | s of the cells / workers | s by the clock | ratio to local |",
        "| --- | --: | --: | --: |",
    ]
    for engine, sweeps in found.items():
        wall = statistics.median(s.wall for s in sweeps)
        own = statistics.median(s.cells for s in sweeps) / workers
        rows.append(f"| {engine} | {own:.0f} | {wall:.0f} | {wall / first:.2f} |")
    return "\n".join(rows)


def main(arguments: Arguments) -> None:
    """Compile once, run all engines in turn, print."""
    sweep(dataclasses.replace(arguments, cells=1, epochs=1), "local")  # fills the compilation cache
    found: dict[str, list[Sweep]] = {engine: [] for engine in ENGINES}
    for number in range(arguments.rounds):
        order = list(ENGINES) if number % 2 == 0 else list(ENGINES)[::-1]
        for engine in order:
            found[engine].append(sweep(arguments, engine))
    print(f"{arguments.cells} cells of ResNet-{arguments.depth}, {arguments.epochs} epochs each, "
          f"{arguments.workers} workers, median of {arguments.rounds} rounds.\n")  # fmt: skip
    print(table(found, arguments.workers))


if __name__ == "__main__":
    try:
        main(parse(Arguments, sys.argv[1:], prog="python -m benchmarks.engines"))
    except ValueError as error:
        print(f"python -m benchmarks.engines: {error}", file=sys.stderr)
        sys.exit(2)
