"""An alternative explanation: a second moment that decays slowly, instead of scale-freeness.

Claim (of this project): a deep network without BatchNorm starts with gradients far above all later ones.
Adam's √v decays from them as e^(−t/2000). While √v is large, λx hardly changes the weights of Adam-ℓ2, but
AdamW's decay has its full effect. If AdamW leads for this reason, its lead vanishes where the second moment
decays faster or never contains such gradients: with β₂ = 0.99, moments restarted after 20 steps, gradients
clipped to norm 1, or SkipInit.
Command: python -m experiments stale_second_moment --preset reduced
Expect: a lead that stays if scale-freeness alone causes it, and vanishes if the second moment does.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from adamprox.report import Claim, Figure
from adamprox.report.plots import LABELS
from experiments import figures
from experiments.claims import accuracy, second_moment
from experiments.claims.second_moment import SECTION
from experiments.grid import Grid
from experiments.protocol import Experiment, Network, Options, Protocol, Records, Study
from experiments.tuning import Method, Tuned, wanted

UNCHANGED = "unchanged"
Changes = Mapping[str, tuple[str, Options]]
"""Change to a suffix of the recipe's name and to options of the runs."""

CHANGES: Changes = {
    UNCHANGED: ("", {}),
    "β₂ = 0.99": ("_short_memory", {}),
    "moments restarted": ("_restarted", {}),
    "gradients clipped": ("_clipped", {}),
    "SkipInit": ("", {"skip_init": True}),
}

OPTIMIZERS = ("adam_l2", "adamw")
DEEPER = {change: CHANGES[change] for change in (UNCHANGED, "β₂ = 0.99")}
"""Changes on networks that are deeper than the deep network; a run takes minutes there."""

ONE_BY_ONE: Changes = {
    "β₁ = β₂ = 0.95": ("_equal_betas_0.95", {}),
    "β₁ = β₂ = 0.9": ("_equal_betas_0.9", {}),
    **{change: value for change, value in CHANGES.items() if change not in DEEPER},
    "initial weights × 0.3": ("", {"init_scale": 0.3}),
    "rotation balanced": ("_balanced", {}),
    "rotation balanced at the median": ("_balanced_median", {}),
}
"""More changes on these networks, each judged alone. Decay alone shrinks AdamW's weights to 0.3 of their size."""

Methods = tuple[str, Network, Mapping[str, list[Method]]]
"""Prefix of claims, network, and change to Adam-ℓ2 and AdamW under it."""


@dataclasses.dataclass(frozen=True)
class Changed:
    """A network under the changes.

    Attributes:
      where: Prefix of its claims; empty for the deep network.
      network: The network.
      rows: Change to Adam-ℓ2 and AdamW under it.
    """

    where: str
    network: Network
    rows: Mapping[str, list[Tuned]]


class StaleSecondMoment(Study):
    """Adam-ℓ2 and AdamW under every change, on the deep network and on those with control grids."""

    name: ClassVar[str] = "stale_second_moment"

    def __init__(self, protocol: Protocol, records: Records):
        """Tune both under every change."""
        self.protocol = protocol
        self.changed = [
            Changed(where, network, {
                change: [method.tuned_on(protocol, records) for method in row]
                for change, row in rows.items()
            })
            for where, network, rows in self._methods(protocol)
        ]  # fmt: skip
        self.runs = wanted(m for its in self.changed for row in its.rows.values() for m in row)

    def _methods(self, protocol: Protocol) -> list[Methods]:
        return [("", protocol.deep, _deep(protocol)), *_at_depth(DEEPER, protocol)]

    def figures(self) -> list[Figure]:
        """Draw one figure per network, with one row of heatmaps per change."""
        caption = (
            "Final test error in percent; a ring marks the best run of each grid. The first row is the paper's "
            "comparison. Each other row has one change of both optimizers or of the network."
        )
        drawn = []
        for its in self.changed:
            file = re.sub("[ -]", "_", f"{self.name} {its.where}".rstrip(": ").lower())
            title = f"One change at a time: {self.protocol.trained_on(its.network)}."
            drawn += figures.heatmaps(list(its.rows.values()), file, title, caption)
        return drawn

    def claims(self) -> list[Claim]:
        """Judge the lead without a change and under every change, and Adam-ℓ2's best λ."""
        return [judged for its in self.changed for judged in _claims(its)]


class ChangesAtDepth(StaleSecondMoment):
    """Adam-ℓ2 and AdamW under each of `ONE_BY_ONE`, on the networks with control grids."""

    name = "changes_at_depth"

    def _methods(self, protocol: Protocol) -> list[Methods]:
        return _at_depth({UNCHANGED: CHANGES[UNCHANGED], **ONE_BY_ONE}, protocol)

    def claims(self) -> list[Claim]:
        """Judge how much of AdamW's lead each change removes."""
        return [
            second_moment.removes(its.where, change, its.rows[UNCHANGED], its.rows[change])
            for its in self.changed
            for change in ONE_BY_ONE
        ]


def _at_depth(changes: Changes, protocol: Protocol) -> list[Methods]:
    """Return the methods on every network that has grids for them, equal under all changes."""
    return [
        (f"{name}: ", network, _rows(
            changes, network, network.control_grids, f"{name}, ",
            more_rates=False, seeds=network.control_seeds,
        ))
        for name, network in protocol.networks.items()
        if network.control_grids
    ]  # fmt: skip


def _deep(protocol: Protocol) -> dict[str, list[Method]]:
    """Return the methods under every change; SkipInit requires residual branches."""
    network = {**protocol.training, **protocol.deep.options}.get("network", "resnet")
    changes = {
        change: value
        for change, value in CHANGES.items()
        if network == "resnet" or "skip_init" not in value[1]
    }
    grids = {optimizer: _grid(protocol, optimizer) for optimizer in OPTIMIZERS}
    return _rows(changes, protocol.deep, grids, more_rates=not protocol.deep.grids)


def _rows(
    changes: Changes, network: Network, grids: Mapping[str, Grid], where: str = "", **rest: Any
) -> dict[str, list[Method]]:
    return {
        change: [
            Method(
                optimizer + suffix,
                options={**network.options, **changed},
                grid=grids[optimizer],
                label=f"{LABELS[optimizer]} ({where}{change})",
                **rest,
            )
            for optimizer in OPTIMIZERS
        ]
        for change, (suffix, changed) in changes.items()
    }


def _grid(protocol: Protocol, name: str) -> Grid:
    """Return a grid with Adam-ℓ2's α added, because a change may move the best α of AdamW."""
    own, other = protocol.deep_grid(name), protocol.deep_grid("adam_l2")
    return own._replace(learning_rates=tuple(sorted({*own.learning_rates, *other.learning_rates})))


def _claims(its: Changed) -> list[Claim]:
    pairs = [(adamw, l2) for l2, adamw in its.rows.values()]
    return [
        accuracy.lower_error(*pairs[0], SECTION),
        *(accuracy.no_lead(*pair, SECTION) for pair in pairs[1:]),
        second_moment.explains(its.where, list(its.rows), pairs),
        second_moment.shrinks(its.where, pairs),
        second_moment.decay_falls(its.where, list(its.rows), [l2 for _, l2 in pairs]),
    ]


EXPERIMENT = Experiment(
    name="stale_second_moment",
    title="Stale second moment · First gradients that decay slowly",
    claim="AdamW leads because Adam-ℓ2's second moment keeps the first gradients; if it decays faster, the lead vanishes.",
    study=StaleSecondMoment,
)
AT_DEPTH = Experiment(
    name="changes_at_depth",
    title="Changes at depth · One change at a time on a deeper network",
    claim="AdamW's lead shrinks if both moments decay equally fast or are restarted, if gradients are clipped, or if all neurons turn equally fast.",
    study=ChangesAtDepth,
)
