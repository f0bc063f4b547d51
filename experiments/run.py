"""One run: the cells of some experiments, their figures and claims, the page."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Sequence

from rich.console import Console

from adamprox.report.page import Section, save_figures, write_page
from adamprox.report.plots import style
from adamprox.sweep import Record, Results, cell_key, run_cells
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
      ValueError: ``out`` cannot be written to.
    """
    cells = {experiment.name: experiment.cells(protocol) for experiment in experiments}
    check_writable(out)
    started = time.perf_counter()
    results = Results(out / "records")
    everything = [cell for wanted in cells.values() for cell in wanted]
    run_cells(everything, results, workers=workers, console=console)
    training_time = time.perf_counter() - started
    facts = _facts(experiments, protocol, len({cell_key(c) for c in everything}), training_time)
    page = out / "report.html"
    with style():
        sections = [_section(e, protocol, results.read_all(cells[e.name])) for e in experiments]
        for section in sections:
            save_figures(section.figures, out / "figures")
        write_page(page, "AdamW, understood through proximal methods", LEAD, sections, facts)
    return page


def _section(experiment: Experiment, protocol: Protocol, records: list[Record]) -> Section:
    figures = experiment.figures(protocol, records)
    return Section(
        experiment.title, experiment.claim, figures, experiment.claims(protocol, records)
    )


def check_writable(out: pathlib.Path) -> None:
    """Raise ValueError unless ``out`` is, or can become, a directory to write in; makes nothing."""
    nearest = next(p for p in (out.absolute(), *out.absolute().parents) if os.path.lexists(p))
    if not nearest.is_dir():
        raise ValueError(f"out must be a directory, got {out} ({nearest} is a file)")
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        raise ValueError(f"out must be a directory that can be read and written, got {out}")


def _facts(experiments, protocol: Protocol, cells: int, seconds: float) -> list[tuple[str, str]]:
    names = " ".join(experiment.name for experiment in experiments)
    configuration = [(k, _text(v)) for k, v in dataclasses.asdict(protocol).items()]
    return [
        ("experiments", names),
        *configuration,
        ("cells", str(cells)),
        ("wall time", f"{seconds:.0f} s of this run (cells kept from earlier runs cost nothing)"),
        *((k, str(v)) for k, v in provenance().items()),
    ]


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{v:g}" for v in value)
    return "all" if value is None else str(value)
