"""The tables of docs/reproduction.md, docs/scale.md and the README, from the records in results/.

Command: python -m experiments.reproduction
Writes verdicts and numbers of cells between the markers of each, and the figures that they show. The
tests run it on the committed records and compare.
"""

import collections
import dataclasses
import json
import pathlib
import re
import shutil
from collections.abc import Sequence

import numpy as np
from rich.console import Console

from adamprox.report import Claim, Verdict
from adamprox.report.claims import best, compact, percent
from adamprox.report.tables import read_claims
from adamprox.sweep import Record, Results
from adamprox.training import TrainingCell
from experiments.catalogue import CATALOGUE
from experiments.cost import in_words, reckoned
from experiments.presets import protocol
from experiments.run import draw

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reproduction.md"
README = ROOT / "README.md"
SCALE = ROOT / "docs" / "scale.md"
RUN = ROOT / "results" / "reduced"
SPOKEN = (Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED)
PRESET = "reduced"
FIGURES = {
    "fig03_resnet_20_heatmaps.png": "fig03_resnet_20_heatmaps.png",
    "fig03_resnet_56_heatmaps.png": "fig03_resnet_56_heatmaps.png",
    "fig03_resnet_110_heatmaps.png": "fig03_resnet_110_heatmaps.png",
    "fig03_resnet_110_curves.png": "fig03_resnet_110_curves.png",
    "fig04_loss_multiplier.png": "fig04_on_cifar.png",
    "fig09_spread_by_cell.png": "fig09_spread_by_cell.png",
    "l1_sparsity.png": "l1_sparsity.png",
    "rival_second_moment.png": "rival_second_moment.png",
    "rival_second_moment_resnet_110.png": "rival_second_moment_resnet_110.png",
    "rival_tuning.png": "rival_tuning.png",
}
"""Of the run, to their names in docs/figures, where the demo's Fig. 4 lies too."""


def claims_table(claims: Sequence[Claim]) -> str:
    """A Markdown table of verdicts; what is not run comes in one line below it."""
    judged = [claim for claim in claims if claim.measured != "—"]
    rows = ["| paper | claim | measured | verdict |", "| --- | --- | --- | --- |"]
    for claim in judged:
        cells = claim.section, claim.statement, f"{claim.measured}. {claim.note}".strip()
        rows.append(f"| {' | '.join(map(_escaped, cells))} | **{claim.verdict.value}** |")
    waiting = len(claims) - len(judged)
    return "\n".join([*rows, "", f"{waiting} claims wait for cells that have not been run."])


def summary_table(claims: Sequence[tuple[str, Claim]]) -> str:
    """A Markdown table of how the claims, each after its experiment's name, have fared."""
    verdicts: dict[str, collections.Counter] = {}
    for name, claim in claims:
        if claim.verdict in SPOKEN:
            verdicts.setdefault(name, collections.Counter())[claim.verdict] += 1
    rows = [
        f"| | claim | {' | '.join(v.value for v in SPOKEN)} |",
        "| --- | --- | --: | --: | --: |",
    ]
    for name, counts in verdicts.items():
        title, _, _ = CATALOGUE[name].title.partition(" · ")
        spoken = " | ".join(f"{counts[v] or ''}" for v in SPOKEN)
        rows.append(f"| {title} | {_escaped(CATALOGUE[name].claim)} | {spoken} |")
    waiting = sum(claim.verdict is Verdict.NOT_RUN for _, claim in claims)
    return "\n".join([*rows, "", f"{waiting} more claims wait for cells that have not been run."])


def cells_table(records: Sequence[Record]) -> str:
    """A Markdown table of how much was trained, by network and optimizer.

    The best is among cells as they are in a grid: of the first seed, initialization and loss.
    """
    rows = ["| network | optimizer | cells | diverged | best (α, λ) | time |", "| --- " * 6 + "|"]
    kinds: dict[tuple[str, str], list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["depth"], r["batch_norm"], r["optimizer"])):
        norm = "with" if record["batch_norm"] else "without"
        network = f"{record['network']}-{record['depth']} {norm} BatchNorm"
        network += ", SkipInit" if record["skip_init"] else ""
        kinds.setdefault((network, record["optimizer"]), []).append(record)
    for (network, optimizer), own in kinds.items():
        diverged = sum(bool(record["diverged_step"]) for record in own)
        seconds = in_words(sum(record["seconds"] for record in own))
        grid = [r for r in own if (r["seed"], r["init_seed"], r["loss_multiplier"]) == (0, 0, 1)]
        row = network, f"`{optimizer}`", str(len(own)), str(diverged), _lowest(grid), seconds
        rows.append(f"| {' | '.join(row)} |")
    origins = [json.loads(record["provenance"]) for record in records]
    machines = sorted({f"{o['cpu']}, jax {o['jax']}" for o in origins})
    total = in_words(sum(record["seconds"] for record in records))
    dirty = sum(str(origin["commit"]).endswith("-dirty") for origin in origins)
    summary = (
        f"{len(records)} cells, {total} of one core in all, on {'; '.join(machines)}. {dirty} come from "
        "a checkout with changes that were not committed; their records say `-dirty`."
    )
    return "\n".join([*rows, "", summary])


def cost_table(records: Sequence[Record]) -> str:
    """A Markdown table of what cells were reckoned to take and took; it needs their images."""
    rows = [
        "| network | cells | reckoned, s a cell | measured, s a cell (quartiles) |",
        "| --- | --: | --: | --: |",
    ]
    options = [field.name for field in dataclasses.fields(TrainingCell)]
    kinds: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["network"], r["depth"])):
        if not record["diverged_step"]:
            kinds.setdefault(f"{record['network']}-{record['depth']}", []).append(record)
    for network, own in kinds.items():
        cell = TrainingCell(**{name: own[0][name] for name in options if name in own[0]})
        low, middle, high = np.quantile([record["seconds"] for record in own], (0.25, 0.5, 0.75))
        took = f"{middle:.3g} ({low:.3g} to {high:.3g})"
        rows.append(f"| {network} | {len(own)} | {reckoned(cell):.3g} | {took} |")
    return "\n".join(rows)


def _lowest(records: Sequence[Record]) -> str:
    winner = best(records)
    if winner is None:
        return ""
    at = ", ".join(compact(winner[name]) for name in ("learning_rate", "weight_decay"))
    return f"{percent(winner['final_test_error'])} at ({at})"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def filled(page: str, parts: dict[str, str]) -> str:
    """``page`` with the text between ``<!-- NAME -->`` and ``<!-- end -->`` replaced."""
    for name, text in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
        page = pattern.sub(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
    return page


def tables(run: pathlib.Path) -> dict[str, str]:
    """All tables, from a run that has been drawn."""
    found = read_claims(run) or {"claims": []}
    records = Results(run / "records").every(TrainingCell.kind)
    return {
        "claims": claims_table([claim for _, claim in found["claims"]]),
        "summary": summary_table(found["claims"]),
        "cells": cells_table(records),
    }


def main() -> None:
    """Draw what there is, and fill the page."""
    experiments = [e for e in CATALOGUE.values() if PRESET in e.cost]
    draw(experiments, protocol(PRESET), RUN, console=Console(stderr=True))
    parts = tables(RUN)
    parts["cost"] = cost_table(Results(RUN / "records").every(TrainingCell.kind))
    for page in (PAGE, README, SCALE):
        page.write_text(filled(page.read_text(), parts))
    for name, shown in FIGURES.items():
        shutil.copy(RUN / "figures" / name, PAGE.parent / "figures" / shown)


if __name__ == "__main__":
    main()
