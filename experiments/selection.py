"""Selection of the runs of an experiment by optimizer, grid point and network."""

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from adamprox.checks import did_you_mean
from adamprox.sweep import Run
from adamprox.training import TrainingRun


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
        allowed, near = ", ".join(sorted(names)) or "none", did_you_mean(each, sorted(names))
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
