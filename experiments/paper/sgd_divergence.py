"""§4.1: SGD with momentum does not train a deep ResNet without BatchNorm at any learning rate.

Claim (§4.1): without BatchNorm, ResNet-110 with SGD of momentum 0.9 and λ = 1e-4 diverges even at a
learning rate of 1e-10.
Command: python -m experiments sgd_divergence --preset reduced
Expect: no learning rate at which SGD trains. The first gradients grow with depth (by 1e9 at 110 layers), and
a learning rate that is small enough for them is too small for later ones. Adam divides by their scale.
"""

import dataclasses

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import compact, percent
from adamprox.report.plots import COLORS, LABELS, canvas
from adamprox.sweep import Record
from experiments.claims import ONE_SEED, Finding, claim, need_judged, need_records
from experiments.protocol import Experiment, Options, Protocol, Records, Study

WEIGHT_DECAY = 1e-4
TRAINS = 0.7
"""Largest training error of a network that trains; chance level is 0.9 with ten classes."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Depth of the network, learning rates of SGD, and other options of the runs."""

    depth: int = 110
    rates: tuple[float, ...] = tuple(float(f"1e{k}") for k in range(-10, 0))
    options: Options = dataclasses.field(default_factory=dict)


class SGDDivergence(Study):
    """SGD at every learning rate, and AdamW once."""

    def __init__(self, protocol: Protocol, records: Records):
        """Find the runs; nothing is tuned."""
        settings = protocol.settings_of("sgd_divergence", Settings)
        options = {"depth": settings.depth, "batch_norm": False, **settings.options}
        sgd = [protocol.run("sgd", alpha, WEIGHT_DECAY, **options) for alpha in settings.rates]
        adamw = protocol.run("adamw", 1e-3, WEIGHT_DECAY, **options)
        self.protocol, self.records, self.network = protocol, records, adamw.network.title
        self.runs = [*sgd, adamw]
        self.sgd = records.of(sgd)
        self.adamw = next(iter(records.of([adamw])), None)

    def figures(self) -> list[Figure]:
        """Draw the final training error against the learning rate; diverged runs are hatched."""
        figure, axes = canvas(1, 1, 7.5, 3.6)
        ax = axes[0, 0]
        for place, record in enumerate(self.sgd):
            step = record["diverged_step"]
            height = 100.0 if step else 100 * record["train_error"][-1]
            style = {"facecolor": "white", "edgecolor": "#b23a2e", "hatch": "////", "linewidth": 0}
            ax.bar(place, height, 0.8, **(style if step else {"color": COLORS["sgd"]}))
            text = f"diverged\nat step {step}" if step else f"{height:.0f} %"
            ax.text(place, 50 if step else height + 2, text, ha="center", fontsize=8,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        ax.axhline(90, color="#999999", lw=1, ls=":", label="chance level")
        if self.adamw and not self.adamw.diverged:
            label = f"{LABELS['adamw']}, α = {compact(self.adamw.learning_rate)}"
            error = 100 * self.adamw["train_error"][-1]
            ax.axhline(error, color=COLORS["adamw"], lw=2, label=label)
        ax.set_xticks(range(len(self.sgd)), [compact(r.learning_rate) for r in self.sgd])
        ax.set(xlabel="learning rate of SGD", ylabel="training error, %", ylim=(0, 108))
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        caption = (
            f"{self.network}, λ = {compact(WEIGHT_DECAY)}. Hatched runs diverged, grey ones ran to the end. "
            "A network has learned if its column ends clearly below the dotted line."
        )
        return [Figure("sgd_divergence", "SGD at every learning rate.", caption, figure)]

    def claims(self) -> list[Claim]:
        """Judge that AdamW trains, and that every run of SGD diverges or does not train."""
        count = len(self.runs) - 1
        statement = (
            f"SGD with momentum does not train {self.network} at any of {count} learning rates."
        )
        criterion = f"every run diverges or ends with a training error above {percent(TRAINS)}; AdamW's is below"
        return [claim("§4.1", statement, criterion, self._measure)]

    def _measure(self) -> Finding:
        need_records(self.records, self.runs)
        need_judged(self.protocol, self.sgd, self.adamw)
        assert self.adamw
        diverged = sum(record.diverged for record in self.sgd)
        learned = [record for record in self.sgd if _trains(record)]
        stuck = len(self.sgd) - diverged - len(learned)
        errors = [f"{_error(r)} at {compact(r.learning_rate)}" for r in learned]
        trained = f" (training error {', '.join(errors)})" if errors else ""
        end = "diverged" if self.adamw.diverged else f"has a training error of {_error(self.adamw)}"
        measured = f"{diverged} diverged, {stuck} did not learn, {len(learned)} trained{trained}; AdamW {end}"
        verdict, notes = Verdict.REPRODUCED, [ONE_SEED]
        if not _trains(self.adamw):
            verdict = Verdict.INCONCLUSIVE
            notes.append("AdamW does not train here either.")
        if stuck:
            notes.append(f"The paper says that SGD diverges; {stuck} runs did not.")
        return Finding(measured, Verdict.NOT_REPRODUCED if learned else verdict, " ".join(notes))


def _trains(record: Record) -> bool:
    return not record.diverged and record["train_error"][-1] < TRAINS


def _error(record: Record) -> str:
    return percent(record["train_error"][-1])


EXPERIMENT = Experiment(
    name="sgd_divergence",
    title="Section 4.1 · SGD without BatchNorm",
    claim="SGD with momentum does not train a deep ResNet without BatchNorm at any learning rate.",
    study=SGDDivergence,
)
