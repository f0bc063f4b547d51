"""A factorial experiment on the two differences between Adam-ℓ2 and AdamW: mixing and scaling.

Adam-ℓ2 mixes λx into the moments, and it divides λx by √v̂ (scaling). AdamW does neither. ProxGen only
scales, scale-free Adam-ℓ2 only mixes. If scale-freeness causes AdamW's lead, scale-free Adam-ℓ2 performs like
AdamW, and ProxGen like Adam-ℓ2.
Command: python -m experiments factorial --preset reduced
Expect: if scale-freeness is the reason, a large effect of scaling and none of mixing; the reverse if the
moments are the reason.
"""

import dataclasses
from collections.abc import Sequence

from adamprox.report import Claim, Figure
from adamprox.report.claims import contrast, estimate
from adamprox.report.plots import LABELS
from experiments import figures
from experiments.claims import Finding, accuracy, by_margin, claim, need_judged, need_runs
from experiments.grid import Grid
from experiments.protocol import Experiment, Network, Protocol, Records, Study
from experiments.tuning import Method, Tuned, wanted

SECTION = "Factorial"
OPTIMIZERS = {
    "adamw": "adamw",
    "scale_free_adam_l2": "adamw",
    "proxgen": "adam_l2",
    "adam_l2": "adam_l2",
}
"""Optimizers (λx neither mixed nor scaled, mixed, scaled, both) to the optimizers of their grids."""

EFFECTS = {"scaling": (-0.5, -0.5, 0.5, 0.5), "mixing": (-0.5, 0.5, -0.5, 0.5)}
"""Factor to the weights of the optimizers' mean errors in its effect."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Values of α for grids that have them, all if empty; names of networks, the deep one if empty."""

    learning_rates: tuple[float, ...] = ()
    networks: tuple[str, ...] = ("ResNet-20", "ResNet-56", "ResNet-110")


class Factorial(Study):
    """The four combinations on every network."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune the four optimizers."""
        settings = protocol.settings_of("factorial", Settings)
        chosen = {n: protocol.networks[n] for n in settings.networks if n in protocol.networks}
        self.rows = {
            name: [
                _method(name, optimizer, network, protocol, settings).tuned_on(protocol, records)
                for optimizer in OPTIMIZERS
            ]
            for name, network in (chosen or {"": Network(options=protocol.deep.options)}).items()
        }
        self.runs = wanted(method for row in self.rows.values() for method in row)

    def figures(self) -> list[Figure]:
        """Draw one row of heatmaps per network."""
        caption = (
            "Final test error in percent; a ring marks the best run of each grid. From left to right: λx is "
            "neither mixed into the moments nor scaled by 1/√v̂, mixed, scaled, both."
        )
        title = "λx mixed into the moments and scaled, one at a time."
        return figures.heatmaps(list(self.rows.values()), "factorial", title, caption)

    def claims(self) -> list[Claim]:
        """Judge the two predictions of scale-freeness and both effects on every network."""
        judged = []
        for name, row in self.rows.items():
            adamw, mixing, scaling, l2 = row
            where = f"{name}: " if name else ""
            judged += [
                accuracy.equal_error(mixing, adamw, SECTION),
                accuracy.equal_error(scaling, l2, SECTION),
                _effect(
                    f"{where}scaling λx by 1/√v̂ raises the test error.", row, EFFECTS["scaling"]
                ),
                _effect(
                    f"{where}mixing λx into the moments raises the test error.",
                    row,
                    EFFECTS["mixing"],
                ),
            ]
        return judged


def _method(
    name: str, optimizer: str, network: Network, protocol: Protocol, settings: Settings
) -> Method:
    """Return an optimizer on the grid of AdamW or of Adam-ℓ2.

    With λ = 0 all four are Adam, so that only AdamW and Adam-ℓ2 need these runs.
    """
    like = OPTIMIZERS[optimizer]
    grid = network.grids.get(like) or protocol.grid(like)
    decays = grid.weight_decays if optimizer == like else tuple(filter(None, grid.weight_decays))
    wanted = settings.learning_rates or grid.learning_rates
    rates = tuple(alpha for alpha in grid.learning_rates if alpha in wanted)
    return Method(
        optimizer,
        options=network.options,
        grid=Grid(rates or grid.learning_rates, decays),
        label=f"{LABELS[optimizer]} ({name})" if name else "",
        more_rates=False,
    )


def _effect(statement: str, row: Sequence[Tuned], weights: Sequence[float]) -> Claim:
    """Return the claim that one factor raises the test error, averaged over the other."""

    def measure() -> Finding:
        need_runs(*row)
        need_judged(row[0].protocol, *(method.finished for method in row))
        effect = contrast([method.seeds for method in row], weights)
        means = ", ".join(
            f"{estimate(method.seeds)} with {LABELS[method.optimizer]}" for method in row
        )
        return Finding(str(effect), by_margin(effect), f"Means: {means}.")

    criterion = "higher by more than the margin of error (95 %), averaged over the other factor"
    return claim(SECTION, statement, criterion, measure)


EXPERIMENT = Experiment(
    name="factorial",
    title="Factorial · Mixing and scaling, one at a time",
    claim="Adam-ℓ2's error is higher because it divides λx by √v̂, not because it mixes λx into its moments.",
    study=Factorial,
)
