"""Grids of hyperparameters, and the rule that extends a grid with its best run on an edge."""

import math
from collections.abc import Sequence
from typing import NamedTuple

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
