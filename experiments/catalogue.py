"""Every experiment, in the order of the page."""

from adamprox.checks import did_you_mean
from experiments import (
    distributed,
    factorial,
    fig01_quadratics,
    fig02_with_batchnorm,
    fig03_without_batchnorm,
    fig04_loss_multiplier,
    fig05_adamprox,
    fig06_adamproxl2,
    fig07_to_fig12_histograms,
    l1_sparsity,
    published_cells,
    rival_images,
    rival_initialization,
    rival_metric,
    rival_perturbation,
    rival_second_moment,
    rival_tuning,
    scale_freeness,
    sgd_divergence,
    theorem3_restarts,
)
from experiments.experiment import Experiment

_ALL = (
    fig01_quadratics.EXPERIMENT,
    scale_freeness.EXPERIMENT,
    theorem3_restarts.EXPERIMENT,
    fig02_with_batchnorm.EXPERIMENT,
    fig03_without_batchnorm.EXPERIMENT,
    published_cells.EXPERIMENT,
    fig04_loss_multiplier.EXPERIMENT,
    fig05_adamprox.EXPERIMENT,
    fig06_adamproxl2.EXPERIMENT,
    *fig07_to_fig12_histograms.EXPERIMENTS,
    sgd_divergence.EXPERIMENT,
    l1_sparsity.EXPERIMENT,
    distributed.EXPERIMENT,
    factorial.EXPERIMENT,
    rival_second_moment.EXPERIMENT,
    rival_perturbation.EXPERIMENT,
    rival_metric.EXPERIMENT,
    rival_initialization.EXPERIMENT,
    rival_tuning.EXPERIMENT,
    rival_images.EXPERIMENT,
)
CATALOGUE: dict[str, Experiment] = {experiment.name: experiment for experiment in _ALL}
OTHERS = ("list", "all", "overview", "doctor")
"""What else may stand on the command line in place of an experiment's name."""


def find(name: str, preset: str) -> list[Experiment]:
    """The experiments a name on the command line means.

    Args:
      name: Of an experiment; or ``all``: those that have a cost at the preset, since not all are
        worth running at every one.
      preset: Which.

    Raises:
      ValueError: It means none.
    """
    if name == "all":
        return [experiment for experiment in CATALOGUE.values() if preset in experiment.cost]
    if name not in CATALOGUE:
        names = [*OTHERS, *CATALOGUE]
        raise ValueError(
            f"experiment must be one of {', '.join(names)}, got {name!r}{did_you_mean(name, names)}"
        )
    return [CATALOGUE[name]]
