"""Fig. 4: a loss multiplier moves Adam-ℓ2's best λ, not AdamW's; and the prox in Adam's metric.

Claim (§4.2, Fig. 4): with the loss multiplied by 10 and 100 AdamW's best (α, λ) stays the same, while
Adam-ℓ2's best λ is multiplied, too. For Adam-ℓ2 this is an identity.
Claim (this project): AdamProx does not depend on the loss multiplier because the metric of its proximal step
is M = ηI. With the step in Adam's diagonal metric, as in ProxGen, the best λ moves.
Commands: python -m experiments fig04 --preset demo; python -m experiments adams_metric --preset reduced
Expect: rows of AdamW and AdamProx that stay the same from left to right; patterns of Adam-ℓ2 and ProxGen
that move to the right by the multiplier.
"""

from collections.abc import Mapping

from adamprox.report import Claim, Figure
from adamprox.report.plots import LABELS
from experiments import figures
from experiments.claims import loss_scale
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, wanted


class LossMultipliers(Study):
    """Optimizers on the deep network at every loss multiplier.

    Args:
      protocol: Protocol of the runs.
      records: Records so far.
      grids: Optimizers to the optimizers whose grids they use.
      moving: Optimizer for which the effect of λ depends on the size of the gradient.
      section: Place of the claims.
      figure: File name, title and caption of the heatmaps.
    """

    def __init__(
        self,
        protocol: Protocol,
        records: Records,
        *,
        grids: Mapping[str, str],
        moving: str,
        section: str,
        figure: tuple[str, str, str],
    ):
        """Tune every optimizer at every multiplier."""
        self.section = section
        file, title, caption = figure
        self.figure = file, f"{title}: {protocol.trained_on(protocol.deep)}.", caption
        self.rows = [
            loss_scale.Row(
                optimizer == moving,
                [
                    Method(
                        optimizer,
                        multiplier,
                        protocol.deep.options,
                        protocol.deep_grid(grid, multiplier),
                        label=f"{LABELS[optimizer]}, loss × {multiplier:g}",
                    ).tuned_on(protocol, records)
                    for multiplier in protocol.loss_multipliers
                ],
            )
            for optimizer, grid in grids.items()
        ]
        self.runs = wanted(method for row in self.rows for method in row.methods)

    def figures(self) -> list[Figure]:
        """Draw heatmaps, one row per optimizer, one column per multiplier."""
        return figures.heatmaps([row.methods for row in self.rows], *self.figure)

    def claims(self) -> list[Claim]:
        """Judge the best run and the whole grid of every optimizer."""
        return loss_scale.claims(self.rows, self.section)


def _fig04(protocol: Protocol, records: Records) -> LossMultipliers:
    caption = (
        "Final test error in percent; a ring marks the best run of each grid. The paper predicts that from left "
        "to right AdamW's and AdamProx's errors stay the same, and Adam-ℓ2's best λ grows with the multiplier."
    )
    return LossMultipliers(
        protocol,
        records,
        grids={name: name for name in ("adam_l2", "adamw", "adamprox")},
        moving="adam_l2",
        section="§4.2, Fig. 4",
        figure=("fig04_loss_multiplier", "The loss multiplied", caption),
    )


def _adams_metric(protocol: Protocol, records: Records) -> LossMultipliers:
    caption = (
        "Final test error in percent; a ring marks the best run of each grid. In Adam's metric a proximal step "
        "shrinks a coordinate by λα/√v of its value. A larger loss increases √v and needs a larger λ."
    )
    return LossMultipliers(
        protocol,
        records,
        grids={"adamprox": "adamprox", "proxgen": "adam_l2"},
        moving="proxgen",
        section="Adam's metric",
        figure=("adams_metric", "The metric of the proximal step", caption),
    )


FIG04 = Experiment(
    name="fig04",
    title="Figure 4 · The loss multiplied",
    claim="Multiplying the loss moves Adam-ℓ2's best (α, λ) and not AdamW's.",
    study=_fig04,
)
ADAMS_METRIC = Experiment(
    name="adams_metric",
    title="Adam's metric · The prox in another metric",
    claim="In Adam's metric the proximal step is not scale-free: its best λ moves with the loss.",
    study=_adams_metric,
)
