"""Run the cells that have no record yet, with a progress bar."""

import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from adamprox.sweep.cells import Cell, cell_key, check_data
from adamprox.sweep.local import run_local
from adamprox.sweep.ray_engine import run_ray
from adamprox.sweep.record import Record
from adamprox.sweep.results import Results

Engine = Callable[[Sequence[Cell], Results, int | None, str | None, float | None], Iterator[Record]]
"""(cells, results, workers, address, deadline) -> the records as they finish, on disk by then."""

View = Callable[[Sequence[Cell], Sequence[Record]], RenderableType]

ENGINES: dict[str, Engine] = {"local": run_local, "ray": run_ray}
"""Where cells run: processes and devices of this machine, or a Ray cluster."""


def run_cells(
    cells: Sequence[Cell],
    results: Results,
    *,
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    deadline: float | None = None,
    view: View | None = None,
    console: Console | None = None,
) -> list[Record]:
    """Make sure that every cell has a record; run those that do not.

    Interrupted, it leaves the records of finished cells; called again, it runs the rest. Two sweeps
    into one directory at once share the cells between them.

    Args:
      cells: What is wanted; duplicates count once.
      results: Where records are and go.
      workers: How many cells at once, 0 for this process itself, None for what suits the machine.
      engine: A key of `ENGINES`: ``local`` or ``ray``.
      address: Of a Ray cluster; see `adamprox.sweep.ray_engine.run_ray`.
      deadline: `time.monotonic` at which to stop; None for no limit.
      view: What is shown above the progress bar of a terminal, of all cells and the records so far.
      console: Where progress is shown; standard error by default.

    Returns:
      One record a distinct cell, in the order of ``cells``.

    Raises:
      ValueError: There is no such engine, or not here, or no such number of workers, or a cell
        cannot be run on its data; nothing has been run.
      OutOfTimeError: The deadline has come; finished cells have records, and the rest goes on with
        the next call.
      LostCellsError: A cell ended its worker every time it was tried; all others have been run.
      KeyboardInterrupt: On Ctrl-C, after the workers have been stopped.

    Example:
      >>> import tempfile
      >>> from adamprox.training import TrainingCell
      >>> grid = [TrainingCell.of(network="mlp", depth=2, seed=s) for s in (0, 1)]
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     records = run_cells(grid, Results(folder), workers=0, console=Console(quiet=True))
      >>> [record["seed"] for record in records]
      [0, 1]
    """
    whole = isinstance(workers, numbers.Integral) and not isinstance(workers, bool)
    if workers is not None and not (whole and int(workers) >= 0):
        raise ValueError(f"workers must be a whole number >= 0 or None, got {workers!r}")
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    console = console or Console(stderr=True, markup=False, emoji=False)
    wanted = list({cell_key(cell): cell for cell in cells}.values())
    missing = [cell for cell in wanted if results.read(cell) is None]
    check_data(missing)
    results.clear_leftovers(wanted)
    for path in results.distrusted(missing):
        line = Text(f"{path} is damaged or of another cell: run again")
        console.print(line, soft_wrap=True)
    console.print(f"{len(wanted)} cells, {len(wanted) - len(missing)} already done")
    if missing:
        finished = ENGINES[engine](missing, results, workers, address, deadline)
        with _progress(console) as progress:
            task = progress.add_task("training", total=len(missing))
            records = results.read_all(wanted)
            for record in finished:
                records.append(record)
                if view and console.is_terminal:
                    progress.above = view(wanted, records)
                progress.advance(task)
    return results.read_all(wanted)


class _Progress(Progress):
    """A progress bar below whatever is ``above``."""

    above: RenderableType = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """What `rich` draws."""
        yield self.above
        yield from super().get_renderables()


def _progress(console: Console) -> _Progress:
    return _Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )
