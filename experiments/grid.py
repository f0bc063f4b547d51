"""Grids of hyperparameters, and the rule that extends a grid with its best run on an edge."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from adamprox.checks import did_you_mean
from adamprox.sweep import Run
from adamprox.training import TrainingRun

_LADDER = {1.0: (5.0, 0.5), 5.0: (2.0, 0.2)}
"""Leading digit in the published grids 1, 5, 10, 50, … to the ratios of the next value above and below."""


class Grid(NamedTuple):
    """Values of two hyperparameters; the grid points are all pairs.

    Attributes:
      learning_rates: Increasing values of α > 0.
      weight_decays: Increasing values of λ ≥ 0 per step.
    """

    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]


def extend(grid: Grid, learning_rate: float, weight_decay: float) -> Grid:
    """Return the grid with one more value beyond every edge that contains the best run.

    Args:
      grid: Grid whose runs have all finished.
      learning_rate: α of its best run.
      weight_decay: λ of its best run.

    Returns:
      A larger grid, or the same grid if the best run lies inside. λ = 0 counts as inside, because no λ is
      smaller. An axis with one value does not change.

    Example:
      >>> extend(Grid((1e-4, 5e-4), (0.0, 1e-4)), 5e-4, 0.0).learning_rates
      (0.0001, 0.0005, 0.001)

    Source: the paper, §4, on tuning.
    """
    return Grid(
        _extended(grid.learning_rates, learning_rate), _extended(grid.weight_decays, weight_decay)
    )


def _extended(values: tuple[float, ...], best: float) -> tuple[float, ...]:
    if len(values) == 1 or best == 0:
        return values
    if best == values[-1]:
        return (*values, neighbor(values, up=True))
    return (neighbor(values, up=False), *values) if best == values[0] else values


def neighbor(values: Sequence[float], *, up: bool) -> float:
    """Return the value that continues ``values`` above or below.

    Values 1·10ᵏ and 5·10ᵏ continue with factors of 5 and 2 in turn. Other values continue with the
    ratio of the two values at the edge.

    Args:
      values: Increasing values; zeros are ignored.
      up: True for a value above the largest, False for one below the smallest.

    Returns:
      A value rounded to three digits.

    Example:
      >>> neighbor((0.0, 1e-4, 5e-4), up=True), neighbor((1e-4, 5e-4), up=False)
      (0.001, 5e-05)
      >>> neighbor((0.0, 3e-4, 3e-3), up=True)
      0.03
    """
    positive = [value for value in values if value > 0]
    edge, beside = (positive[-1], positive[-2:-1]) if up else (positive[0], positive[1:2])
    digits = {_leading(value) for value in positive}
    if 5.0 in digits and digits <= _LADDER.keys():
        above, below = _LADDER[_leading(edge)]
        ratio = above if up else below
    elif beside:
        ratio = edge / beside[0]
    else:
        ratio = 10.0 if up else 0.1
    return float(f"{edge * ratio:.3g}")


def _leading(value: float) -> float:
    return round(value / 10 ** math.floor(math.log10(value) + 1e-9), 6)


def selection(
    name: str,
    runs: Iterable[Run],
    optimizers: Collection[str] = (),
    points: Collection[tuple] = (),
    networks: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Callable[[Run], bool]:
    """Return a condition: the run has one of the optimizers, one of the grid points, one of the networks.

    Args:
      name: Name of the experiment.
      runs: Runs of the experiment.
      optimizers: Names of optimizers; all if empty.
      points: Pairs (α, λ); all if empty.
      networks: Options of the runs on a network, by its name; all networks if empty.

    Raises:
      ValueError: No run has an optimizer, a grid point or a network that was given, or no run has all.
    """
    trained = [run for run in runs if isinstance(run, TrainingRun)]
    names = {run.optimizer for run in trained}
    known = {(run.learning_rate, run.weight_decay) for run in trained}
    for each in set(optimizers) - names:
        allowed, near = ", ".join(sorted(names)) or "none", did_you_mean(each, names)
        raise ValueError(f"optimizer must be one of {name} ({allowed}), got {each!r}{near}")
    for point in set(points) - known:
        texts = " ".join(f"{alpha:g},{decay:g}" for alpha, decay in sorted(known)) or "none"
        got = f"{point[0]:g},{point[1]:g}"
        raise ValueError(f"grid-point must be one of {name} ({texts}), got {got}")
    for each, options in networks.items():
        if not any(_has(run, options) for run in trained):
            raise ValueError(f"network must be one that {name} trains, got {each!r}")

    def condition(run: Run) -> bool:  # without points, also those of an extension of the grid
        return (
            isinstance(run, TrainingRun)
            and (not optimizers or run.optimizer in optimizers)
            and (not points or (run.learning_rate, run.weight_decay) in points)
            and (not networks or any(_has(run, options) for options in networks.values()))
        )

    if not any(map(condition, trained)):
        texts = [f"{alpha:g},{decay:g}" for alpha, decay in points]
        given = {"optimizer": optimizers, "grid-point": texts, "network": networks}
        options = " and ".join(option for option, values in given.items() if values)
        values = " and ".join(" ".join(values) for values in given.values() if values)
        raise ValueError(f"{options} must have a run of {name} in common, got {values}")
    return condition


def _has(run: TrainingRun, options: Mapping[str, Any]) -> bool:
    return options.items() <= run.config().items()
