"""Runs that an experiment needs, before they are trained: their number, their cost and their grids."""

import pathlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rich.table import Table

from adamprox.report.claims import compact
from adamprox.report.cost import at_once, cost_in_seconds, in_words
from adamprox.sweep import Run, run_key
from adamprox.sweep.record import Record
from adamprox.training import TrainingRun

AnyRun = TypeVar("AnyRun", bound=Run)
_AXES = ("learning_rate", "weight_decay", "seed")
_UNNAMED = ("optimizer", "data_fingerprint")  # named first, and named by the data set


def plan_table(
    runs: Mapping[str, Sequence[Run]], records: Sequence[Record], folder: pathlib.Path
) -> Table:
    """Return a table of runs, finished runs and the cost of the other runs, by experiment.

    Args:
      runs: Runs by name of the experiment; a run of several experiments costs once.
      records: Records of finished runs.
      folder: Directory of the records, which may have measurements of this device.
    """
    table = Table("experiment", "runs", "done", "time left on one core")
    done, left = {record.key for record in records}, {}
    for name, each in runs.items():
        wanted = {run_key(run): run for run in each}
        missing = {key: run for key, run in wanted.items() if key not in done}
        new = [run for key, run in missing.items() if key not in left]
        cost = in_words(cost_in_seconds(new, records, folder))
        table.add_row(name, f"{len(wanted)}", f"{len(wanted) - len(missing)}", cost)
        left.update(missing)
    total = in_words(cost_in_seconds([*left.values()], records, folder))
    lines = [
        f"{len(left)} runs, about {total} of one core without compilation; extended grids and "
        "repetitions add more",
        *at_once(list(left.values()), folder),
    ]
    table.caption = "\n".join(lines)
    return table


def grid_lines(runs: Sequence[Run], done: Collection[str] = ()) -> list[str]:
    """Return a line for every grid: its number of runs, its optimizer, α, λ and options.

    A line has the options in which the grids differ. Runs without a network have a line for each kind.

    Args:
      runs: Runs of an experiment.
      done: Keys of finished runs.

    Example:
      >>> runs = [TrainingRun.of(depth=8, weight_decay=w) for w in (0.0, 1e-3)]
      >>> grid_lines(runs)
      ['2 runs: adamw; α 1e-3; λ 0, 1e-3']
    """
    grids = by_grid(runs)
    differ = differing(grids)
    return [_line(grid, differ, done) for grid in grids]


def by_grid(runs: Iterable[AnyRun]) -> list[list[AnyRun]]:
    """Return the runs of each grid, which differ in α, λ and seed only; other runs by kind."""
    grids: dict[tuple, list[AnyRun]] = {}
    for run in runs:
        grids.setdefault((run.kind, *_fixed(run).items()), []).append(run)
    return list(grids.values())


def differing(grids: Iterable[Sequence[Run]]) -> list[str]:
    """Return the names of options, except the optimizer, in which grids of networks differ."""
    fixed = [_fixed(grid[0]) for grid in grids if isinstance(grid[0], TrainingRun)]
    names = dict.fromkeys(name for grid in fixed for name in grid if name not in _UNNAMED)
    return [name for name in names if len({grid.get(name) for grid in fixed}) > 1]


def _fixed(run: Run) -> dict[str, Any]:
    """Return the options of a training run that its grid has in common."""
    if not isinstance(run, TrainingRun):
        return {}
    return {name: value for name, value in run.config().items() if name not in _AXES}


def _line(grid: Sequence[Run], differ: Sequence[str], done: Collection[str]) -> str:
    finished = sum(run_key(run) in done for run in grid)
    count = f"{len(grid)} runs{f', {finished} done' if finished else ''}"
    trained = [run for run in grid if isinstance(run, TrainingRun)]
    if not trained:
        return f"{count}: {grid[0].kind}"
    options = trained[0].config()
    seeds = len({run.seed for run in trained})
    parts = [
        trained[0].optimizer,
        f"α {_values(run.learning_rate for run in trained)}",
        f"λ {_values(run.weight_decay for run in trained)}",
        *([f"{seeds} seeds"] if seeds > 1 else []),
        *(f"{name} {options[name]}" for name in differ),
    ]
    return f"{count}: {'; '.join(parts)}"


def _values(values) -> str:
    return ", ".join(map(compact, sorted(set(values))))
