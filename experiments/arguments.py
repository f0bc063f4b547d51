"""Arguments of ``python -m experiments``: a parser for each subcommand, and checks of the values."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from adamprox.checks import did_you_mean
from adamprox.command_line import Parser, duration, grid_point, integer, number, path
from adamprox.output import check_directory
from adamprox.sweep import ENGINES, Run
from adamprox.training import TrainingRun
from experiments.presets import PRESETS, protocol
from experiments.protocol import Experiment, Protocol
from experiments.registry import COMMANDS, check_name, runs_of
from experiments.selection import selection

OVERRIDES = (
    "depth", "epochs", "evaluate_every", "evaluate_train", "seed", "validation_size", "compute_dtype",
    "learning_rates", "weight_decays",
)  # fmt: skip
"""Arguments that replace a value of the preset."""
_TRAINING = ("dry_run", "workers", "engine", "address", "log_dir", "keep_parameters", "time_limit")
_PRESET = "smoke (seconds), demo (minutes; the default), reduced (hours) or paper (as published)"
_VALIDATION = "number of training images in the validation split; verdicts also report the run it selects (reduced: 5000)"
_NAMES = "name of an experiment, or all; the command list prints the names"
_NETWORKS = "networks of the preset (default: its first)"
_OPTIMIZER = "function (learning_rate, weight_decay) -> optax.GradientTransformation"
_AGAINST = "adamw, adam_l2 (the default), adamprox, … or MODULE:FUNCTION"
_WORKERS = "worker processes (default: one per core; 0: this process); on an accelerator, number of runs at once (default: measured)"
_ADDRESS = "running Ray cluster, or auto to find one (default: a private one on this machine)"
_OUT = {
    "status": "a run directory, or a directory of run directories (default: runs)",
    "overview": "directory of run directories (default: runs)",
    "doctor": "directory of the results (default: runs)",
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the checked arguments; ``NAME …`` is short for ``run NAME …``.

    Raises:
      SystemExit: The help has been printed, or an argument is unknown or malformed.
      ValueError: A value is not allowed.
    """
    words, names = list(argv), "all"
    if not (words and words[0] in (*COMMANDS, "-h", "--help")):
        if words and not words[0].startswith("-"):
            check_name(words[0])
        words.insert(0, "run")
        names = "list, all, another command (see --help)"
    found = _parsers()[0].parse_args(words)
    if getattr(found, "experiment", "") is None and not found.help:
        raise ValueError(f"NAME is missing: {names} or an experiment")
    _check(found)
    return found


def help_of(command: str) -> str:
    """Return the help of a subcommand."""
    return _parsers()[1][command].format_help()


def _parsers() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of all commands, and those of each."""
    top = Parser(
        prog="python -m experiments",
        description="Repeat figures and claims of the paper. Finished runs are kept.",
        epilog="NAME … is short for run NAME …: python -m experiments fig03 --preset demo. "
        "COMMAND --help has the options of a command, run NAME --help describes an experiment.",
    )
    group = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made = {}
    for name, what in COMMANDS.items():
        on_one = name in ("run", "draw")  # their --help describes an experiment
        text = f"{what[0].upper()}{what[1:]}."
        made[name] = group.add_parser(name, help=what, description=text, add_help=not on_one)
        if on_one:
            argument = made[name].add_argument("experiment", metavar="NAME", help=_NAMES)
            argument.required = False  # parse refuses its absence with a clearer message
            made[name].add_argument("-h", "--help", action="store_true", help="describe NAME")
            _add_study(made[name])
    _add_sweep(made["run"])
    add = made["run"].add_argument_group("only some of the runs").add_argument
    several: Any = {"nargs": "+", "action": "extend"}
    add("--optimizer", **several, metavar="OPTIMIZER", help="train only runs of these optimizers")
    at = "train only runs at these grid points"
    add("--grid-point", type=grid_point, **several, metavar="α,λ", help=at)
    add("--network", **several, metavar="NETWORK", help="train only runs on these networks")
    made["list"].add_argument("--preset", metavar="PRESET", help="only experiments that it has")
    add = made["compare"].add_argument
    add("--optimizer", required=True, metavar="MODULE:FUNCTION", help=_OPTIMIZER)
    add("--against", **several, metavar="OPTIMIZER", help=_AGAINST)
    add("--network", **several, default=[], metavar="NETWORK", help=_NETWORKS)
    _add_study(made["compare"])
    _add_sweep(made["compare"])
    add = made["export"].add_argument
    add("--out", type=path, metavar="DIR", required=True, help="run directory")
    add("--to", type=path, metavar="DIR", required=True, help="directory of the tables")
    for name, what in _OUT.items():
        made[name].add_argument("--out", type=path, metavar="DIR", help=what)
    return top, made


def _add_study(parser: Parser) -> None:
    """Add the options of commands on one preset."""
    add = parser.add_argument
    add("--preset", default="demo", metavar=f"{{{','.join(PRESETS)}}}", help=_PRESET)
    add("--out", type=path, metavar="DIR", help="records, figures and report (runs/<preset>)")
    add = parser.add_argument_group("in place of the preset's value").add_argument
    add("--depth", type=integer, metavar="6n+2", help="depth of the ResNet")
    whole: Any = {"type": integer, "metavar": "N"}
    add("--epochs", **whole, help="epochs of a run")
    add("--evaluate-every", **whole, help="epochs between evaluations")
    either = argparse.BooleanOptionalAction
    add("--evaluate-train", action=either, help="evaluate on all training images, too")
    add("--compute-dtype", metavar="{float32,bfloat16}", help="dtype of activations")
    add("--seed", **whole, help="seed of the order and the augmentation of the images")
    add("--validation-size", **whole, help=_VALIDATION)
    grid: Any = {"type": number, "nargs": "*", "action": "extend"}
    add("--learning-rates", **grid, metavar="α", help="grid of α")
    add("--weight-decays", **grid, metavar="λ", help="base grid of λ per step")


def _add_sweep(parser: Parser) -> None:
    """Add the options of commands that train."""
    add = parser.add_argument
    flag: Any = {"action": "store_true"}
    add("--dry-run", **flag, help="print runs, grids and cost; write nothing")
    add("--draw", **flag, help="train nothing; write figures and claims from existing records")
    add("--workers", type=integer, metavar="N", help=_WORKERS)
    add("--engine", default="local", metavar="{local,ray}", help="this machine or a Ray cluster")
    add("--address", metavar="HOST:PORT", help=_ADDRESS)
    limit = "stop after 90s, 12m or 3h; repeat the command to continue"
    add("--log-dir", type=path, metavar="DIR", help="TensorBoard scalars (needs tensorboardX)")
    add("--keep-parameters", **flag, help="save final parameters in OUT/parameters (Orbax)")
    add("--time-limit", type=duration, metavar="12m", help=limit)


def _check(arguments: argparse.Namespace) -> None:
    """Refuse invalid values, even of arguments that the command does not use."""
    given = vars(arguments)
    for name, allowed in (("preset", PRESETS), ("engine", ENGINES)):
        value = given.get(name)
        if value is not None and value not in allowed:
            raise ValueError(
                f"{name} must be one of {', '.join(allowed)}, got {value!r}{did_you_mean(value, allowed)}"
            )
    if given.get("address") is not None and arguments.engine != "ray":
        raise ValueError(f"address must come with --engine ray, got {arguments.address!r} without")
    here = given.get("address") in (None, "local")
    if not here and (given["log_dir"] or given["keep_parameters"]):
        raise ValueError("log-dir and keep-parameters must be used on this machine, got --address")
    if given.get("log_dir"):
        check_directory(arguments.log_dir, "log-dir")
    selecting = ["optimizer", "grid_point", "network"] if given["command"] == "run" else []
    for name in (*_TRAINING, *selecting) if given.get("draw") else ():
        if given[name] not in (None, "local") and given[name] is not False:  # but 0 is given
            option = name.replace("_", "-")
            raise ValueError(f"{option} must not be given with --draw, which trains nothing")
    if (given.get("workers") or 0) < 0:
        raise ValueError(f"workers must be >= 0, got {arguments.workers}")


def protocol_of(arguments: argparse.Namespace, experiments: Sequence[Experiment]) -> Protocol:
    """Return the preset's protocol with its overrides; refuse an option that changes nothing."""
    values = {name: getattr(arguments, name) for name in OVERRIDES}
    given = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    chosen = protocol(arguments.preset, **given)
    runs = runs_of(experiments, chosen)
    keys, names = runs.keys(), getattr(arguments, "experiment", experiments[0].name)
    emptied = not runs and runs_of(experiments, PRESETS[arguments.preset])
    for name in OVERRIDES if emptied else ():
        if not runs_of(experiments, protocol(arguments.preset, **{name: given[name]})):
            rule = f"must be left out of {names} at {arguments.preset}, which has no runs with it"
            raise ValueError(f"{name} {rule}, got {getattr(arguments, name)}")
    for name in OVERRIDES if runs else ():
        without = protocol(arguments.preset, **{**given, name: None})
        usual = PRESETS[arguments.preset].training.get(name, TrainingRun.defaults().get(name))
        changes = without == chosen or runs_of(experiments, without).keys() != keys
        if given[name] != usual and not changes:
            raise ValueError(f"{name} changes nothing in {names}, got {getattr(arguments, name)}")
    trains = any(isinstance(run, TrainingRun) for run in runs.values())
    for name in ("log_dir", "keep_parameters"):
        if runs and not trains and getattr(arguments, name, None):
            option = name.replace("_", "-")
            raise ValueError(f"{option} changes nothing in {names}, which trains no network")
    return chosen


def selected(
    arguments: argparse.Namespace, experiments: Sequence[Experiment], chosen: Protocol
) -> Callable[[Run], bool] | None:
    """Return the condition on the runs to train, None for all of them."""
    given = (getattr(arguments, name, None) for name in ("optimizer", "grid_point", "network"))
    optimizers, points, names = (value or () for value in given)
    if arguments.command == "compare" or not (optimizers or points or names):
        return None
    networks = {name: chosen.network(name).options for name in names}
    runs = runs_of(experiments, chosen).values()
    return selection(arguments.experiment, runs, optimizers, points, networks)
