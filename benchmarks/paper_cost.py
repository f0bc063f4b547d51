"""Predict the cost of the paper on this device: seconds per step times steps, over all runs.

Command: python -m benchmarks.paper_cost [--preset P] [--devices 1 8] [--records DIR] [--markdown]
Cost: compilation and a few steps of every network of the preset. For the preset paper this takes
minutes on a GPU and an hour on a CPU. CIFAR must be prepared.

A run counts once, even if several figures show it. Evaluation of an image costs a third of training
on it: a backward pass costs about two forward passes. Extensions of grids and repetitions with
other seeds are not included. With ``--records`` the program compares the prediction with the
seconds of finished runs.
"""

import argparse
import collections
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence

import jax
from rich.console import Console
from rich.table import Table

from adamprox.command_line import Parser, integer, path
from adamprox.data import MissingDataError
from adamprox.sweep import Results
from adamprox.training import TrainingRun
from adamprox.training.specs import Program
from adamprox.training.throughput import measure
from experiments.presets import PRESETS, protocol
from experiments.registry import EXPERIMENTS, runs_of

SECONDS_A_DAY = 86_400
BATCHES = 4


def arguments_parser() -> Parser:
    """Return the parser of this command."""
    parser = Parser(
        prog="python -m benchmarks.paper_cost", description="Predict the cost of every experiment."
    )
    add = parser.add_argument
    add("--preset", default="paper", choices=PRESETS, help="preset whose runs are counted (paper)")
    add(
        "--devices",
        type=integer,
        nargs="+",
        default=(1, 8),
        metavar="N",
        help="numbers of devices like this one, which divide the runs (1 8)",
    )
    add(
        "--only",
        nargs="*",
        default=(),
        metavar="NAME",
        help="networks to measure, as the table names them, such as 'ResNet-20 without BatchNorm'",
    )
    add("--records", type=path, metavar="DIR", help="finished runs to compare with")
    add("--markdown", action="store_true", help="print a table for the documentation")
    return parser


def training_runs(preset: str) -> list[TrainingRun]:
    """Return the distinct runs of all experiments, before any extension of a grid."""
    runs = runs_of([*EXPERIMENTS.values()], protocol(preset)).values()
    return [run for run in runs if isinstance(run, TrainingRun)]


def measured_program(run: TrainingRun) -> Program:
    """Return the program to time for a run: its network on a few batches, with AdamW."""
    data = run.images.expected
    size = min(BATCHES * run.images.batch_size, data.train)
    images = dataclasses.replace(run.images, train_size=size)
    return run.program._replace(images=images, optimizers=("adamw",))


def steps(run: TrainingRun) -> float:
    """Return the training steps of a run; evaluation of a batch counts as a third of a step."""
    data, schedule, batch = run.images.expected, run.schedule, run.images.batch_size
    visits = sum(schedule.visits(number) for number in range(1, schedule.epochs + 1))
    visited = data.test + run.images.validation_size + data.train * schedule.evaluate_train
    return schedule.epochs * -(-data.train // batch) + visits * visited / batch / 3


def seconds_a_step(program: Program) -> float:
    """Measure a step of a single run on this device, in the fastest of a few short epochs."""
    (measurement,) = measure(program, counts=(1,))
    count = program.images.expected.train
    return count / measurement.images_per_second / -(-count // program.images.batch_size)


def network_name(program: Program) -> str:
    """Return a name for network and data."""
    return f"{program.network.title}, {program.images.dataset}"


@dataclasses.dataclass(frozen=True)
class Row:
    """Number of runs of one network, their total steps, and the seconds per step."""

    program: Program
    runs: int
    steps: float
    seconds: float

    @property
    def days(self) -> float:
        """Days on one device."""
        return self.steps * self.seconds / SECONDS_A_DAY


def predict(
    runs: Iterable[TrainingRun], timing: Callable[[Program], float] = seconds_a_step
) -> list[Row]:
    """Return one row per program, the most expensive first."""
    groups: dict[Program, list[TrainingRun]] = collections.defaultdict(list)
    for run in runs:
        groups[measured_program(run)].append(run)
    rows = [
        Row(program, len(group), sum(map(steps, group)), timing(program))
        for program, group in groups.items()
    ]
    return sorted(rows, key=lambda row: -row.days)


def comparison(runs: Iterable[TrainingRun], rows: list[Row], records: pathlib.Path) -> str:
    """Compare predicted with measured seconds, summed over the runs with records."""
    results, seconds = Results(records), {row.program: row.seconds for row in rows}
    done = [(run, record) for run in runs if (record := results.read(run))]
    whole = [(run, r) for run, r in done if not r["diverged_step"]]
    predicted = sum(steps(run) * seconds[measured_program(run)] for run, _ in whole)
    took = sum(record["seconds"] for _, record in whole)
    return f"{len(whole)} finished runs: predicted {predicted:.0f} s, measured {took:.0f} s"


def lines(rows: list[Row], devices: Sequence[int]) -> list[list[str]]:
    """Header, rows and total, as text."""
    header = ["network", "runs", "steps", "ms a step"]
    header += [f"days on {n} device{'s' * (n > 1)}" for n in devices]
    body = [
        [network_name(row.program), f"{row.runs}", f"{row.steps:,.0f}", f"{1e3 * row.seconds:.1f}"]
        + [_days(row.days / n) for n in devices]
        for row in rows
    ]
    total = sum(row.days for row in rows)
    runs, count = sum(row.runs for row in rows), sum(row.steps for row in rows)
    networks = len({network_name(row.program) for row in rows})
    whole = [f"these {networks} networks", f"{runs:,}", f"{count:,.0f}", ""]
    return [header, *body, whole + [_days(total / n) for n in devices]]


def _days(days: float) -> str:
    return f"{days:,.0f}" if days >= 100 else f"{days:.3g}"


def main(arguments: argparse.Namespace) -> None:
    """Measure the networks and print the table."""
    runs = training_runs(arguments.preset)
    if arguments.only:
        names = {run: network_name(run.program) for run in runs}
        runs = [c for c in runs if names[c].startswith(tuple(arguments.only))]
        if not runs:
            known = "; ".join(sorted(set(names.values())))
            arguments_parser().error(
                f"--only must begin one of: {known}; got {' '.join(arguments.only)}"
            )
    if min(arguments.devices) < 1:
        arguments_parser().error(f"--devices must be >= 1, got {min(arguments.devices)}")
    try:
        rows = predict(runs)
    except MissingDataError as error:
        arguments_parser().error(str(error))
    header, *body = lines(rows, arguments.devices)
    device = f"Preset {arguments.preset} on {jax.devices()[0].device_kind}."
    if arguments.markdown:
        print(device, *_markdown(header, body), sep="\n")
    else:
        table = Table(*header, title=device)
        for row in body:
            table.add_row(*row)
        Console().print(table)
    if arguments.records:
        print(comparison(runs, rows, arguments.records))


def _markdown(header: list[str], body: list[list[str]]) -> list[str]:
    return ["", *(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *body))]


if __name__ == "__main__":
    main(arguments_parser().parse_args())
