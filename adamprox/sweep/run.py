"""Execute the runs without a record, with a progress display."""

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

from adamprox.checks import is_integer
from adamprox.sweep.local import run_local
from adamprox.sweep.progress import announce, retract
from adamprox.sweep.ray_engine import run_ray
from adamprox.sweep.record import Record
from adamprox.sweep.results import Results
from adamprox.sweep.runs import Run, run_key

Engine = Callable[..., Iterator[Record]]
"""Function (runs, results, workers, deadline) -> records, each after it is on disk."""

View = Callable[[Sequence[Run], Sequence[Record]], RenderableType]

ENGINES: dict[str, Engine] = {"local": run_local, "ray": run_ray}
"""Engines by name: processes and devices of this machine, or a Ray cluster."""


def run_sweep(
    runs: Sequence[Run],
    results: Results,
    *,
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    deadline: float | None = None,
    view: View | None = None,
    console: Console | None = None,
) -> list[Record]:
    """Execute the runs without a record, and return the records of all runs.

    After an interruption the records of finished runs remain, and another call executes the rest.
    Two simultaneous sweeps with one directory divide the runs.

    Args:
      runs: Configurations of the runs; duplicates count once.
      results: Store of the records.
      workers: Number of runs at once, None for a default of the engine; see
        `adamprox.sweep.local.run_local`. With the local engine, 0 for this process itself.
      engine: Key of `ENGINES`: ``local`` or ``ray``.
      address: Address of a Ray cluster; see `adamprox.sweep.ray_engine.run_ray`.
      deadline: Time of `time.monotonic` at which to stop; None for no limit.
      view: Function from all runs and the records so far to a display above the progress bar on a
        terminal, or None.
      console: Console for progress; standard error by default.

    Returns:
      One record per distinct run, in the order of ``runs``.

    Raises:
      ValueError: The engine is unknown or not available, the number of workers is invalid, or the
        data of a run do not allow it. No run has started.
      OutOfTimeError: Some runs are not done at the deadline; finished runs have records, and
        another call continues the rest.
      LostRunsError: A run raised an exception, or its workers died at every attempt; all other runs
        are done.
      OSError: A file could not be written, for example on a full disk, and the sweep ended at once;
        or records have disappeared.
      KeyboardInterrupt: Ctrl-C arrived; the workers are stopped.

    Example:
      >>> import tempfile
      >>> from adamprox.training import TrainingRun
      >>> grid = [TrainingRun.of(network="mlp", depth=2, seed=s) for s in (0, 1)]
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     records = run_sweep(grid, Results(folder), workers=0, console=Console(quiet=True))
      >>> [record["seed"] for record in records]
      [0, 1]
    """
    if workers is not None and not is_integer(workers, 0):
        raise ValueError(f"workers must be a whole number >= 0 or None, got {workers!r}")
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if address is not None and engine != "ray":
        raise ValueError(f"address needs the engine ray, the engine is {engine}; got {address!r}")
    console = console or Console(stderr=True, markup=False, emoji=False)
    wanted = list({run_key(run): run for run in runs}.values())
    done = {record.key: record for record in results.read_all(wanted)}
    missing = [run for run in wanted if run_key(run) not in done]
    for run in missing:
        run.check()
    results.clear_leftovers(wanted)
    for path in results.distrusted(missing):
        line = Text(f"{path} is damaged or belongs to another run; the run is repeated")
        console.print(line, soft_wrap=True)
    console.print(f"{len(wanted)} runs, {len(done)} already done")
    if missing:
        options = {"address": address} if engine == "ray" else {}
        finished = ENGINES[engine](missing, results, workers, deadline, **options)
        started = announce(wanted, results)  # the engine has refused what it cannot do
        with _progress(console) as progress:
            task = progress.add_task("training", total=len(missing))
            for record in finished:
                done[record.key] = record
                if view and console.is_terminal:
                    progress.above = view(wanted, [*done.values()])
                progress.advance(task)
        retract(results, started)
    if gone := sum(not results.path(run).exists() for run in wanted):
        raise FileNotFoundError(f"{gone} records of {results.directory} are gone")
    return [done[run_key(run)] for run in wanted]


class _Progress(Progress):
    """Progress bar below the renderable ``above``."""

    above: RenderableType = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the parts of the display to `rich`."""
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
