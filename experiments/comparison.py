"""Comparison of a user's optimizer with others: every method is tuned on the same grid, seeds and data.

Command: python -m experiments compare --optimizer mymodule:make_tx --against adamw adam_l2 --preset demo
"""

import functools
from collections.abc import Sequence

from adamprox.checks import did_you_mean
from adamprox.report import Claim, Figure, figures
from adamprox.report.plots import LABELS
from adamprox.training.imported import optimizer_name
from adamprox.training.recipes import RECIPES
from experiments.claims import accuracy
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, wanted


class Comparison(Study):
    """A new optimizer and others on networks without BatchNorm.

    The others have the runs and grids of Fig. 3. The new one has the grid that the network has for the first of
    them, or else the preset's, which Adam-ℓ2 extends to larger λ. All grids grow while the best run is on an edge.
    """

    def __init__(
        self,
        new: str,
        against: Sequence[str],
        networks: Sequence[str],
        protocol: Protocol,
        records: Records,
    ):
        """Tune all on every network."""
        self.protocol, self.name = protocol, LABELS[new]
        self.rows = {}
        for name in networks or list(protocol.networks)[:1]:
            network = protocol.networks[_known(name, protocol)]
            methods = [Method.on(network, other) for other in against]
            grid = network.grids.get(against[0])
            mine = Method(new, options=network.options, grid=grid, seeds=network.seeds)
            self.rows[name] = [m.tuned_on(protocol, records) for m in (mine, *methods)]
        self.runs = wanted(method for row in self.rows.values() for method in row)

    def figures(self) -> list[Figure]:
        """Draw heatmaps, and learning curves and update histograms of the best runs."""
        caption = (
            "Final test error in percent; a ring marks the best run, and grey tiles were not run. All methods "
            f"saw the same images. The update histograms of {self.name} include its weight decay."
        )
        networks = self.protocol.networks
        titles = {name: f"{self.protocol.trained_on(networks[name])}." for name in self.rows}
        return figures.by_network(self.rows, titles, f"compare_{self.name}", caption)

    def claims(self) -> list[Claim]:
        """Judge the difference of the test errors to every other optimizer."""
        return [
            accuracy.lower_error(new, other, "Comparison", f"{name}: ")
            for name, (new, *others) in self.rows.items()
            for other in others
        ]

    def headline(self) -> list[tuple[str, str]]:
        """Return the lead of the new optimizer over every other one that has run."""
        return [
            (
                str(accuracy.lead(new, other)),
                f"lead of {new.name} over {other.name} in test error, {name} (± 95 %)",
            )
            for name, (new, *others) in self.rows.items()
            for other in others
            if self.protocol.judged and new.finished and other.finished
            if not (new.missing or other.missing)
        ]


def compared(new: str, against: Sequence[str], networks: Sequence[str]) -> Experiment:
    """Return the experiment that compares optimizers.

    Args:
      new: A user's optimizer, ``module:function``.
      against: Names of optimizers of this project, or more of users.
      networks: Names of networks of the preset; its first network if empty.

    Raises:
      ValueError: An optimizer is unknown, or cannot be imported.
    """
    names = [each if each in RECIPES else _imported(each) for each in (new, *against)]
    label = LABELS[names[0]]
    others = " and ".join(LABELS[name] for name in names[1:])
    return Experiment(
        name=f"compare_{label}",
        title=f"Comparison · {label}",
        claim=f"{label}'s test error is lower than that of {others}, each with its best α and λ.",
        study=functools.partial(Comparison, names[0], names[1:], networks),
    )


def _imported(name: str) -> str:
    if ":" not in name:
        known = ", ".join(RECIPES)
        raise ValueError(
            f"optimizer must be MODULE:FUNCTION or one of {known}, got {name!r}{did_you_mean(name, RECIPES)}"
        )
    return optimizer_name(name)


def _known(network: str, protocol: Protocol) -> str:
    if network in protocol.networks:
        return network
    known, near = ", ".join(protocol.networks), did_you_mean(network, protocol.networks)
    raise ValueError(f"network must be one of {known} at this preset, got {network!r}{near}")
