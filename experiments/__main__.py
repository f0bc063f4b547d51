"""The command line: ``python -m experiments {list | all | fig01 | …} [--preset …] [--out DIR]``."""

import dataclasses
import functools
import pathlib
import re
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Column, Table

from adamprox.command_line import begin, console, directory, parse
from adamprox.interruption import leave, was_interrupted
from adamprox.output import check_directory, one_line
from adamprox.report.live import live_grids
from adamprox.report.overview import write_overview
from adamprox.report.publish import check_output
from adamprox.sweep import OutOfTimeError, Results, cell_key, run_cells
from adamprox.sweep.ray_cluster import check_cluster
from adamprox.sweep.run import ENGINES
from adamprox.training import TrainingCell
from experiments import doctor
from experiments.presets import PRESETS, protocol
from experiments.protocol import Experiment, Protocol, Records
from experiments.registry import EXPERIMENTS, did_you_mean, find
from experiments.runner import draw, page_name, plan, run


@dataclasses.dataclass
class Arguments:
    """Re-run figures and claims of the paper; finished cells are kept and never run again."""

    experiment: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """list, all, the name of an experiment, overview (a page over all runs in --out), or doctor."""
    preset: Annotated[str, tyro.conf.arg(metavar="{smoke,demo,reduced,paper}")] = "demo"
    """How much to run: smoke (to see that it works), demo (minutes), reduced (hours, real images), paper (the published protocol)."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where records, figures and report.html go; runs/<preset> by default."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print what would be run and what it would cost, and write nothing."""
    draw: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run nothing: figures, claims and page from the records there are."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Worker processes; one a core by default, 0 for this process itself."""
    engine: Annotated[str, tyro.conf.arg(metavar="{local,ray}")] = "local"
    """Where cells run: processes or devices of this machine, or a Ray cluster."""
    address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Of a Ray cluster, or auto; Ray is started on this machine by default."""
    time_limit: Annotated[str | None, tyro.conf.arg(metavar="12m")] = None
    """Stop in time, as in 90s, 12m or 3h: finished cells have records, and the same command goes on."""
    depth: Annotated[int | None, tyro.conf.arg(metavar="6n+2")] = None
    """Depth of the ResNet, in place of the preset's."""
    epochs: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Epochs a cell, in place of the preset's."""
    seed: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Seed of the order of the examples."""
    validation_size: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Training images held out, on which cells are selected too; reduced has 5000, paper none."""
    learning_rates: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="α [α …]")] = None
    """The grid of α, in place of the preset's."""
    weight_decays: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="λ [λ …]")] = None
    """The base grid of λ per step, in place of the preset's."""


def show_list(shown_on: Console) -> None:
    """Print every experiment, its claim, and the presets at which ``all`` runs it."""
    table = Table(Column("experiment", no_wrap=True), "claim", "all, at")
    for experiment in EXPERIMENTS.values():
        presets = [name for name, its in PRESETS.items() if experiment.name in its.experiments]
        table.add_row(experiment.name, experiment.claim, ", ".join(presets))
    table.caption = "NAME --preset PRESET --dry-run estimates the cost"
    shown_on.print(table)


def main(argv: list[str]) -> int:
    """Run one command; returns the exit code."""
    try:
        begin()
        return _obey(parse(Arguments, argv, prog="python -m experiments"))
    except (Exception, KeyboardInterrupt) as error:
        return _explain(error)


def _obey(arguments: Arguments) -> int:
    _check(arguments)
    if arguments.experiment == "list":
        show_list(console())
        return 0
    if arguments.experiment == "doctor":
        return doctor.main(directory(arguments.out, "runs"))
    if arguments.experiment == "overview":
        print(write_overview(directory(arguments.out, "runs")))
        return 0
    experiments = find(arguments.experiment, PRESETS[arguments.preset])
    chosen = experiments, _protocol(arguments, experiments)
    out = directory(arguments.out, f"runs/{arguments.preset}")
    check_directory(out)
    if arguments.dry_run:
        console().print(plan(*chosen, Results(out / "records")))
    elif arguments.draw:
        print(draw(*chosen, out, console=console(stderr=True)))
    else:
        _run(arguments, *chosen, out)
    return 0


def _run(
    arguments: Arguments, experiments: Sequence[Experiment], chosen: Protocol, out: pathlib.Path
) -> None:
    started, shown_on = time.monotonic(), console(stderr=True)
    check_output(out / page_name(experiments))
    if arguments.engine == "ray":
        check_cluster(arguments.address)
    runner = functools.partial(
        run_cells,
        workers=arguments.workers,
        engine=arguments.engine,
        address=arguments.address,
        deadline=_deadline(arguments.time_limit, started),
        view=live_grids,
        console=shown_on,
    )
    report = run(experiments, chosen, out, runner=runner, console=shown_on)
    shown_on.print(f"done in {time.monotonic() - started:.0f} s; the report is at")
    print(report)


def _explain(error: BaseException) -> int:
    """One line of what ended the command, and its exit code; what nobody foresaw is raised again."""
    prefix = "python -m experiments: "
    if was_interrupted(error):
        code, line = 130, "\ninterrupted; finished cells are kept, the same command goes on"
    elif isinstance(error, OutOfTimeError):
        code, line = 75, "out of time; finished cells are kept, the same command goes on"
    elif isinstance(error, ValueError):
        code, line = 2, f"{prefix}{one_line(error)}"
    elif isinstance(error, OSError):
        code, line = 1, f"{prefix}{one_line(error)}; finished cells are kept"
    else:
        raise error
    print(line, file=sys.stderr)
    return code


def _check(arguments: Arguments) -> None:
    """Refuse bad values also where the command would not use them."""
    for name, allowed in (("preset", PRESETS), ("engine", ENGINES)):
        value = getattr(arguments, name)
        if value not in allowed:
            raise ValueError(
                f"{name} must be one of {', '.join(allowed)}, got {value!r}{did_you_mean(value, allowed)}"
            )
    if arguments.address is not None and arguments.engine != "ray":
        raise ValueError(f"address must come with --engine ray, got {arguments.address!r} without")
    if arguments.draw and arguments.dry_run:
        raise ValueError("draw must not be given with --dry-run, which writes nothing")
    given = [name for name in OVERRIDES if getattr(arguments, name) is not None]
    if given and arguments.experiment in ("list", "overview", "doctor"):
        raise ValueError(f"{given[0]} must be given with an experiment, got {arguments.experiment}")
    _deadline(arguments.time_limit, 0.0)
    if arguments.workers is not None and arguments.workers < 0:
        raise ValueError(f"workers must be >= 0, got {arguments.workers}")


def _deadline(limit: str | None, started: float) -> float | None:
    """Return when to stop by `time.monotonic`; ValueError for what is no time."""
    if limit is None:
        return None
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smh])", limit, re.ASCII)
    if not found:
        raise ValueError(f"time_limit must be a number of s, m or h, as in 12m, got {limit!r}")
    return started + float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


OVERRIDES = ("depth", "epochs", "seed", "validation_size", "learning_rates", "weight_decays")
"""Arguments that take the place of what a preset says."""


def _protocol(arguments: Arguments, experiments: Sequence[Experiment]) -> Protocol:
    """The preset's with what is given in its place; ValueError for what would change nothing."""
    given = {name: getattr(arguments, name) for name in OVERRIDES}
    chosen = protocol(arguments.preset, **given)
    keys = _keys(experiments, chosen)
    for name in OVERRIDES:
        without = protocol(arguments.preset, **{**given, name: None})
        usual = PRESETS[arguments.preset].training.get(name, TrainingCell.defaults().get(name))
        if given[name] != usual and without != chosen and _keys(experiments, without) == keys:
            raise ValueError(
                f"{name} changes nothing in {arguments.experiment}, got {getattr(arguments, name)}"
            )
    return chosen


def _keys(experiments: Sequence[Experiment], chosen: Protocol) -> set[str]:
    return {cell_key(cell) for e in experiments for cell in e.study(chosen, Records()).runs}


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
