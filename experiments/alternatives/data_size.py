"""An alternative explanation of the spread of updates at ``reduced``: few, unchanged images.

Claim (of this project): AdamW's updates spread more than Adam-ℓ2's at the reduced protocol, and less at the
paper's size. If few, unchanged images are the reason, AdamW's updates spread less than Adam-ℓ2's with four
times as many images that are flipped and shifted.
Command: python -m experiments data_size --preset reduced
Expect: AdamW's curve above Adam-ℓ2's in the first row of panels, below it in the second.
"""

import dataclasses

import numpy as np

from adamprox.report import Claim, Figure
from adamprox.report.claims import compact
from adamprox.report.plots import COLORS, LABELS, canvas, spread_through_training
from adamprox.training import TrainingRun
from experiments.claims import ONE_SEED, Finding, NotTested, claim, need_judged, need_runs, spread
from experiments.grid import Grid
from experiments.protocol import Experiment, Options, Protocol, Records, Study
from experiments.tuning import Method, Tuned, wanted

SECTION = "Data size"
ALPHA = 1e-3
MORE = 4
DECAYS = (5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2)
"""λ with few images: six, because fewer pairs give no confidence of 95 % even if all agree."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Options of the network that differ from the protocol's."""

    options: Options = dataclasses.field(default_factory=dict)


class DataSize(Study):
    """AdamW and Adam-ℓ2 at equal α and λ, with few images and with more.

    There are no runs without ``train_size``, or where the data set has too few images.
    """

    def __init__(self, protocol: Protocol, records: Records):
        """Find the runs; nothing is tuned."""
        self.protocol, size = protocol, protocol.training.get("train_size")
        options = protocol.settings_of("data_size", Settings).options
        images = TrainingRun.of(**{**protocol.training, **options, "train_size": None}).images
        enough = size and MORE * size <= images.expected.train
        more = {"train_size": MORE * (size or 0), "augment": True}
        conditions = {
            "few images": (DECAYS, options),
            # An epoch has more steps; λ · T stays the same.
            f"{MORE} times as many, flipped and shifted": (
                tuple(float(f"{decay / MORE:.3g}") for decay in DECAYS), {**options, **more},
            ),
        }  # fmt: skip
        once = dataclasses.replace(protocol, extensions=0, seeds=1)
        self.rows = {
            name: [
                Method(optimizer, options=changed, grid=Grid((ALPHA,), decays)).tuned_on(
                    once, records
                )
                for optimizer in ("adamw", "adam_l2")
            ]
            for name, (decays, changed) in conditions.items()
            if enough
        }
        self.runs = wanted(method for row in self.rows.values() for method in row)

    def figures(self) -> list[Figure]:
        """Draw the spread of updates through training, one row per condition, one column per λ."""
        if not self.rows:
            return []
        columns, rows = len(DECAYS), len(self.rows)
        figure, axes = canvas(rows, columns, 1 + 2.6 * columns, 1 + 2.2 * rows, sharey=True)
        for panels, (name, methods) in zip(axes, self.rows.items(), strict=True):
            panels[0].set_ylabel(f"{name}\npowers of two")
            for method in methods:
                self._draw(panels, method)
        if axes[0, 0].lines:
            axes[0, 0].legend()
        for ax in axes[-1]:
            ax.set_xlabel("epoch")
        caption = (
            "Distance between the 10th and the 90th percentile of log2 |update|/α. Panels of a column have "
            "equal λ · T, where T is the number of steps. A curve at the lower edge belongs to a network "
            "that is no better than chance."
        )
        title = "Spread of update magnitudes with few images and with more."
        return [Figure("data_size", title, caption, figure)]

    def _draw(self, panels, method: Tuned) -> None:
        own = {record.weight_decay: record for record in method.tried}
        style = {"color": COLORS[method.optimizer], "label": LABELS[method.optimizer]}
        for ax, decay in zip(panels, method.grid.weight_decays, strict=True):
            ax.set_title(f"λ = {compact(decay)}")
            if decay in own:
                ax.plot(own[decay].epochs, spread_through_training(own[decay]), **style)

    def claims(self) -> list[Claim]:
        """Judge the spread under both conditions, and its change relative to Adam-ℓ2's."""
        if not self.rows:
            return []
        each = [
            spread.smaller_spread_at_equal_points(adamw, l2, SECTION, f"With {name}: ")
            for name, (adamw, l2) in self.rows.items()
        ]
        statement = (
            "More images, flipped and shifted, lower the ratio of AdamW's spread to Adam-ℓ2's."
        )
        criterion = "ratio lower at more than half of the values of λ · T (95 % confidence)"
        return [*each, claim(SECTION, statement, criterion, self._falls)]

    def _falls(self) -> Finding:
        few, more = self.rows.values()
        need_runs(*few, *more)
        need_judged(self.protocol)
        first, last = (
            [found.get(decay) for decay in pair[0].grid.weight_decays]
            for pair, found in ((few, spread.ratios(*few)), (more, spread.ratios(*more)))
        )
        pairs = [pair for pair in zip(first, last, strict=True) if None not in pair]
        if not pairs:
            raise NotTested("At no λ · T do all four networks have 1.5 times chance accuracy.")
        before, after = np.array(pairs, float).T
        share, verdict = spread.most(after < before, "values of λ · T")
        medians = f"{np.median(after):.2f} vs {np.median(before):.2f}"
        measured = f"lower at {share}; median ratio {medians}"
        return Finding(measured, verdict, ONE_SEED)


EXPERIMENT = Experiment(
    name="data_size",
    title="Data size · More images, flipped and shifted",
    claim="With more images, flipped and shifted, AdamW's updates spread less than Adam-ℓ2's.",
    study=DataSize,
)
