"""One run: the cells of some experiments, their figures and claims, the page."""

import dataclasses
import json
import pathlib
import tempfile
import time
from collections.abc import Sequence

from rich.console import Console

from adamprox.report.page import Section, save_figures, write_page
from adamprox.report.plots import style
from adamprox.sweep import Cell, Record, Results, cell_key, run_cells
from adamprox.sweep.provenance import provenance
from experiments.experiment import Experiment
from experiments.protocol import Protocol

LEAD = (
    "AdamW takes Adam's step on the loss and then shrinks the weights; Adam-ℓ2 hides the same "
    "regularizer inside the gradient, where Adam's own scaling distorts it. Each claim below is "
    "measured on this machine and judged against a bar that was set beforehand."
)


def run(
    experiments: Sequence[Experiment],
    protocol: Protocol,
    out: pathlib.Path,
    *,
    workers: int | None,
    console: Console,
) -> pathlib.Path:
    """Run what is missing, draw what there is, and write the page.

    Returns:
      The path of the page.

    Raises:
      ValueError: ``out`` cannot be written to; nothing has been run.
    """
    for experiment in experiments:
        experiment.cells(
            protocol, ()
        )  # a cell that cannot be is refused before anything is written
    make_writable(out)
    started = time.perf_counter()
    results = Results(out / "records")
    cells = complete(experiments, protocol, results, workers=workers, console=console)
    everything = [cell for wanted in cells.values() for cell in wanted]
    training_time = time.perf_counter() - started
    facts = _facts(experiments, protocol, results.read_all(everything), training_time)
    # A page of its own for one experiment: it must not replace that of all.
    page = out / ("report.html" if len(experiments) > 1 else f"{experiments[0].name}.html")
    with style():
        sections = [_section(e, protocol, results.read_all(cells[e.name])) for e in experiments]
        for section in sections:
            save_figures(section.figures, out / "figures")
        write_page(page, "AdamW, understood through proximal methods", LEAD, sections, facts)
    return page


def complete(
    experiments: Sequence[Experiment],
    protocol: Protocol,
    results: Results,
    *,
    workers: int | None,
    console: Console,
) -> dict[str, Sequence[Cell]]:
    """Run cells until no experiment asks for more: what is found may extend a grid.

    Returns:
      The cells of each experiment, by its name; all have records.
    """
    records: list[Record] = []
    while True:
        cells = {e.name: e.cells(protocol, records) for e in experiments}
        everything = [cell for wanted in cells.values() for cell in wanted]
        wanted = {cell_key(cell) for cell in everything}
        if records and wanted <= {record["key"] for record in records}:
            return cells
        if records:
            more = len(wanted) - len(records)
            console.print(f"best cells on edges, or to be repeated: {more} more cells")
        records = run_cells(everything, results, workers=workers, console=console)


def _section(experiment: Experiment, protocol: Protocol, records: list[Record]) -> Section:
    figures = experiment.figures(protocol, records)
    return Section(
        experiment.title, experiment.claim, figures, experiment.claims(protocol, records)
    )


def make_writable(out: pathlib.Path) -> None:
    """Make sure that records can be written under ``out`` before anything is computed."""
    nearest = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    try:
        (out / "records").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out / "records"):
            pass
    except OSError as error:
        reason = "is a file" if nearest.is_file() else (error.strerror or "").lower()
        raise ValueError(
            f"out must be a directory that can be written to, got {out} ({nearest}: {reason})"
        ) from None


def _facts(experiments, protocol: Protocol, records, seconds: float) -> list[tuple[str, str]]:
    names = " ".join(experiment.name for experiment in experiments)
    grids = {k: v for k, v in dataclasses.asdict(protocol).items() if k != "training"}
    configuration = [(k, _text(v)) for k, v in {**protocol.training, **grids}.items()]
    origins = [json.loads(record["provenance"]) for record in records]
    return [
        ("experiments", names),
        *configuration,
        ("cells", str(len({record["key"] for record in records}))),
        ("training", f"{_training_seconds(records):.0f} s of one core, summed over cells"),
        (
            "cells finished",
            f"{min(o['finished'] for o in origins)} to {max(o['finished'] for o in origins)}",
        ),
        ("cells from commit", ", ".join(sorted({o["commit"] or "unknown" for o in origins}))),
        ("this run", f"{seconds:.0f} s wall time; what follows is of this run"),
        *((k, str(v)) for k, v in provenance().items()),
    ]


def _training_seconds(records) -> float:
    return sum({r["key"]: r.get("seconds", 0.0) for r in records}.values())


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{v:g}" for v in value)
    return "all" if value is None else str(value)
