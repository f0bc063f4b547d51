"""Claims on exact zeros, along a line over λ."""

import dataclasses
from collections.abc import Sequence

from adamprox.report import Claim, Verdict
from adamprox.report.claims import compact, estimate, gap, noise, percent, untested
from adamprox.report.plots import LABELS
from adamprox.sweep import Record, cell_key
from adamprox.training import TrainingCell
from experiments import verdicts
from experiments.protocol import Protocol

SECTION = "§5"
LITTLE = {"adamprox_l1": ("zero_share", 0.5), "adamprox_group": ("zero_channel_share", 0.25)}
"""The column that must reach the bar, at an error that is not above that of λ = 0 beyond noise."""


@dataclasses.dataclass(frozen=True)
class Path:
    """One optimizer on one network, along λ.

    Attributes:
      network: What it is called.
      cells: One a λ, the first of λ = 0.
    """

    network: str
    cells: tuple[TrainingCell, ...]

    @property
    def optimizer(self) -> str:
        """A key of `adamprox.training.recipes.RECIPES`."""
        return self.cells[0].optimizer

    def runs(self, records: Sequence[Record]) -> list[Record]:
        """The records of its cells that ended well, by λ."""
        found = _of(self.cells, records)
        return sorted(found, key=lambda r: r["weight_decay"])

    def chosen(self, records: Sequence[Record]) -> TrainingCell | None:
        """The cell that is held up as sparse: its error is not above that of λ = 0 beyond noise.

        Of those that have zeros enough the one of lowest error, otherwise the one of most zeros; None
        where λ = 0 did not end well.
        """
        runs = self.runs(records)
        if not runs or runs[0]["weight_decay"]:
            return None
        column, share = LITTLE[self.optimizer]
        allowed = _allowed(runs)
        sparse = [r for r in allowed if r[column] >= share]
        top = (
            min(sparse, key=lambda r: r["final_test_error"])
            if sparse
            else max(allowed, key=lambda r: r[column])
        )
        return next(c for c in self.cells if c.weight_decay == top["weight_decay"])

    def compared(self, protocol: Protocol, records: Sequence[Record]) -> list[list[TrainingCell]]:
        """The cell of λ = 0 and the chosen one, with every seed unless the first has too few zeros.

        None before all cells of the path have records.
        """
        top = self.chosen(records)
        if top is None or verdicts.without_record(self.cells, records):
            return []
        column, share = LITTLE[self.optimizer]
        enough = _of([top], records)[0][column] >= share
        return [
            [
                dataclasses.replace(c, seed=c.seed + k)
                for k in range(protocol.seeds if enough else 1)
            ]
            for c in (self.cells[0], top)
        ]


def _allowed(runs: Sequence[Record]) -> list[Record]:
    """Those whose error is not above that of the first by more than noise."""
    dense = runs[0]
    return [r for r in runs if r["final_test_error"] - dense["final_test_error"] <= noise(r, dense)]


def _of(cells: Sequence[TrainingCell], records: Sequence[Record]) -> list[Record]:
    keys = {cell_key(cell) for cell in cells}
    mine = {r["key"]: r for r in records if r["key"] in keys and "zero_share" in r}
    return [r for r in mine.values() if r["final_test_error"] is not None]


def sparse(protocol: Protocol, path: Path, records: Sequence[Record]) -> Claim:
    """Whether some λ makes the network sparse at an error within noise of that at λ = 0."""
    column, share = LITTLE[path.optimizer]
    what = "parameters" if column == "zero_share" else "output channels"
    statement = f"{LABELS[path.optimizer]} makes the {path.network} network sparse at little loss of accuracy."
    bar = f"at least {percent(share)} of the {what} exactly zero with every seed, error not above "
    bar += f"λ = 0 by more than the noise, which must be below {percent(verdicts.TELLING)}"
    pair = path.compared(protocol, records)
    needed = list(dict.fromkeys([*path.cells, *(cell for seeds in pair for cell in seeds)]))
    if missing := verdicts.without_record(needed, records):
        return verdicts.not_run(SECTION, statement, missing)
    runs = path.runs(records)
    reason = untested(protocol.preset)
    if not reason and not (pair and verdicts.learned(runs[0])):
        reason = "Without λ the network has learned nothing, or its zeros were not counted."
    if reason:
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    dense, top = (_of(cells, records) for cells in pair)
    zeros = [r[column] for r in top]
    measured = (
        f"{_between(zeros)} at λ = {compact(top[0]['weight_decay'])}, test error "
        f"{estimate(top)} for {estimate(dense)}"
    )
    loss = gap(top, dense)
    verdict = Verdict.REPRODUCED if loss.margin <= verdicts.TELLING else Verdict.INCONCLUSIVE
    diverged = len(pair[1]) - len(top)
    if diverged or min(zeros) < share or loss.difference > loss.margin:
        verdict = Verdict.NOT_REPRODUCED
    again = " each but for the two compared" if len(pair[1]) > 1 else ""
    note = f"{len(runs)} values of λ, one seed{again}."
    farthest = max(_allowed(runs), key=lambda r: r[column])
    if farthest["weight_decay"] != top[0]["weight_decay"]:
        note += f" Within noise of one seed zeros go to {percent(farthest[column])}, at λ = {compact(farthest['weight_decay'])}."
    if diverged:
        note += f" {diverged} of {len(pair[1])} seeds diverged."
    if protocol.preset == "demo":
        note += " The demo's runs are short: a channel has a few hundred steps to become empty."
    return Claim(SECTION, statement, measured, bar, verdict, note)


def _between(shares: Sequence[float]) -> str:
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"


def no_zeros(protocol: Protocol, paths: Sequence[Path], records: Sequence[Record]) -> Claim:
    """Whether AdamW's runs, at every λ on all networks, have no parameter that is exactly zero."""
    statement, bar = "At the same λ AdamW makes no parameter exactly zero.", "none in any run"
    cells = [cell for path in paths for cell in path.cells]
    if missing := verdicts.without_record(cells, records):
        return verdicts.not_run(SECTION, statement, missing)
    runs = [r for path in paths for r in path.runs(records)]
    if reason := untested(protocol.preset, runs):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    worst = max(r["zero_share"] for r in runs)
    measured = f"at most {100 * worst:.3g} % in {len(runs)} runs"
    left = len(cells) - len(runs)
    note = f"{left} more diverged, or are older than the count of zeros." if left else ""
    return Claim(
        SECTION,
        statement,
        measured,
        bar,
        Verdict.NOT_REPRODUCED if worst else Verdict.REPRODUCED,
        note,
    )
