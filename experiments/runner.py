"""Execution of experiments: train the missing runs, judge the claims, and write the page."""

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adamprox.data import MissingDataError
from adamprox.report.page import Section
from adamprox.report.plots import style
from adamprox.report.publish import make_writable, publish
from adamprox.sweep import Record, Results, Run, check_data, run_key
from adamprox.training.cost import at_once, estimate, in_words
from experiments.protocol import Experiment, Protocol, Records, Study

TITLE = "AdamW, understood through proximal methods"
LEAD = (
    "AdamW takes Adam's step on the loss and then shrinks the weights. Adam-ℓ2 adds the same regularizer "
    "to the loss, and Adam scales its gradient. Each claim below is measured on the machines named at the "
    "end and judged by the criterion beside it."
)

Experiments = Sequence[Experiment]
Obtain = Callable[[Sequence[Run]], Sequence[Record]]
Runner = Callable[[Sequence[Run], Results], list[Record]]
"""Function that executes the runs without a record, such as `run_sweep`."""


def run(
    experiments: Experiments,
    protocol: Protocol,
    out: pathlib.Path,
    *,
    runner: Runner,
    console: Console,
) -> pathlib.Path:
    """Execute the runs without a record, and write figures, claims and page.

    Returns:
      The path of the page.

    Raises:
      ValueError: There are no runs, or ``out`` is not writable; no run has started.
    """
    results = Results(out / "records")
    table = plan(experiments, protocol, results, need_data=True)
    page = out / page_name(experiments)
    make_writable(page)
    console.print(table)
    started = time.perf_counter()
    found = complete(experiments, protocol, results, runner=runner, console=console)
    seconds = time.perf_counter() - started
    return _publish(experiments, *found, protocol, page, seconds)


def draw(
    experiments: Experiments, protocol: Protocol, out: pathlib.Path, *, console: Console
) -> pathlib.Path:
    """Write figures, claims and page from records; raise ValueError without records."""
    results = Results(out / "records")
    studies, records = settled(experiments, protocol, results.read_all)
    missing = [run for key, run in _distinct(studies).items() if key not in records]
    for path in results.distrusted(missing):
        console.print(Text(f"{path} is damaged or of another run: left out"), soft_wrap=True)
    begun = [e for e in experiments if records.of(studies[e.name].runs)]
    if not begun:
        name = experiments[0].name
        raise ValueError(f"out must hold records of this preset, {out} has none of {name}")
    console.print(f"{len(records)} records of {len(begun)} experiments")
    return _publish(begun, studies, records, protocol, out / page_name(experiments))


def plan(
    experiments: Experiments, protocol: Protocol, results: Results, *, need_data: bool = False
) -> Table:
    """Return a table of runs, finished runs and the cost of the other runs, by experiment.

    Args:
      need_data: True to refuse runs whose data set has not been prepared.

    Raises:
      ValueError: There are no runs, or the data of a run do not allow it.
    """
    table = Table("experiment", "runs", "done", "left, of one core")
    studies = {e.name: e.study(protocol, Records()) for e in experiments}
    records = results.read_all(_distinct(studies).values())
    done = {record.key for record in records}
    left: dict[str, Run] = {}
    for name, study in studies.items():
        runs = {run_key(run): run for run in study.runs}
        missing = {key: run for key, run in runs.items() if key not in done}
        new = [run for key, run in missing.items() if key not in left]  # others are shared
        cost = in_words(estimate(new, records, results.directory))
        table.add_row(name, f"{len(runs)}", f"{len(runs) - len(missing)}", cost)
        left.update(missing)
    if not _distinct(studies):
        names = " ".join(experiment.name for experiment in experiments)
        raise ValueError(
            f"preset must be one at which {names} has runs, got {protocol.preset!r}, which leaves "
            "their networks or the experiment out"
        )
    try:
        check_data(left.values())
    except MissingDataError:
        if need_data:
            raise
    total = in_words(estimate([*left.values()], records, results.directory))
    lines = [
        f"{len(left)} runs, about {total} of one core without compilation; best runs on edges and "
        "repetitions add more",
        *at_once(list(left.values()), results.directory),
    ]
    table.caption = "\n".join(lines)
    return table


def settled(
    experiments: Experiments, protocol: Protocol, obtain: Obtain
) -> tuple[dict[str, Study], Records]:
    """Return studies that need no more runs, and their records. Best runs on edges extend grids.

    Args:
      experiments: Experiments that share records.
      protocol: Protocol of their runs.
      obtain: Function that returns the records of runs, and may execute the runs first. It is
        asked for each run until it has a record, and the loop ends when it finds none.
    """
    records = Records()
    while True:
        studies = {e.name: e.study(protocol, records) for e in experiments}
        missing = [run for key, run in _distinct(studies).items() if key not in records]
        found = Records.by_key(obtain(missing)) if missing else Records()
        if not found:
            return studies, records
        records = Records(records | found)


def complete(
    experiments: Experiments,
    protocol: Protocol,
    results: Results,
    *,
    runner: Runner,
    console: Console,
) -> tuple[dict[str, Study], Records]:
    """Execute runs until no experiment needs more, and return the studies and all records.

    Raises:
      OSError: A record has disappeared.
    """
    begun = False

    def obtain(runs: Sequence[Run]) -> list[Record]:
        nonlocal begun
        if begun:
            console.print(f"best runs on edges, or to be repeated: {len(runs)} more runs")
        begun = True
        records = runner(runs, results)
        if lost := len(runs) - len(records):
            raise FileNotFoundError(f"{lost} records of {results.directory} are gone")
        return records

    return settled(experiments, protocol, obtain)


def _publish(
    experiments: Experiments,
    studies: Mapping[str, Study],
    records: Records,
    protocol: Protocol,
    page: pathlib.Path,
    seconds: float = 0.0,
) -> pathlib.Path:
    """Draw and judge the studies on all records, write the page, and return its path."""
    known = {e.name: records.of(studies[e.name].runs) for e in experiments}
    grid = ("preset", "learning_rates", "weight_decays", "l2_extension", "loss_multipliers")
    facts = {name: getattr(protocol, name) for name in (*grid, "extensions", "seeds")}
    facts = {**protocol.training, **facts, "this command": f"{seconds:.0f} s"}
    with style():
        sections = {
            e.name: Section(e.title, e.claim, study.figures(), study.claims(), study.headline())
            for e in experiments
            for study in [studies[e.name]]
        }
        publish(page, TITLE, LEAD, sections, known, facts)
    return page


def page_name(experiments: Experiments) -> str:
    """Return the file name of the page: ``report.html``, or a name of its own for one experiment."""
    return "report.html" if len(experiments) > 1 else f"{experiments[0].name}.html"


def _distinct(studies: Mapping[str, Study]) -> dict[str, Run]:
    return {run_key(run): run for study in studies.values() for run in study.runs}
