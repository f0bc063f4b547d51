"""One run: the cells of some experiments, their figures and claims, the page."""

import dataclasses
import os
import pathlib
import stat
import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adamprox.output import obstacle
from adamprox.report.page import Section, save_figures, write_page
from adamprox.report.plots import style
from adamprox.report.tables import CLAIMS_LOCK, write_claims, write_records
from adamprox.sweep import Cell, Record, Results, cell_key, check_data
from adamprox.sweep.provenance import origin, provenance
from adamprox.training import TrainingCell
from experiments.cost import at_once, estimate, in_words
from experiments.experiment import Experiment
from experiments.protocol import Protocol

LEAD = (
    "AdamW takes Adam's step on the loss and then shrinks the weights; Adam-ℓ2 hides the same "
    "regularizer inside the gradient, where Adam's own scaling distorts it. Each claim below is "
    "measured on this machine and judged against the bar that its script states."
)


Runner = Callable[[Sequence[Cell], Results], list[Record]]
"""What makes sure that cells have records: `run_cells` with an engine."""


def run(
    experiments: Sequence[Experiment],
    protocol: Protocol,
    out: pathlib.Path,
    *,
    runner: Runner,
    console: Console,
) -> pathlib.Path:
    """Run what is missing, draw what there is, and write the page.

    Returns:
      The path of the page.

    Raises:
      ValueError: There is nothing to train, or ``out`` cannot be written to; nothing has been run.
    """
    results = Results(out / "records")
    # A cell that cannot be is refused before anything is written.
    table = plan(experiments, protocol, results)
    make_writable(out, page_name(experiments))
    console.print(table)
    started = time.perf_counter()
    cells = complete(experiments, protocol, results, runner=runner, console=console)
    seconds = time.perf_counter() - started
    page = out / page_name(experiments)
    return publish(experiments, protocol, page, cells, seconds=seconds)


def publish(
    experiments: Sequence[Experiment],
    protocol: Protocol,
    page: pathlib.Path,
    cells: Mapping[str, Sequence[Cell]],
    *,
    seconds: float,
) -> pathlib.Path:
    """Write figures, verdicts, tables and the page from the records of ``cells``.

    Args:
      experiments: What is drawn.
      protocol: Of the cells.
      page: Its path, in the directory of the run.
      cells: Name of an experiment to its cells; those without a record are left out.
      seconds: What running them took just now.

    Returns:
      The path of the page.
    """
    out = page.parent
    results = Results(out / "records")
    records = {e.name: results.read_all(cells[e.name]) for e in experiments}
    every = [r for rows in records.values() for r in rows]
    facts = _facts(experiments, protocol, every, seconds)
    with style():
        sections = [_section(e, protocol, records[e.name]) for e in experiments]
        for section in sections:
            save_figures(section.figures, out / "figures")
        write_page(page, "AdamW, understood through proximal methods", LEAD, sections, facts)
    claims = {e.name: s.claims for e, s in zip(experiments, sections, strict=True)}
    # The time is that of the last cell, not of the drawing: figures drawn again are the same files.
    about = {"preset": protocol.preset, "page": page.name, "finished": _finished(every)[-1]}
    write_claims(out, claims, about)
    for name, rows in records.items():
        write_records(out / "tables", name, rows)
    return page


def plan(experiments: Sequence[Experiment], protocol: Protocol, results: Results) -> Table:
    """How many cells each experiment has, how many are done, and what the rest will cost.

    Raises:
      ValueError: They have no cell at all, or one that cannot be run on its data.
    """
    table = Table("experiment", "cells", "done", "left, of one core")
    wanted = {e.name: {cell_key(cell): cell for cell in e.cells(protocol, ())} for e in experiments}
    distinct = {key: cell for own in wanted.values() for key, cell in own.items()}
    records = results.read_all(distinct.values())
    done = {record["key"] for record in records}
    left: dict[str, Cell] = {}
    for name, cells in wanted.items():
        missing = {key: cell for key, cell in cells.items() if key not in done}
        new = [cell for key, cell in missing.items() if key not in left]  # others are shared
        cost = in_words(estimate(new, records, results.directory))
        table.add_row(name, f"{len(cells)}", f"{len(cells) - len(missing)}", cost)
        left.update(missing)
    if not any(wanted.values()):
        names = " ".join(experiment.name for experiment in experiments)
        raise ValueError(
            f"preset must be one at which {names} has cells, got {protocol.preset!r}, which leaves "
            "its network out (as --depth leaves out all others)"
        )
    check_data(left.values())
    table.caption = (
        f"{len(left)} cells to run, about {in_words(estimate([*left.values()], records, results.directory))} of one "
        "core without compilation; best cells on edges and repetitions add more"
    )
    table.caption = "\n".join([table.caption, *at_once(list(left.values()), results.directory)])
    return table


def draw(
    experiments: Sequence[Experiment], protocol: Protocol, out: pathlib.Path, *, console: Console
) -> pathlib.Path:
    """As `run`, but from the records there are; claims that need others are "not run".

    Raises:
      ValueError: There is no record of any of the experiments in ``out``.
    """
    results = Results(out / "records")
    cells = settled(experiments, protocol, results.read_all)
    everything = {cell_key(cell): cell for own in cells.values() for cell in own}
    for path in results.distrusted(everything.values()):
        console.print(Text(f"{path} is damaged or of another cell: left out"), soft_wrap=True)
    begun = [e for e in experiments if results.read_all(cells[e.name])]
    if not begun:
        raise ValueError(
            f"out must hold records of this preset, {out} has none of {experiments[0].name}"
        )
    count = len(results.read_all(everything.values()))
    console.print(f"{count} records of {len(begun)} experiments")
    return publish(begun, protocol, out / page_name(experiments), cells, seconds=0.0)


def settled(
    experiments: Sequence[Experiment],
    protocol: Protocol,
    obtain: Callable[[Sequence[Cell]], Sequence[Record]],
) -> dict[str, Sequence[Cell]]:
    """Return the cells of each experiment, once no record asks for more: one may extend a grid.

    Args:
      experiments: Experiments that share records.
      protocol: Protocol of their cells.
      obtain: Function from cells to the records of those that have one, or are run for it. It is
        called again only while it finds more records than the time before.
    """
    records: Sequence[Record] = []
    while True:
        cells = {e.name: e.cells(protocol, records) for e in experiments}
        everything = {cell_key(cell): cell for own in cells.values() for cell in own}
        known = {record["key"] for record in records}
        if everything.keys() <= known:
            return cells
        records = obtain(list(everything.values()))
        if not {record["key"] for record in records} - known:
            return cells


def complete(
    experiments: Sequence[Experiment],
    protocol: Protocol,
    results: Results,
    *,
    runner: Runner,
    console: Console,
) -> dict[str, Sequence[Cell]]:
    """Run cells until no experiment asks for more: a record may extend a grid.

    Returns:
      The cells of each experiment, by its name; all have records.

    Raises:
      OSError: A record that was there before, or was just written, is gone.
    """
    asked = 0

    def obtain(cells: Sequence[Cell]) -> list[Record]:
        nonlocal asked
        if asked:
            console.print(
                f"best cells on edges, or to be repeated: {len(cells) - asked} more cells"
            )
        asked = len(cells)
        records = runner(cells, results)
        if len(records) < len(cells):
            lost = len(cells) - len(records)
            raise FileNotFoundError(
                f"{lost} records that were written to {results.directory} are gone"
            )
        return records

    return settled(experiments, protocol, obtain)


def _section(experiment: Experiment, protocol: Protocol, records: list[Record]) -> Section:
    figures = experiment.figures(protocol, records)
    claims = experiment.claims(protocol, records)
    headline = experiment.headline(protocol, records)
    return Section(experiment.title, experiment.claim, figures, claims, headline)


def page_name(experiments: Sequence[Experiment]) -> str:
    """The file that their page is written to: neither that of one replaces that of several."""
    return "report.html" if len(experiments) > 1 else f"{experiments[0].name}.html"


def make_writable(out: pathlib.Path, page: str) -> None:
    """Make sure that records and page can be written under ``out`` before anything is computed."""
    check_writable(out, page)
    try:
        (out / "records").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, (error.strerror or str(error)).lower()) from None


def check_directory(out: pathlib.Path) -> None:
    """Refuse an ``out`` that is no directory and cannot become one, whether or not it is written to.

    Raises:
      ValueError: Something else is there.
    """
    try:
        mode = os.stat(os.path.realpath(out)).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:  # too long a name; one with a zero byte in it
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"out must be a directory, got {out} ({reason.lower()})") from None
    if not stat.S_ISDIR(mode):
        raise ValueError(f"out must be a directory, got {out}")


def check_writable(out: pathlib.Path, page: str) -> None:
    """Refuse an ``out`` in which no records or no page can be written; nothing is left there.

    Raises:
      ValueError: It cannot be a directory that can be written to.
    """
    for folder in (out, out / "records", out / "figures", out / "tables"):
        if reason := obstacle(folder):
            raise _unwritable(out, reason)
    for file in (page, "claims.json", "claims.csv", CLAIMS_LOCK):
        if (out / file).is_dir() and not (out / file).is_symlink():
            raise _unwritable(out, f"{out / file}: is a directory")


def _unwritable(out: pathlib.Path, reason: str) -> ValueError:
    return ValueError(f"out must be a directory that can be written to, got {out} ({reason})")


def _facts(experiments, protocol: Protocol, records, seconds: float) -> list[tuple[str, str]]:
    names = " ".join(experiment.name for experiment in experiments)
    grids = {k: v for k, v in dataclasses.asdict(protocol).items() if k != "training"}
    configuration = [(k, _text(v)) for k, v in {**protocol.training, **grids}.items()]
    commits = {origin(record)["commit"] or "unknown" for record in records}
    finished = _finished(records)
    return [
        ("experiments", names),
        *configuration,
        ("cells", str(len({record["key"] for record in records}))),
        ("training", f"{_training_seconds(records):.0f} s, summed over cells"),
        ("cells finished", f"{finished[0]} to {finished[-1]}"),
        ("cells from commit", ", ".join(sorted(commits))),
        ("this run", f"{seconds:.0f} s wall time; what follows is of this run"),
        *((k, str(v)) for k, v in provenance().items()),
    ]


def _finished(records: Sequence[Record]) -> list[str]:
    """When, the first one first; in UTC, so that their order is that of the words."""
    return sorted(origin(record)["finished"] for record in records)


def _training_seconds(records) -> float:
    own = (r for r in records if r["kind"] == TrainingCell.kind)
    return sum({r["key"]: r["seconds"] for r in own}.values())


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{v:g}" for v in value)
    return "all" if value is None else str(value)
