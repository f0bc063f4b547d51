"""Heatmaps in the terminal, updated when runs finish."""

from collections.abc import Sequence

from rich.columns import Columns
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from adamprox.report.claims import compact
from adamprox.sweep import Record, Run, run_key
from adamprox.training import TrainingRun

_SHOWN = 6  # grids that fit on a screen


def live_grids(runs: Sequence[Run], records: Sequence[Record]) -> RenderableType:
    """Return test errors in percent over (λ, α), a table for each grid, unfinished grids first.

    Args:
      runs: Planned runs; those that train a network are shown.
      records: Records of finished runs.
    """
    errors = {record["key"]: record.get("final_test_error", "") for record in records}
    grids: dict[tuple, list[TrainingRun]] = {}
    for run in runs:
        if isinstance(run, TrainingRun) and run.seed == run.init_seed == 0:
            grids.setdefault(_grid(run), []).append(run)
    finished = {name: all(run_key(c) in errors for c in grid) for name, grid in grids.items()}
    names = sorted(grids, key=lambda name: finished[name])  # stable: keeps the order otherwise
    return Columns([_table(name, grids[name], errors) for name in names[:_SHOWN]], padding=(0, 3))


def _grid(run: TrainingRun) -> tuple:
    config = run.config()
    norm = " BN" if config["batch_norm"] else ""
    network = f"{config['network']}-{config['depth']}{norm}"
    network += " SkipInit" if config["skip_init"] else ""
    return run.optimizer, network, run.loss_multiplier


def _table(name: tuple, grid: Sequence[TrainingRun], errors: dict[str, object]) -> Table:
    optimizer, network, multiplier = name
    times = f", loss × {multiplier:g}" if multiplier != 1 else ""
    table = Table("α \\ λ", title=f"{optimizer}, {network}{times}", title_style="bold", box=None)
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
