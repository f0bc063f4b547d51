"""Run the cells that have no record yet, with a progress bar."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from adamprox.sweep.cells import Cell, cell_key
from adamprox.sweep.local import run_local
from adamprox.sweep.results import Record, Results


def run_cells(
    cells: Sequence[Cell],
    results: Results,
    *,
    workers: int | None = None,
    console: Console | None = None,
) -> list[Record]:
    """Make sure that every cell has a record; run those that do not.

    Interrupted, it leaves the records of finished cells; called again, it runs the rest.

    Args:
      cells: What is wanted; duplicates count once.
      results: Where records are and go.
      workers: See `adamprox.sweep.local.run_local`.
      console: Where progress is shown; standard error by default.

    Returns:
      One record a distinct cell, in the order of ``cells``.

    Raises:
      KeyboardInterrupt: On Ctrl-C, after the workers have been stopped.
    """
    console = console or Console(stderr=True)
    wanted = list({cell_key(cell): cell for cell in cells}.values())
    missing = [cell for cell in wanted if results.read(cell) is None]
    console.print(f"{len(wanted)} cells, {len(wanted) - len(missing)} already done")
    if missing:
        with _progress(console) as progress:
            task = progress.add_task("training", total=len(missing))
            for _ in run_local(missing, results, workers):
                progress.advance(task)
    return results.read_all(wanted)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )
