"""All experiments, in the order of the page."""

from collections.abc import Iterable

from rich.table import Column, Table

from adamprox.checks import did_you_mean
from experiments.alternatives import (
    data_size,
    factorial,
    initialization,
    reparametrization,
    stale_second_moment,
    tuning_budget,
)
from experiments.paper import (
    distributed,
    fig01_quadratics,
    fig02_03_accuracy,
    fig04_loss_multiplier,
    fig05_06_proximal,
    fig07_12_updates,
    l1_sparsity,
    published_runs,
    scale_freeness,
    sgd_divergence,
    theorem3,
)
from experiments.protocol import Experiment, Protocol

_ALL = (
    fig01_quadratics.EXPERIMENT,
    scale_freeness.EXPERIMENT,
    theorem3.EXPERIMENT,
    fig02_03_accuracy.FIG02,
    fig02_03_accuracy.FIG03,
    *published_runs.EXPERIMENTS,
    fig04_loss_multiplier.FIG04,
    fig05_06_proximal.FIG05,
    fig05_06_proximal.FIG06,
    *fig07_12_updates.EXPERIMENTS,
    sgd_divergence.EXPERIMENT,
    l1_sparsity.EXPERIMENT,
    distributed.EXPERIMENT,
    factorial.EXPERIMENT,
    stale_second_moment.EXPERIMENT,
    reparametrization.EXPERIMENT,
    fig04_loss_multiplier.ADAMS_METRIC,
    initialization.EXPERIMENT,
    tuning_budget.EXPERIMENT,
    data_size.EXPERIMENT,
)
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ALL}
COMMANDS = ("list", "all", "overview", "doctor")
"""Arguments of the command line that are not names of experiments."""


def listing(protocols: Iterable[Protocol]) -> Table:
    """Return a table of experiments, their claims, and the presets at which ``all`` runs them."""
    table = Table(Column("experiment", no_wrap=True), "claim", "all, at")
    for name, experiment in EXPERIMENTS.items():
        presets = [its.preset for its in protocols if name in its.experiments]
        table.add_row(name, experiment.claim, ", ".join(presets))
    table.caption = "NAME --preset PRESET --dry-run estimates the cost"
    return table


def find(name: str, protocol: Protocol) -> list[Experiment]:
    """Return the experiments for a name on the command line.

    Args:
      name: Name of an experiment, or ``all`` for those that the preset lists.
      protocol: Protocol of the preset.

    Raises:
      ValueError: The name is unknown.
    """
    if name == "all":
        return [EXPERIMENTS[each] for each in protocol.experiments]
    if name not in EXPERIMENTS:
        names = [*COMMANDS, *EXPERIMENTS]
        raise ValueError(
            f"experiment must be one of {', '.join(names)}, got {name!r}{did_you_mean(name, names)}"
        )
    return [EXPERIMENTS[name]]
