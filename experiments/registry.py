"""All experiments, in the order of the page: their names, their claims, and the cost of their runs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.table import Table

from adamprox.checks import did_you_mean
from adamprox.data import MissingDataError
from adamprox.report.cost import cost_in_seconds, in_words
from adamprox.report.planned import grid_lines, plan_table
from adamprox.sweep import Results, Run, run_key
from experiments.alternatives import (
    data_size,
    factorial,
    initialization,
    reparametrization,
    spread_and_lead,
    stale_second_moment,
    tuning_budget,
)
from experiments.paper import (
    distributed,
    fig01_quadratics,
    fig02_03_accuracy,
    fig04_loss_multiplier,
    fig05_06_proximal,
    fig07_12_updates,
    l1_sparsity,
    published_runs,
    scale_freeness,
    sgd_divergence,
    theorem3,
)
from experiments.presets import PRESETS
from experiments.protocol import Experiment, Protocol, Records, Study

_ALL = (
    fig01_quadratics.EXPERIMENT,
    scale_freeness.EXPERIMENT,
    theorem3.EXPERIMENT,
    fig02_03_accuracy.FIG02,
    fig02_03_accuracy.FIG03,
    *published_runs.EXPERIMENTS,
    fig04_loss_multiplier.FIG04,
    fig05_06_proximal.FIG05,
    fig05_06_proximal.FIG06,
    *fig07_12_updates.EXPERIMENTS,
    spread_and_lead.EXPERIMENT,
    sgd_divergence.EXPERIMENT,
    l1_sparsity.EXPERIMENT,
    distributed.EXPERIMENT,
    factorial.EXPERIMENT,
    stale_second_moment.EXPERIMENT,
    stale_second_moment.AT_DEPTH,
    reparametrization.EXPERIMENT,
    fig04_loss_multiplier.ADAMS_METRIC,
    initialization.EXPERIMENT,
    tuning_budget.EXPERIMENT,
    data_size.EXPERIMENT,
)
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ALL}


COMMANDS = {
    "run": "train the runs of an experiment; write figures, claims and page",
    "compare": "tune your optimizer and others on the same grid, seeds and data",
    "list": "print one line per experiment",
    "status": "print the progress of a run directory, also while another process trains",
    "draw": "write figures, claims and page from existing records",
    "export": "write tables of all runs and of all epochs (Parquet and CSV)",
    "overview": "write a page on all run directories",
    "doctor": "check this machine",
}
"""Subcommands, and what they do."""


def listing(protocols: Iterable[Protocol]) -> list[str]:
    """Return a line for each experiment: its name, the presets at which it has runs, its claim."""
    chosen = list(protocols)
    places = {
        name: ",".join(
            its.preset if name in its.experiments else f"({its.preset})"
            for its in chosen
            if runs_of([each], its)
        )
        for name, each in EXPERIMENTS.items()
    }
    shown = [(name, where, EXPERIMENTS[name].claim) for name, where in places.items() if where]
    wide, wider, _ = (max(map(len, column)) for column in zip(*shown, strict=True))
    return [f"{name:{wide}}  {where:{wider}}  {claim}" for name, where, claim in shown] + [
        "Presets in parentheses: `all` does not include the experiment there; run it by its name."
    ]


def description(experiment: Experiment, protocols: Iterable[Protocol]) -> list[str]:
    """Return lines on an experiment: its title, its claims, and its runs at each preset.

    The claims are those of the last preset with the largest number of claims.
    """
    chosen = list(protocols)
    judged = max((experiment.study(p, Records()).claims() for p in reversed(chosen)), key=len)
    wanted = {its.preset: [*runs_of([experiment], its).values()] for its in chosen}
    costs = [
        f"  {preset:8} {len(runs):5} runs, about {in_words(cost_in_seconds(runs, []))} of one core"
        if runs
        else f"  {preset:8}     0 runs"
        for preset, runs in wanted.items()
    ]
    return [
        f"{experiment.name}: {experiment.title}",
        f"  {experiment.claim}",
        "claims:",
        *(f"  {claim.statement}" for claim in judged),
        "presets (extended grids and repetitions with more seeds add runs):",
        *costs,
    ]


def find(name: str, protocol: Protocol) -> list[Experiment]:
    """Return the experiments for a name on the command line.

    Args:
      name: Name of an experiment, or ``all`` for those that the preset lists.
      protocol: Protocol of the preset.

    Raises:
      ValueError: The name is unknown.
    """
    if name == "all":
        return [EXPERIMENTS[each] for each in protocol.experiments]
    check_name(name)
    return [EXPERIMENTS[name]]


def check_name(name: str) -> None:
    """Refuse a name that is neither ``all`` nor one of an experiment."""
    names = ["all", *EXPERIMENTS]
    if name in COMMANDS:
        raise ValueError(f"experiment must not be a command; run: python -m experiments {name}")
    if name not in names:
        near = did_you_mean(name, [*names, *COMMANDS]) or "."
        raise ValueError(f"experiment is unknown, got {name!r}{near} Names: {', '.join(names)}")


def runs_of(experiments: Sequence[Experiment], chosen: Protocol) -> dict[str, Run]:
    """Return the runs of experiments without records, by key."""
    return distinct(e.study(chosen, Records()) for e in experiments)


def distinct(studies: Iterable[Study]) -> dict[str, Run]:
    """Return the runs of studies by key."""
    return {run_key(run): run for study in studies for run in study.runs}


class Plan(NamedTuple):
    """Runs of experiments as text: a table of their number and cost, and lines on their grids."""

    table: Table
    grids: list[str]


def plan(
    experiments: Sequence[Experiment],
    protocol: Protocol,
    results: Results,
    *,
    need_data: bool = False,
) -> Plan:
    """Return the runs of the experiments, and the cost of those without a record.

    Args:
      need_data: True to refuse runs whose data set has not been prepared.

    Raises:
      ValueError: There are no runs, or the data of a run do not allow it.
    """
    studies = {e.name: e.study(protocol, Records()) for e in experiments}
    runs = distinct(studies.values())
    if not runs:
        raise ValueError(_no_runs(experiments, protocol))
    records = results.read_all(runs.values())
    done = {record.key for record in records}
    try:
        for key, run in runs.items():
            if key not in done:
                run.check()
    except MissingDataError:
        if need_data:
            raise
    table = plan_table(
        {name: study.runs for name, study in studies.items()}, records, results.directory
    )
    return Plan(table, grid_lines(list(runs.values()), done))


def _no_runs(experiments: Sequence[Experiment], protocol: Protocol) -> str:
    names = " ".join(experiment.name for experiment in experiments)
    others = [each.preset for each in PRESETS.values() if runs_of(experiments, each)]
    return f"preset must be one at which {names} has runs ({', '.join(others)}), got {protocol.preset!r}"
