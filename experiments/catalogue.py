"""Every experiment, in the order of the page."""

from experiments import (
    distributed,
    fig01_quadratics,
    fig03_without_batchnorm,
    fig04_loss_multiplier,
    fig05_adamprox,
    l1_sparsity,
    scale_freeness,
    sgd_divergence,
    theorem3_restarts,
)
from experiments.experiment import Experiment

CATALOGUE: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (
        fig01_quadratics,
        scale_freeness,
        theorem3_restarts,
        fig03_without_batchnorm,
        fig04_loss_multiplier,
        fig05_adamprox,
        sgd_divergence,
        l1_sparsity,
        distributed,
    )
}


def find(name: str) -> list[Experiment]:
    """The experiments a name on the command line means.

    Raises:
      ValueError: It means none.
    """
    if name == "all":
        return list(CATALOGUE.values())
    if name not in CATALOGUE:
        raise ValueError(f"experiment must be list, all, {', '.join(CATALOGUE)}, got {name!r}")
    return [CATALOGUE[name]]
