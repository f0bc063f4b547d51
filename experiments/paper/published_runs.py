"""The authors' nineteen published commands: their best (α, λ), network by network.

Claims: at these points AdamW's test error is lower than Adam-ℓ2's without BatchNorm, by more on deeper
networks, and its updates spread less (§4.1, Fig. 3); with BatchNorm the two agree (Fig. 2). A loss
multiplier leaves AdamW's error as it is, and Adam-ℓ2 keeps its error at a larger λ (§4.2, Fig. 4). The
authors publish no errors. An independent run of ResNet-20 with AdamW at α = 1e-3 got 84 to 85 % of the
test images after 100 epochs.
Commands: python -m experiments published_runs --preset paper (all), or one of its parts by name:
python -m experiments published_resnet_110 --preset paper --epochs 100 --evaluate-every 5
Expect: at 20 layers errors that one seed cannot tell apart, and a spread of updates that it can.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

from adamprox.report import Claim, Figure
from adamprox.report.plots import LABELS
from experiments import figures
from experiments.claims import accuracy, spread
from experiments.grid import Grid
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, Tuned, at_common_seeds, wanted

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Published:
    """Published commands for one network and loss.

    Attributes:
      network: Name of the network.
      adam_l2: (α, λ) of Adam-ℓ2.
      adamw: (α, λ) of AdamW; None where the authors give none.
      batch_norm: True for BatchNorm.
      multiplier: Multiplier of the loss.
    """

    network: str
    adam_l2: Point
    adamw: Point | None
    batch_norm: bool = False
    multiplier: float = 1.0

    @property
    def name(self) -> str:
        """Name in claims."""
        norm = " with BatchNorm" if self.batch_norm else ""
        times = f", loss × {self.multiplier:g}" if self.multiplier != 1 else ""
        return f"{self.network}{norm}{times}"

    @property
    def file(self) -> str:
        """Name in file names and, after ``published_``, on the command line."""
        norm = "_batch_norm" if self.batch_norm else ""
        times = f"_loss_{self.multiplier:g}" if self.multiplier != 1 else ""
        return f"{self.network.lower().replace('-', '_')}{norm}{times}"


PUBLISHED = (
    Published("ResNet-20", (1e-3, 5e-4), (1e-3, 5e-5)),
    Published("ResNet-44", (5e-4, 5e-4), (5e-4, 5e-5)),
    Published("ResNet-56", (5e-4, 5e-4), (5e-4, 5e-5)),
    Published("ResNet-110", (1e-3, 5e-4), (5e-4, 1e-4)),
    Published("ResNet-218", (5e-4, 5e-3), (5e-4, 5e-5)),
    Published("DenseNet", (5e-4, 1e-3), (1e-3, 5e-5)),
    Published("ResNet-110", (1e-3, 5e-3), (5e-4, 1e-4), multiplier=10.0),
    Published("ResNet-110", (1e-4, 0.1), (5e-4, 1e-4), multiplier=100.0),
    Published("ResNet-110", (5e-3, 0.0), (5e-3, 0.0), batch_norm=True),
    Published("DenseNet", (5e-3, 0.0), None, batch_norm=True),
)
"""The nineteen commands in the README of the authors' repository."""

PREDICTED = dataclasses.replace(PUBLISHED[7], adam_l2=(1e-3, 5e-2))
"""Adam-ℓ2's best at loss × 100 by the identity: the α of × 1, and its λ times 100."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Number of seeds by network, of networks whose runs are as long as the authors'.

    None is by default: the authors' λ suits runs of their length.
    """

    seeds: Mapping[str, int] = dataclasses.field(default_factory=dict)


class PublishedRuns(Study):
    """Adam-ℓ2 and AdamW at the published points; nothing is tuned."""

    def __init__(self, chosen: Sequence[Published], protocol: Protocol, records: Records):
        """Find the runs of the chosen commands, and of the identity's prediction if all are chosen."""
        self.protocol = protocol
        seeds = protocol.settings_of("published_runs", Settings).seeds
        there = [its for its in chosen if its.network in protocol.networks and its.network in seeds]
        self.pairs = {its: _tuned(its, protocol, records, seeds[its.network]) for its in there}
        self.predicted = None
        if len(there) == len(PUBLISHED):
            self.predicted = _tuned(PREDICTED, protocol, records, seeds["ResNet-110"])["adam_l2"]
        methods = [method for pair in self.pairs.values() for method in pair.values()]
        self.runs = wanted([*methods, *([self.predicted] if self.predicted else [])])

    def figures(self) -> list[Figure]:
        """Draw learning curves and update histograms, two figures for each network and loss."""
        drawn = []
        for its, pair in self.pairs.items():
            file, title = f"published_runs_{its.file}", f"{its.name}: the authors' best (α, λ)."
            drawn += figures.best_curves(list(pair.values()), f"{file}_curves")
            drawn += figures.best_histograms(list(pair.values()), f"{file}_histograms", title)
        return drawn

    def claims(self) -> list[Claim]:
        """Judge error and spread of every pair, their growth with depth, and the loss multipliers."""
        judged, ends = [], self.protocol.training["epochs"]
        so_far = "" if ends == 300 else f", after {ends} of 300 epochs"
        for its, pair in ((i, p) for i, p in self.pairs.items() if i.adamw):
            l2, adamw = at_common_seeds(pair["adam_l2"], pair["adamw"])
            where = f"{its.name}, published (α, λ){so_far}: "
            if its.batch_norm:
                judged.append(accuracy.equal_error(l2, adamw, "§4.1, Fig. 2", where))
                continue
            judged += [
                accuracy.lower_error(adamw, l2, _section(its), where),
                spread.smaller_spread(adamw, l2, _section(its), where),
            ]
        return [*judged, *self._across()]

    def _across(self) -> list[Claim]:
        """Judge what needs several networks or losses; nothing for a single command."""
        if not self.predicted:
            return []
        plain = {its: pair for its, pair in self.pairs.items() if not its.batch_norm}
        resnets = [
            at_common_seeds(pair["adamw"], pair["adam_l2"])
            for its, pair in plain.items()
            if its.network.startswith("ResNet") and its.multiplier == 1
        ]
        judged = [accuracy.lead_grows(resnets, "§4.1, Fig. 3")]
        for its in PUBLISHED[6:8]:
            where = f"{its.name}: "
            for name in ("adamw", "adam_l2"):
                pair = at_common_seeds(plain[its][name], plain[PUBLISHED[3]][name])
                judged.append(accuracy.equal_error(*pair, _section(its), where))
        pair = at_common_seeds(plain[PUBLISHED[7]]["adam_l2"], self.predicted)
        return [*judged, accuracy.equal_error(*pair, _section(PREDICTED), "Identity, loss × 100: ")]


def _question(its: Published) -> str:
    """Return the claim of the paper on one network and loss, for the registry."""
    if its.batch_norm:
        return "Adam-ℓ2 and AdamW reach the same error" if its.adamw else "no claim"
    return "AdamW's test error is lower than Adam-ℓ2's, and its updates spread less"


def _section(its: Published) -> str:
    return "§4.1, Fig. 3" if its.multiplier == 1 else "§4.2, Fig. 4"


def _tuned(its: Published, protocol: Protocol, records: Records, seeds: int) -> dict[str, Tuned]:
    """Return optimizer to its method at the published point."""
    options = protocol.networks[its.network].options
    options = {**options, "batch_norm": True} if its.batch_norm else options
    points = {"adam_l2": its.adam_l2, "adamw": its.adamw}
    times = f", loss × {its.multiplier:g}" if its.multiplier != 1 else ""
    return {
        name: Method(
            name,
            its.multiplier,
            options,
            Grid((at[0],), (at[1],)),
            f"{LABELS[name]} at ({at[0]:g}, {at[1]:g}){times}" if times else "",
            seeds=seeds,
        ).tuned_on(protocol, records)
        for name, at in points.items()
        if at
    }


EXPERIMENTS = [
    Experiment(
        name="published_runs",
        title="Published runs · The authors' nineteen commands",
        claim="At the authors' (α, λ) AdamW's test error is lower than Adam-ℓ2's, by more on deeper networks, and its updates spread less.",
        study=functools.partial(PublishedRuns, PUBLISHED),
    ),
    *(
        Experiment(
            name=f"published_{its.file}",
            title=f"Published runs · {its.name}",
            claim=f"At the authors' (α, λ), {its.name}: {_question(its)}.",
            study=functools.partial(PublishedRuns, (its,)),
        )
        for its in PUBLISHED
    ),
]
