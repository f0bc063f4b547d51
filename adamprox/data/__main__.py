"""Command line: ``python -m adamprox.data {prepare NAME | list} [--data-dir DIR]``."""

import argparse
import pathlib
import sys

from rich.table import Column, Table

from adamprox.command_line import Parser, begin, console, path
from adamprox.data.errors import DamagedDataError, MissingDataError
from adamprox.data.layout import LAYOUTS
from adamprox.data.loading import (
    load,
    prepare_command,
    prepared_directory,
    resolve_data_dir,
)
from adamprox.data.prepare import prepare
from adamprox.data.prepared import stored_provenance
from adamprox.interruption import exit_process, was_interrupted
from adamprox.output import one_line

_DATA_DIR = "folder of data sets; $TFDS_DATA_DIR or ~/tensorflow_datasets by default"


def arguments_parser() -> Parser:
    """Return the parser of this command."""
    parser = Parser(prog="python -m adamprox.data", description="Prepare and list data sets.")
    commands = parser.add_subparsers(dest="command", metavar="{prepare,list}", required=True)
    make = commands.add_parser("prepare", help="prepare a data set for adamprox.data.load")
    make.set_defaults(run=prepare_one)
    make.add_argument("name", metavar="{cifar10,cifar100}", help="name of the data set")
    make.add_argument(
        "--archive",
        type=path,
        metavar="FILE",
        help="official archive (.tar.gz); downloaded by default",
    )
    make.add_argument("--data-dir", type=path, metavar="DIR", help=_DATA_DIR)
    make.add_argument("--force", action="store_true", help="replace a prepared data set")
    show = commands.add_parser("list", help="list the prepared data sets and verify every image")
    show.set_defaults(run=list_all)
    show.add_argument("--data-dir", type=path, metavar="DIR", help=_DATA_DIR)
    return parser


def prepare_one(arguments: argparse.Namespace) -> int:
    """Prepare a data set, read it back, print a summary, and return 0."""
    name, data_dir = arguments.name, arguments.data_dir
    wrote = prepare(name, arguments.archive, data_dir, arguments.force)
    layout = LAYOUTS[name]
    directory = prepared_directory(layout, data_dir)
    if not wrote:
        print(f"{name} is already prepared in {directory}; --force replaces it")
        return 0
    data = load(name, data_dir)
    warnings = stored_provenance(directory)["warnings"]
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if warnings:
        command = prepare_command(layout, data_dir, "--force")
        print(
            "the data set can be used, and records contain its fingerprint; to download the "
            f"published archive instead, run: {command}",
            file=sys.stderr,
        )
    print(
        f"{name} is prepared in {directory}: {len(data.train):,} train and "
        f"{len(data.test):,} test images, fingerprint {data.fingerprint}"
    )
    return 0


def list_all(arguments: argparse.Namespace) -> int:
    """Verify every image and label of the prepared data sets, print a table, return 1 for damage."""
    data_dir = arguments.data_dir
    root = resolve_data_dir(data_dir)
    if data_dir is not None and not root.is_dir():
        raise ValueError(f"data dir must be a directory, got {root}")
    origin = Column("from", overflow="fold")
    table = Table("data set", "train", "test", "fingerprint", origin, show_lines=True)
    table.caption = one_line(f"in {root}")
    damaged = 0
    for name in LAYOUTS:
        try:
            row = _row(name, data_dir)
        except (MissingDataError, DamagedDataError) as error:
            row = ("", "", "", str(error))
            damaged += isinstance(error, DamagedDataError)
        table.add_row(name, *map(one_line, row))
    console().print(table)
    return int(damaged > 0)


def _row(name: str, data_dir: pathlib.Path | None) -> tuple[str, ...]:
    data = load(name, data_dir)
    about = stored_provenance(prepared_directory(LAYOUTS[name], data_dir))
    origin = "the published archive" if about["archive"]["published"] else about["archive"]["name"]
    remarks = "; ".join([origin, *about["warnings"]])
    return f"{len(data.train):,}", f"{len(data.test):,}", data.fingerprint, remarks


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    try:
        begin()
        given = arguments_parser().parse_args(arguments)
        return given.run(given)
    except SystemExit as stop:
        return int(stop.code or 0)
    except (Exception, KeyboardInterrupt) as error:
        if was_interrupted(error):
            print("\ninterrupted; an unfinished data set is removed", file=sys.stderr)
            return 130
        if not isinstance(error, (ValueError, OSError)):
            raise
        print(f"python -m adamprox.data: {one_line(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    exit_process(main(sys.argv[1:]))
