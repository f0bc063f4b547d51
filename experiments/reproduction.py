"""The tables of docs/reproduction.md, verdicts.md, scale.md and the README, from the records in results/.

Command: python -m experiments.reproduction
Writes verdicts and numbers of cells between the markers of each, and the figures that they show. The
tests run it on the committed records and compare.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from adamprox.command_line import begin, console
from adamprox.files import write_atomically
from adamprox.report import Claim
from adamprox.report.tables import read_claims
from adamprox.sweep import Record, Results
from adamprox.training import TrainingCell
from experiments.catalogue import CATALOGUE
from experiments.experiment import Experiment
from experiments.presets import protocol
from experiments.protocol import Protocol
from experiments.run import draw
from experiments.tables import (
    cells_table,
    claims_table,
    cost_table,
    filled,
    headline_table,
    runs_table,
    summary_table,
)

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reproduction.md"
VERDICTS = ROOT / "docs" / "verdicts.md"
README = ROOT / "README.md"
SCALE = ROOT / "docs" / "scale.md"


class Run(NamedTuple):
    """A run in results/ that the documentation shows.

    Attributes:
      preset: Its preset, also the name of its directory.
      options: What it changes of the preset.
      only: Names of its experiments; all that the preset has a cost for by default.
      figures: Of the run, to their names in docs/figures.
    """

    preset: str
    options: Mapping[str, Any]
    only: Sequence[str]
    figures: Mapping[str, str]

    @property
    def directory(self) -> pathlib.Path:
        """Where its records, figures and verdicts are."""
        return ROOT / "results" / self.preset

    @property
    def protocol(self) -> Protocol:
        """What was trained."""
        return protocol(self.preset, **self.options)

    @property
    def experiments(self) -> list[Experiment]:
        """What is drawn, whether or not it has been run."""
        names = self.only or [e.name for e in CATALOGUE.values() if self.preset in e.cost]
        return [CATALOGUE[name] for name in names]

    @property
    def records(self) -> list[Record]:
        """Of all its training cells."""
        return Results(self.directory / "records").every(TrainingCell.kind)

    @property
    def claims(self) -> list[tuple[str, Claim]]:
        """As they were when it was last drawn, each after the name of its experiment."""
        return (read_claims(self.directory) or {"claims": []})["claims"]


REDUCED = Run(
    "reduced",
    {},
    (),
    {
        "fig03_resnet_20_heatmaps.png": "fig03_resnet_20_heatmaps.png",
        "fig03_resnet_56_heatmaps.png": "fig03_resnet_56_heatmaps.png",
        "fig03_resnet_110_heatmaps.png": "fig03_resnet_110_heatmaps.png",
        "fig03_resnet_110_curves.png": "fig03_resnet_110_curves.png",
        "fig04_loss_multiplier.png": "fig04_on_cifar.png",
        "fig09_spread_by_cell.png": "fig09_spread_by_cell.png",
        "l1_sparsity.png": "l1_sparsity.png",
        "rival_second_moment.png": "rival_second_moment.png",
        "rival_second_moment_resnet_110.png": "rival_second_moment_resnet_110.png",
        "rival_images.png": "rival_images.png",
        "rival_tuning.png": "rival_tuning.png",
    },  # the demo's Fig. 4 lies there too
)
PAPER = Run(
    "paper",
    {"depth": 20, "epochs": 100},
    ("published_cells",),
    {
        "published_cells_resnet_20_curves.png": "published_resnet_20_curves.png",
        "published_cells_resnet_20_histograms.png": "published_resnet_20_histograms.png",
    },
)
RUNS = (REDUCED, PAPER)


def tables() -> dict[str, str]:
    """All tables but that of costs, from runs that have been drawn."""
    order = list(CATALOGUE)
    claims = sorted((c for run in RUNS for c in run.claims), key=lambda c: order.index(c[0]))
    return {
        "headline": headline_table(PAPER.records, REDUCED.records),
        "claims": claims_table([claim for _, claim in REDUCED.claims]),
        "published": claims_table([claim for _, claim in PAPER.claims]),
        "runs": runs_table(PAPER.records),
        "summary": summary_table(claims),
        "cells": cells_table(REDUCED.records),
    }


def main() -> None:
    """Draw what there is, and fill the pages."""
    for run in RUNS:
        draw(run.experiments, run.protocol, run.directory, console=console(stderr=True))
    parts = {**tables(), "cost": cost_table(REDUCED.records)}
    for page in (PAGE, VERDICTS, README, SCALE):
        write_atomically(page, filled(page.read_text(encoding="utf-8"), parts))
    for run in RUNS:
        for name, shown in run.figures.items():
            picture = (run.directory / "figures" / name).read_bytes()
            write_atomically(PAGE.parent / "figures" / shown, picture)


if __name__ == "__main__":
    begin()
    main()
