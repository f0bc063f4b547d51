"""The authors' best runs without BatchNorm, at their own hyperparameters.

Claim (§4.1, Fig. 3): at the (α, λ) that the authors found best for each, AdamW's test error is lower than
Adam-ℓ2's, and its updates spread less. No errors are published. An independent run of ResNet-20 with
AdamW at α = 1e-3 ended its 100 epochs with 84 to 85 % of the test images right.
Command: python -m experiments published_runs --preset paper --depth 20 --epochs 100
Cost: 3 to 4 min a run of it on an H100 that two runs share.
Expect: at 20 layers errors that one seed cannot tell apart, and a spread of updates that it can.
"""

import dataclasses
import math

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import noise, percent, points
from adamprox.sweep import Record
from experiments import figures
from experiments.claims import Finding, NotTested, by_margin, claim, need_judged, need_runs, spread
from experiments.grid import Grid
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, Tuned, wanted

SECTION = "§4.1, Fig. 3"
ADAM_L2_AND_ADAMW = {
    "ResNet-20": ((1e-3, 5e-4), (1e-3, 5e-5)),
    "ResNet-44": ((5e-4, 5e-4), (5e-4, 5e-5)),
    "ResNet-56": ((5e-4, 5e-4), (5e-4, 5e-5)),
    "ResNet-110": ((1e-3, 5e-4), (5e-4, 1e-4)),
    "ResNet-218": ((5e-4, 5e-3), (5e-4, 5e-5)),
    "DenseNet": ((5e-4, 1e-3), (1e-3, 5e-5)),
}
"""Network without BatchNorm to the authors' best (α, λ) of Adam-ℓ2 and of AdamW.

The README of their repository has these twelve commands and seven more: three with BatchNorm, four with
the loss multiplied."""

INDEPENDENT = ("ResNet-20", 100, 0.84)
"""Network, epochs, and share of test images that AdamW got right elsewhere."""

_LAST = 10
"""Visits of the test set that are averaged: α is constant, so errors vary from one to the next."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Networks whose runs are as long as the authors', by name: none but at their size."""

    networks: tuple[str, ...] = ()


class PublishedRuns(Study):
    """Adam-ℓ2 and AdamW, one run each a network."""

    def __init__(self, protocol: Protocol, records: Records):
        """Find the runs; nothing is tuned."""
        self.protocol = protocol
        single = protocol.without_repetitions()
        chosen = protocol.settings_of("published_runs", Settings).networks
        self.pairs = {
            name: [
                Method(optimizer, options=network.options, grid=Grid((at[0],), (at[1],))).tuned_on(
                    single, records
                )
                for optimizer, at in zip(("adam_l2", "adamw"), ADAM_L2_AND_ADAMW[name], strict=True)
            ]
            for name, network in protocol.networks.items()
            if name in chosen
        }
        self.runs = wanted(method for pair in self.pairs.values() for method in pair)

    def figures(self) -> list[Figure]:
        """Draw curves and update histograms of the two, a figure each a network."""
        drawn = []
        for name, pair in self.pairs.items():
            file = f"published_runs_{name.lower().replace('-', '_')}"
            trained_on = self.protocol.trained_on(self.protocol.networks[name])
            title = f"The authors' best runs: {trained_on}."
            drawn += figures.best_curves(pair, f"{file}_curves")
            drawn += figures.best_histograms(pair, f"{file}_histograms", title)
        return drawn

    def claims(self) -> list[Claim]:
        """Judge error and spread, and AdamW's error against the independent run."""
        judged = []
        for name, (l2, adamw) in self.pairs.items():
            where = f"{name} at the authors' (α, λ): "
            judged += [
                _lower_error(adamw, l2, where),
                spread.smaller_spread(adamw, l2, SECTION, where),
            ]
            if name == INDEPENDENT[0]:
                judged.append(_reaches(adamw, *INDEPENDENT))
        return judged


def _lower_error(better: Tuned, worse: Tuned, where: str) -> Claim:
    """Return the claim that one run ends with a lower test error than another."""
    statement = f"{where}{better.name}'s test error is lower than {worse.name}'s."
    criterion = (
        f"mean of the last {_LAST} visits lower by more than the margin of test set and visits"
    )

    def measure() -> Finding:
        need_runs(better, worse)
        low, high = better.tried[0], worse.tried[0]
        need_judged(better.protocol, low.error is not None or high.error is not None)
        if low.error is None:
            return Finding(f"{better.name} diverged", Verdict.NOT_REPRODUCED, "One seed each.")
        if high.error is None:
            return Finding(f"{worse.name} diverged", Verdict.REPRODUCED, "One seed each.")
        visits = [_late(record) for record in (low, high)]
        means = [float(np.mean(errors)) for errors in visits]
        variance = sum(float(np.var(errors)) / len(errors) for errors in visits)
        margin = math.hypot(noise(low, high), 2 * math.sqrt(variance))
        note = (
            f"Means of the last {len(visits[0])} visits; the last alone: {percent(low.error)} vs "
            f"{percent(high.error)}. One seed each. Margin of test set and visits: {points(margin)}; "
            "another seed may change more."
        )
        measured = f"{percent(means[0])} vs {percent(means[1])} (1 seed each)"
        return Finding(measured, by_margin(means[1] - means[0], margin), note)

    return claim(SECTION, statement, criterion, measure)


def _reaches(method: Tuned, network: str, epochs: int, share: float) -> Claim:
    """Return the claim that a run gets a ``share`` of the test images right after ``epochs``."""
    statement = f"{network}: {method.name} gets {percent(share)} of the test images right after {epochs} epochs."
    criterion = f"at least {percent(share)}; less within the margin of the test set: inconclusive"

    def measure() -> Finding:
        need_runs(method)
        record = method.best
        need_judged(method.protocol, record)
        error = (
            record["test_error"][epochs - 1] if record and len(record.epochs) >= epochs else None
        )
        if record is None or error is None:
            raise NotTested(f"The test set was not visited after {epochs} epochs.")
        lacking = share - (1 - error)
        margin = 2 * math.sqrt(error * (1 - error) / record["test_examples"])
        verdict = Verdict.INCONCLUSIVE if lacking <= margin else Verdict.NOT_REPRODUCED
        return Finding(
            f"{percent(1 - error)} (1 seed)", Verdict.REPRODUCED if lacking <= 0 else verdict
        )

    return claim(SECTION, statement, criterion, measure)


def _late(record: Record) -> list[float]:
    return [error for error in record["test_error"] if error is not None][-_LAST:]


EXPERIMENT = Experiment(
    name="published_runs",
    title="Published runs · Without BatchNorm, at the authors' (α, λ)",
    claim="At the authors' (α, λ) AdamW errs less than Adam-ℓ2, and its updates spread less.",
    study=PublishedRuns,
)
