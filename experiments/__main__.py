"""Command line: ``python -m experiments {list | all | fig01 | …} [--preset …] [--out DIR]``."""

import argparse
import functools
import pathlib
import sys
import time
from collections.abc import Sequence

from adamprox.checks import did_you_mean
from adamprox.command_line import Parser, begin, console, duration, integer, number, path
from adamprox.interruption import leave, was_interrupted
from adamprox.output import check_directory, one_line
from adamprox.report.live import live_grids
from adamprox.report.overview import write_overview
from adamprox.report.publish import check_output
from adamprox.sweep import ENGINES, OutOfTimeError, Results, Run, run_key, run_sweep
from adamprox.sweep.ray_cluster import check_cluster
from adamprox.training import TrainingRun
from adamprox.training.copies import copies_of
from experiments.presets import PRESETS, protocol
from experiments.protocol import Experiment, Protocol, Records
from experiments.registry import find, listing
from experiments.runner import draw, page_name, plan, run
from tools import doctor


def arguments_parser() -> Parser:
    """Return the parser of this command."""
    parser = Parser(
        prog="python -m experiments",
        description="Repeat figures and claims of the paper. Finished runs are kept.",
    )
    add = parser.add_argument
    name = add("experiment", metavar="NAME", help=_NAMES)
    name.required = False  # _check refuses its absence with a clearer message
    add("--preset", default="demo", metavar=f"{{{','.join(PRESETS)}}}", help=_PRESETS_HELP)
    add("--out", type=path, metavar="DIR", help="records, figures and report (runs/<preset>)")
    add("--dry-run", action="store_true", help="print the runs and their cost; write nothing")
    add("--draw", action="store_true", help="draw figures and report from existing records")
    add("--workers", type=integer, metavar="N", help="processes (one a core); 0: this process")
    add("--engine", default="local", metavar="{local,ray}", help="this machine or a Ray cluster")
    add("--address", metavar="HOST:PORT", help="Ray cluster, or auto (Ray is started here)")
    add(
        "--time-limit",
        type=duration,
        metavar="12m",
        help="stop after 90s, 12m or 3h; repeat the command to continue",
    )
    preset = parser.add_argument_group("in place of the preset's value")
    preset.add_argument("--depth", type=integer, metavar="6n+2", help="depth of the ResNet")
    preset.add_argument("--epochs", type=integer, metavar="N", help="epochs of a run")
    preset.add_argument("--evaluate-every", type=integer, metavar="N", help="epochs between tests")
    preset.add_argument("--compute-dtype", metavar="{float32,bfloat16}", help="of activations")
    preset.add_argument("--seed", type=integer, metavar="N", help="seed of the examples' order")
    preset.add_argument("--validation-size", type=integer, metavar="N", help=_VALIDATION)
    preset.add_argument("--learning-rates", type=number, nargs="*", metavar="α", help="grid of α")
    preset.add_argument("--weight-decays", type=number, nargs="*", metavar="λ", help=_DECAYS)
    return parser


_NAMES = "list, all, overview (a page on all runs in --out), doctor (a check of this machine) or an experiment"
_PRESETS_HELP = "smoke (seconds), demo (minutes; the default), reduced (hours) or paper (the published protocol)"
_VALIDATION = (
    "training images for a validation split, which also selects runs; reduced has 5000, paper none"
)
_DECAYS = "base grid of λ per step"


def main(argv: list[str]) -> int:
    """Run one command, and return the exit code."""
    try:
        begin()
        return _obey(arguments_parser().parse_args(argv))
    except SystemExit as stop:
        return int(stop.code or 0)
    except (Exception, KeyboardInterrupt) as error:
        return _explain(error)


def _obey(arguments: argparse.Namespace) -> int:
    _check(arguments)
    if arguments.experiment == "list":
        console().print(listing(PRESETS.values()))
        return 0
    if arguments.experiment == "doctor":
        return doctor.main(arguments.out or pathlib.Path("runs"))
    if arguments.experiment == "overview":
        print(write_overview(arguments.out or pathlib.Path("runs")))
        return 0
    experiments = find(arguments.experiment, PRESETS[arguments.preset])
    chosen = experiments, _protocol(arguments, experiments)
    out = arguments.out or pathlib.Path("runs", arguments.preset)
    check_directory(out)
    results = Results(out / "records")
    with copies_of(_runs(*chosen).values(), results):
        if arguments.dry_run:
            console().print(plan(*chosen, results))
        elif arguments.draw:
            print(draw(*chosen, out, console=console(stderr=True)))
        else:
            _run(arguments, *chosen, out)
    return 0


def _run(
    arguments: argparse.Namespace,
    experiments: Sequence[Experiment],
    chosen: Protocol,
    out: pathlib.Path,
) -> None:
    started, shown_on = time.monotonic(), console(stderr=True)
    check_output(out / page_name(experiments))
    if arguments.engine == "ray":
        check_cluster(arguments.address)
    runner = functools.partial(
        run_sweep,
        workers=arguments.workers,
        engine=arguments.engine,
        address=arguments.address,
        deadline=arguments.time_limit and started + arguments.time_limit,
        view=live_grids,
        console=shown_on,
    )
    report = run(experiments, chosen, out, runner=runner, console=shown_on)
    shown_on.print(f"done in {time.monotonic() - started:.0f} s; the report is at")
    print(report)


def _explain(error: BaseException) -> int:
    """Print the error in one line and return the exit code; raise unknown errors again."""
    prefix = "python -m experiments: "
    if was_interrupted(error):
        code, line = 130, "\ninterrupted; finished runs are kept, the same command goes on"
    elif isinstance(error, BrokenPipeError):  # the reader of the output has ended
        return 1
    elif isinstance(error, OutOfTimeError):
        code, line = 75, "out of time; finished runs are kept, the same command goes on"
    elif isinstance(error, ValueError):
        code, line = 2, f"{prefix}{one_line(error)}"
    elif isinstance(error, OSError):
        code, line = 1, f"{prefix}{one_line(error)}; finished runs are kept"
    else:
        raise error
    print(line, file=sys.stderr)
    return code


def _check(arguments: argparse.Namespace) -> None:
    """Refuse invalid values, even of arguments that the command does not use."""
    if arguments.experiment is None:
        raise ValueError("NAME is missing: list, all, overview, doctor or an experiment")
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
    if arguments.workers is not None and arguments.workers < 0:
        raise ValueError(f"workers must be >= 0, got {arguments.workers}")


OVERRIDES = (
    "depth", "epochs", "evaluate_every", "seed", "validation_size", "compute_dtype",
    "learning_rates", "weight_decays",
)  # fmt: skip
"""Arguments that replace a value of the preset."""


def _protocol(arguments: argparse.Namespace, experiments: Sequence[Experiment]) -> Protocol:
    """Return the preset's protocol with its overrides; refuse an override that changes nothing."""
    given = {name: getattr(arguments, name) for name in OVERRIDES}
    for name in ("learning_rates", "weight_decays"):
        given[name] = given[name] if given[name] is None else tuple(given[name])
    chosen = protocol(arguments.preset, **given)
    keys = _runs(experiments, chosen).keys()
    for name in OVERRIDES:
        without = protocol(arguments.preset, **{**given, name: None})
        usual = PRESETS[arguments.preset].training.get(name, TrainingRun.defaults().get(name))
        changes = without == chosen or _runs(experiments, without).keys() != keys
        if given[name] != usual and not changes:
            raise ValueError(
                f"{name} changes nothing in {arguments.experiment}, got {getattr(arguments, name)}"
            )
    return chosen


def _runs(experiments: Sequence[Experiment], chosen: Protocol) -> dict[str, Run]:
    return {run_key(run): run for e in experiments for run in e.study(chosen, Records()).runs}


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
