"""Command line: ``python -m experiments [COMMAND] NAME [--preset …] [--out DIR]``."""

import argparse
import functools
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console

from adamprox.command_line import begin, console
from adamprox.interruption import exit_process, was_interrupted
from adamprox.output import check_directory, one_line
from adamprox.report.cards import verdict_counts
from adamprox.report.export import export
from adamprox.report.live import live_grids
from adamprox.report.overview import write_overview
from adamprox.report.publish import check_output
from adamprox.report.status import status_lines
from adamprox.sweep import OutOfTimeError, Results, run_sweep
from adamprox.sweep.ray_cluster import check_cluster
from adamprox.training.copies import copies_of
from adamprox.training.monitoring import outputs, without_parameters
from experiments import doctor
from experiments.arguments import help_of, parse, protocol_of, selected
from experiments.comparison import AGAINST, compared
from experiments.presets import PRESETS, protocol
from experiments.protocol import Experiment, Protocol
from experiments.registry import description, find, listing, plan, runs_of
from experiments.runner import Published, draw, page_name, restricted, run, settled

RUNS = pathlib.Path("runs")
"""Directory of run directories, where none is named."""


def main(argv: list[str]) -> int:
    """Run one command, and return the exit code."""
    try:
        begin()
        arguments = parse(argv)
        described = getattr(arguments, "help", False)
        return (_describe if described else _COMMANDS[arguments.command])(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    except (Exception, KeyboardInterrupt) as error:
        return _explain(error)


def _list(arguments: argparse.Namespace) -> int:
    shown = console()
    chosen = [protocol(arguments.preset)] if arguments.preset else PRESETS.values()
    for line in listing(chosen):  # one line each, on a narrow terminal too
        shown.print(line, no_wrap=True, overflow="ellipsis") if shown.is_terminal else print(line)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    return _print(status_lines(_out(arguments)))


def _export(arguments: argparse.Namespace) -> int:
    return _print(map(str, export(_out(arguments), arguments.to)))


def _overview(arguments: argparse.Namespace) -> int:
    return _print([str(write_overview(_out(arguments)))])


def _out(arguments: argparse.Namespace, usual: pathlib.Path = RUNS) -> pathlib.Path:
    out = arguments.out or usual
    check_directory(out)
    return out


def _print(lines: Iterable[str]) -> int:
    print("\n".join(lines))
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    return doctor.main(_out(arguments))


def _draw(arguments: argparse.Namespace) -> int:
    with _study(arguments) as (experiments, chosen, out):
        shown_on = console(stderr=True)
        _end(draw(experiments, chosen, out, console=shown_on), shown_on)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    if arguments.draw:
        return _draw(arguments)
    with _study(arguments) as (experiments, chosen, out):
        if arguments.dry_run:
            some = restricted(experiments, selected(arguments, experiments, chosen))
            planned = plan(some, chosen, Results(out / "records"))
            console().print(planned.table)
            for line in planned.grids:
                console().print(line, soft_wrap=True)
        else:
            _train(arguments, experiments, chosen, out)
    return 0


@contextmanager
def _study(
    arguments: argparse.Namespace,
) -> Iterator[tuple[list[Experiment], Protocol, pathlib.Path]]:
    """Yield experiments, protocol and output directory, with the copies of the data in place."""
    if arguments.command == "compare":
        against = arguments.against or AGAINST
        experiments = [compared(arguments.optimizer, against, arguments.network)]
    else:
        experiments = find(arguments.experiment, PRESETS[arguments.preset])
    chosen = protocol_of(arguments, experiments)
    out = _out(arguments, RUNS / arguments.preset)
    with copies_of(runs_of(experiments, chosen).values(), Results(out / "records")):
        yield experiments, chosen, out


def _train(
    arguments: argparse.Namespace,
    experiments: list[Experiment],
    chosen: Protocol,
    out: pathlib.Path,
) -> None:
    started, shown_on = time.monotonic(), console(stderr=True)
    check_output(out / page_name(experiments))
    if arguments.engine == "ray":
        check_cluster(arguments.address)
    given = {name: getattr(arguments, name) for name in ("workers", "engine", "address")}
    deadline = arguments.time_limit and started + arguments.time_limit
    runner = functools.partial(
        run_sweep, **given, deadline=deadline, view=live_grids, console=shown_on
    )
    only = selected(arguments, experiments, chosen)
    kept = out / "parameters" if arguments.keep_parameters else None
    with outputs(arguments.log_dir, kept):
        if kept:
            some = restricted(experiments, only)
            found = settled(some, chosen, Results(out / "records").read_all)[1].values()
            if count := without_parameters(found, kept):
                shown_on.print(f"{count} finished runs have no kept parameters")
        published = run(experiments, chosen, out, runner=runner, console=shown_on, only=only)
    shown_on.print(f"done in {time.monotonic() - started:.0f} s")
    _end(published, shown_on)


def _end(published: Published, shown_on: Console) -> None:
    """Print headline and counts of verdicts, then the path of the page on standard output."""
    for number, what in published.headline:
        shown_on.print(f"{number}: {what}", soft_wrap=True)
    shown_on.print(f"claims: {verdict_counts(published.claims)}; the report is at", soft_wrap=True)
    print(published.page)


def _describe(arguments: argparse.Namespace) -> int:
    """Print the help of a command, after a description of the experiment that is named."""
    if arguments.experiment:
        for experiment in find(arguments.experiment, PRESETS[arguments.preset]):
            print("\n".join(description(experiment, PRESETS.values())), end="\n\n")
    print(help_of(arguments.command), end="")
    return 0


def _explain(error: BaseException) -> int:
    """Print the error in one line and return the exit code; raise unknown errors again."""
    prefix = "python -m experiments: "
    if was_interrupted(error):
        code, line = 130, "\ninterrupted; finished runs are kept; repeat the command to continue"
    elif isinstance(error, BrokenPipeError):  # the reader of the output has ended
        return 1
    elif isinstance(error, OutOfTimeError):
        code, line = 75, "out of time; finished runs are kept; repeat the command to continue"
    elif isinstance(error, ValueError):
        code, line = 2, f"{prefix}{one_line(error)}"
    elif isinstance(error, OSError):
        code, line = 1, f"{prefix}{one_line(error)}; finished runs are kept"
    else:
        raise error
    print(line, file=sys.stderr)
    return code


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "compare": _run,
    "list": _list,
    "status": _status,
    "draw": _draw,
    "export": _export,
    "overview": _overview,
    "doctor": _doctor,
}

if __name__ == "__main__":
    exit_process(main(sys.argv[1:]))
