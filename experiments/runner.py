"""Execution of experiments: train the missing runs, judge the claims, and write the page."""

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from adamprox.report import Claim
from adamprox.report.page import Section
from adamprox.report.plots import style
from adamprox.report.publish import make_writable, publish
from adamprox.sweep import LostRunsError, Record, Results, Run
from experiments.presets import replaced_options
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.registry import distinct, plan

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


class NoRecordsError(ValueError):
    """Error of drawing where no record is found."""


class Published(NamedTuple):
    """A written page.

    Attributes:
      page: Path of the page.
      headline: Main results as (number, description).
      claims: Claims with their verdicts.
    """

    page: pathlib.Path
    headline: Sequence[tuple[str, str]]
    claims: Sequence[Claim]


def run(
    experiments: Experiments,
    protocol: Protocol,
    out: pathlib.Path,
    *,
    runner: Runner,
    console: Console,
    only: Callable[[Run], bool] | None = None,
) -> Published:
    """Execute the runs without a record, and write figures, claims and page.

    Args:
      experiments: Experiments that share records.
      protocol: Protocol of their runs.
      out: Output directory.
      runner: Function that executes the runs.
      console: Console for the plan.
      only: Condition on the runs to execute, None for all. Figures and claims use all records in ``out``.

    Raises:
      ValueError: There are no runs, or ``out`` is not writable; no run has started.
      LostRunsError: Runs failed. The page shows all others.
    """
    results = Results(out / "records")
    chosen = restricted(experiments, only)
    table = plan(chosen, protocol, results, need_data=True).table
    page = out / page_name(experiments)
    make_writable(page)
    console.print(table)
    started = time.perf_counter()
    try:
        found = settled(chosen, protocol, lambda runs: runner(runs, results))
    except LostRunsError:
        with contextlib.suppress(NoRecordsError):
            draw(experiments, protocol, out, console=console)
        raise
    shown = experiments
    if only:
        found = settled(experiments, protocol, results.read_all)
        shown = _begun(experiments, *found)
    seconds = time.perf_counter() - started
    return _publish(shown, *found, protocol, page, seconds)


def restricted(experiments: Experiments, only: Callable[[Run], bool] | None) -> Experiments:
    """Return the experiments with those of their runs that meet a condition; None is no condition."""
    if only is None:
        return experiments

    def study(experiment: Experiment, protocol: Protocol, records: Records) -> Study:
        found = experiment.study(protocol, records)
        found.runs = [run for run in found.runs if only(run)]
        return found

    return [dataclasses.replace(e, study=functools.partial(study, e)) for e in experiments]


def draw(
    experiments: Experiments, protocol: Protocol, out: pathlib.Path, *, console: Console
) -> Published:
    """Write figures, claims and page from records; raise `NoRecordsError` without records."""
    results = Results(out / "records")
    studies, records = settled(experiments, protocol, results.read_all)
    missing = [run for key, run in distinct(studies.values()).items() if key not in records]
    for path in results.distrusted(missing):
        console.print(
            Text(f"{path} is damaged or belongs to another run: left out"), soft_wrap=True
        )
    begun = _begun(experiments, studies, records)
    if not begun:
        name = experiments[0].name
        raise NoRecordsError(f"out must hold records of this preset, {out} has none of {name}")
    console.print(f"{len(records)} records of {len(begun)} experiments")
    return _publish(begun, studies, records, protocol, out / page_name(experiments))


def _begun(experiments: Experiments, studies: Mapping[str, Study], records: Records) -> Experiments:
    """Return the experiments with a record; a page of part of the runs shows no others."""
    return [e for e in experiments if records.of(studies[e.name].runs)]


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
        missing = [run for key, run in distinct(studies.values()).items() if key not in records]
        found = Records.by_key(obtain(missing)) if missing else Records()
        if not found:
            return studies, records
        records = Records(records | found)


def _publish(
    experiments: Experiments,
    studies: Mapping[str, Study],
    records: Records,
    protocol: Protocol,
    page: pathlib.Path,
    seconds: float = 0.0,
) -> Published:
    """Draw and judge the studies on all records, and write the page."""
    known = {e.name: records.of(studies[e.name].runs) for e in experiments}
    grid = ("preset", "learning_rates", "weight_decays", "l2_extension", "loss_multipliers")
    facts = {name: getattr(protocol, name) for name in (*grid, "extensions", "seeds")}
    facts = {**protocol.training, **facts, "this command": f"{seconds:.0f} s"}
    if options := replaced_options(protocol):
        facts["options"] = options
    with style():
        sections = {
            e.name: Section(e.title, e.claim, study.figures(), study.claims(), study.headline())
            for e in experiments
            for study in [studies[e.name]]
        }
        publish(page, TITLE, LEAD, sections, known, facts)
    headline = [result for section in sections.values() for result in section.headline]
    claims = [claim for section in sections.values() for claim in section.claims]
    return Published(page, headline, claims)


def page_name(experiments: Experiments) -> str:
    """Return the file name of the page: ``report.html``, or a name of its own for one experiment."""
    return "report.html" if len(experiments) > 1 else f"{experiments[0].name}.html"
