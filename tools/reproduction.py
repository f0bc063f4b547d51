"""Draw every figure and table of README, docs and results/ from the committed records.

Command: make report, or python -m tools.reproduction
The program needs no data set. The tests compare the documentation with the committed records.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from adamprox.command_line import Parser, begin, console
from adamprox.files import write_atomically
from adamprox.report import Claim
from adamprox.report.tables import read_claims
from adamprox.sweep import Record, Results
from adamprox.training import TrainingRun
from benchmarks import accelerator
from experiments.alternatives.factorial import Factorial
from experiments.alternatives.stale_second_moment import ChangesAtDepth, StaleSecondMoment
from experiments.paper.fig02_03_accuracy import WithoutBatchNorm
from experiments.paper.published_runs import PUBLISHED, PublishedRuns
from experiments.presets import protocol
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.registry import EXPERIMENTS, find
from experiments.runner import draw, settled
from experiments.tuning import Tuned, at_common_seeds
from tools import first_gradients
from tools.evidence import (
    changes_table,
    factorial_table,
    headline_table,
    progress_table,
    rotation_table,
    spread_table,
    staleness_table,
)
from tools.significance import (
    activations_table,
    effects_table,
    seed_noise_table,
    statistics_table,
)
from tools.tables import (
    claims_table,
    cost_table,
    filled,
    runs_table,
    summary_table,
    trained_table,
    waiting_table,
)

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reproduction.md"
VERDICTS = ROOT / "docs" / "verdicts.md"
README = ROOT / "README.md"
SCALE = ROOT / "docs" / "scale.md"
ACCELERATOR = ROOT / "results" / "benchmarks" / "accelerator.json"
PERFORMANCE = ROOT / "docs" / "performance.md"


@dataclasses.dataclass(frozen=True)
class Committed:
    """A run directory in results/ that the documentation shows.

    Attributes:
      folder: Name of its directory.
      preset: Name of its preset.
      options: Options that differ from the preset's.
      name: Name of its experiment, or ``all`` for those that the preset lists.
      figures: Names of its figures that docs/figures also has.
    """

    folder: str
    preset: str
    options: Mapping[str, Any]
    name: str
    figures: tuple[str, ...]

    @property
    def directory(self) -> pathlib.Path:
        """Directory of its records, figures and verdicts."""
        return ROOT / "results" / self.folder

    @property
    def protocol(self) -> Protocol:
        """Protocol of its runs."""
        return protocol(self.preset, **self.options)

    @property
    def experiments(self) -> list[Experiment]:
        """Experiments to draw, with or without records."""
        return find(self.name, self.protocol)

    @functools.cached_property
    def records(self) -> list[Record]:
        """Records of all its training runs; an option that is newer than a record has its default."""
        found = Results(self.directory / "records").each(TrainingRun.kind)
        return [Record({**TrainingRun.defaults(), **record}) for record in found]

    @functools.cached_property
    def settled(self) -> tuple[dict[str, Study], Records]:
        """Studies of its experiments, and the records of their runs."""
        return settled(
            self.experiments, self.protocol, Results(self.directory / "records").read_all
        )

    @property
    def claims(self) -> list[tuple[str, Claim]]:
        """Committed claims as (name of the experiment, claim)."""
        return (read_claims(self.directory) or {"claims": []})["claims"]


REDUCED = Committed(
    "reduced",
    "reduced",
    {},
    "all",
    (
        "fig03_resnet_20_heatmaps",
        "fig03_resnet_56_heatmaps",
        "fig03_resnet_110_heatmaps",
        "fig03_resnet_110_curves",
        "fig04_loss_multiplier",
        "fig09_spread_by_point",
        "l1_sparsity",
        "stale_second_moment",
        "stale_second_moment_resnet_110",
        "data_size",
        "tuning_budget",
        "spread_and_lead",
    ),
)
PAPER = Committed(
    "paper",
    "paper",
    {"depth": 20, "epochs": 100},
    "published_runs",
    ("published_runs_resnet_20_curves", "published_runs_resnet_20_histograms"),
)
PAPER_110 = Committed(
    "paper_resnet_110",
    "paper",
    {"epochs": 100, "evaluate_every": 5, "evaluate_train": False, "compute_dtype": "bfloat16"},
    "published_resnet_110",
    ("published_runs_resnet_110_curves",),
)
RUNS = (REDUCED, PAPER, PAPER_110)


def tables() -> dict[str, str]:
    """Return all tables except those of `costs`, from the claims and records of `RUNS`."""
    order = list(EXPERIMENTS)
    reduced = REDUCED.protocol, Records.by_key(REDUCED.records)
    changed = [
        its for study in (StaleSecondMoment, ChangesAtDepth) for its in study(*reduced).changed
    ]
    rows = WithoutBatchNorm(*reduced).rows
    pairs = [(l2, adamw) for name, (l2, adamw, _) in rows.items() if name.startswith("ResNet")]
    claims = sorted((c for run in RUNS for c in run.claims), key=lambda c: order.index(c[0]))
    return {
        "headline": headline_table([*_published(), *pairs]),
        "claims": claims_table([claim for _, claim in REDUCED.claims]),
        "published": claims_table([c for run in (PAPER, PAPER_110) for _, c in run.claims]),
        "first_gradients": first_gradients.table(json.loads(first_gradients.FILE.read_text())),
        "factorial": factorial_table(Factorial(*reduced).rows),
        "effects": effects_table(Factorial(*reduced).rows),
        "changes": changes_table(changed),
        "progress": progress_table(_published()),
        "staleness": staleness_table([*_published(), *pairs], changed),
        "activations": activations_table(REDUCED.records),
        "rotation": rotation_table(REDUCED.records),
        "spread": spread_table(rows),
        "statistics": statistics_table(rows),
        "seed_noise": seed_noise_table(REDUCED.records),
        "runs": runs_table([*PAPER.records, *PAPER_110.records]),
        "summary": summary_table(claims),
        "trained": trained_table(REDUCED.records),
        "accelerator": accelerator.markdown(json.loads(ACCELERATOR.read_text(encoding="utf-8"))),
    }


def _published() -> Iterator[tuple[Tuned, Tuned]]:
    """Yield Adam-ℓ2 and AdamW at the authors' (α, λ), on every network without BatchNorm."""
    for run in (PAPER, PAPER_110):
        study = PublishedRuns(PUBLISHED, run.protocol, Records.by_key(run.records))
        for its, pair in study.pairs.items():
            if its.multiplier == 1 and not its.batch_norm:
                yield at_common_seeds(pair["adam_l2"], pair["adamw"])


def costs() -> dict[str, str]:
    """Return the tables of costs, for which networks are traced."""
    return {"cost": cost_table(REDUCED.records), "waiting": waiting_table(*REDUCED.settled)}


def main() -> None:
    """Draw the figures and fill the pages."""
    for run in RUNS:
        draw(run.experiments, run.protocol, run.directory, console=console(stderr=True))
    parts = tables() | costs()
    for page in (PAGE, VERDICTS, README, SCALE, PERFORMANCE):
        write_atomically(page, filled(page.read_text(encoding="utf-8"), parts))
    for run in RUNS:
        for name in run.figures:
            picture = (run.directory / "figures" / f"{name}.png").read_bytes()
            write_atomically(PAGE.parent / "figures" / f"{name}.png", picture)


if __name__ == "__main__":
    begin()
    Parser(prog="python -m tools.reproduction", description=__doc__).parse_args()
    main()
