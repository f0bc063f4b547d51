"""Comparison of a user's optimizer with others: every method is tuned on the same grid, seeds and data.

Command: python -m experiments compare --optimizer mymodule:make_tx --against adamw adam_l2 --preset demo
"""

import dataclasses
import functools
import zlib
from collections.abc import Mapping, Sequence

from adamprox.checks import did_you_mean
from adamprox.report import Claim, Figure
from adamprox.report.plots import distinct_labels
from adamprox.training.imported import optimizer_name
from adamprox.training.recipes import RECIPES
from experiments import figures
from experiments.claims import accuracy
from experiments.protocol import Experiment, Network, Protocol, Records, Study
from experiments.tuning import Method, Tuned, complete, wanted

AGAINST = ["adamw", "adam_l2"]
"""Optimizers of a comparison that names none."""


class Comparison(Study):
    """A new optimizer and others on networks without BatchNorm.

    The others have the runs and grids of Fig. 3. The new one has the grid that the network has for the first of
    them, or else the preset's, which Adam-ℓ2 extends to larger λ. All grids grow while the best run is on an edge.
    """

    def __init__(
        self,
        page: str,
        labels: Mapping[str, str],
        networks: Sequence[str],
        protocol: Protocol,
        records: Records,
    ):
        """Tune all on every network; ``labels`` has their names by optimizer, the new one's first."""
        self.protocol, self.page = protocol, page
        self.imported = [label for optimizer, label in labels.items() if ":" in optimizer]
        self.rows = {
            name: self._row(labels, protocol.network(name), records)
            for name in networks or list(protocol.networks)[:1]
        }
        self.runs = wanted(method for row in self.rows.values() for method in row)

    def _row(self, labels: Mapping[str, str], network: Network, records: Records) -> list[Tuned]:
        """Return the new optimizer and the others, tuned on a network."""
        (new, label), *against = labels.items()
        methods = [Method.on(network, *other) for other in against]
        mine = dataclasses.replace(methods[0], optimizer=new, label=label)
        return [method.tuned_on(self.protocol, records) for method in (mine, *methods)]

    def figures(self) -> list[Figure]:
        """Draw heatmaps, and learning curves and update histograms of the best runs."""
        caption = (
            "Final test error in percent; a ring marks the best run, and grey tiles were not run. All methods "
            "saw the same images."
        )
        if self.imported:
            names = " and ".join(self.imported)
            caption += f" The update histograms of {names} include weight decay."
        networks = self.protocol.networks
        titles = {name: f"{self.protocol.trained_on(networks[name])}." for name in self.rows}
        return figures.by_network(self.rows, titles, self.page, caption)

    def claims(self) -> list[Claim]:
        """Judge the difference of the test errors to every other optimizer."""
        return [
            accuracy.lower_error(new, other, "Comparison", f"{name}: ")
            for name, (new, *others) in self.rows.items()
            for other in others
        ]

    def headline(self) -> list[tuple[str, str]]:
        """Return the methods of which all runs diverged, and the new one's lead over those that have run."""
        lost = [
            ("all diverged", f"every run of {' and '.join(diverged)}, {name}")
            for name, row in self.rows.items()
            if (diverged := [m.name for m in row if m.tried and not (m.untuned or m.best)])
        ]
        return lost + [
            (
                str(accuracy.lead(new, other)),
                f"lead of {new.name} over {other.name} in test error, {name} (± 95 %)",
            )
            for name, (new, *others) in self.rows.items()
            for other in others
            if self.protocol.judged and complete((new, other))
        ]


def compared(new: str, against: Sequence[str], networks: Sequence[str]) -> Experiment:
    """Return the experiment that compares optimizers.

    Args:
      new: A user's optimizer, ``module:function``.
      against: Names of optimizers of this project, or more of users.
      networks: Names of networks of the preset; its first network if empty.

    Raises:
      ValueError: An optimizer is unknown, cannot be imported, or is named twice.
    """
    names = [each if each in RECIPES else _imported(each) for each in (new, *against)]
    labels = distinct_labels(names)
    if len(labels) < len(names):
        twice = next(each for each in names if names.count(each) > 1).partition("#")[0]
        raise ValueError(f"optimizer and against must be different optimizers, got {twice} twice")
    label, *rest = labels.values()
    others, name = " and ".join(rest), _page(new, against, networks)
    return Experiment(
        name=name,
        title=f"Comparison · {label}",
        claim=f"{label}'s test error is lower than that of {others}, each with its best α and λ.",
        study=functools.partial(Comparison, name, labels, networks),
    )


def _page(new: str, against: Sequence[str], networks: Sequence[str]) -> str:
    """Return the name of page and claims: the new optimizer, and what is not the default."""
    others = [] if list(against) == AGAINST else ["vs", *against]
    words = [new, *others, *(["on", *networks] if networks else [])]
    name = "compare_" + ",".join(words).replace(":", "@")  # neither sign is in a name of Python
    short = f"{name[:80]},{zlib.crc32(name.encode()):08x}"  # a file name has at most 255 bytes
    return name if len(name) <= 100 else short


def _imported(name: str) -> str:
    if ":" not in name:
        known = ", ".join(RECIPES)
        raise ValueError(
            f"optimizer must be MODULE:FUNCTION or one of {known}, got {name!r}{did_you_mean(name, RECIPES)}"
        )
    return optimizer_name(name)
