"""Heatmaps in the terminal, updated when runs finish."""

from collections.abc import Sequence

from rich.columns import Columns
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from adamprox.report.claims import compact
from adamprox.report.planned import by_grid, differing
from adamprox.sweep import Run, run_key
from adamprox.sweep.record import Record
from adamprox.training import TrainingRun

_SHOWN = 6  # grids that fit on a screen
_WIDTH = 24  # columns of a table, at least; the words of its title fit


def live_grids(runs: Sequence[Run], records: Sequence[Record]) -> RenderableType:
    """Return test errors in percent over (λ, α), a table for each grid, unfinished grids first.

    A table has the smallest seed of its grid. Its title has the options in which the grids differ.

    Args:
      runs: Planned runs; those that train a network are shown.
      records: Records of finished runs.
    """
    errors = {record["key"]: record.get("final_test_error", "") for record in records}
    trained = by_grid(run for run in runs if isinstance(run, TrainingRun))
    grids = [_of_smallest_seed(grid) for grid in trained]
    grids.sort(key=lambda grid: all(run_key(run) in errors for run in grid))  # stable
    shown = grids[:_SHOWN]
    differ = differing(shown)
    return Columns([_table(grid, differ, errors) for grid in shown], padding=(0, 3))


def _of_smallest_seed(grid: Sequence[TrainingRun]) -> list[TrainingRun]:
    first = min(run.seed for run in grid)
    return [run for run in grid if run.seed == first]


def _table(grid: Sequence[TrainingRun], differ: Sequence[str], errors: dict[str, object]) -> Table:
    options = grid[0].config()
    title = "; ".join([grid[0].optimizer, *(f"{name} {options[name]}" for name in differ)])
    table = Table("α \\ λ", title=title, title_style="bold", box=None, min_width=_WIDTH)
    at = {(run.learning_rate, run.weight_decay): run_key(run) for run in grid}
    decays = sorted({run.weight_decay for run in grid})
    for decay in decays:
        table.add_column(compact(decay), justify="right")
    for alpha in sorted({run.learning_rate for run in grid}, reverse=True):
        tiles = (_tile(at.get((alpha, decay)), errors) for decay in decays)
        table.add_row(compact(alpha), *tiles)
    return table


def _tile(key: str | None, errors: dict[str, object]) -> Text:
    if key is None:
        return Text("")
    if key not in errors:
        return Text("·", style="dim")
    error = errors[key]
    if not isinstance(error, float):
        return Text("////", style="red")
    return Text(f"{100 * error:.1f}", style="green" if error < 0.5 else "")
