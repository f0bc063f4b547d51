"""The command line: ``python -m adamprox.data {prepare NAME | list} [--data-dir DIR]``."""

import dataclasses
import pathlib
import sys
from typing import Annotated

import tyro
from rich.table import Column, Table

from adamprox.command_line import begin, console, parse
from adamprox.data.errors import DamagedDataError, MissingDataError
from adamprox.data.fingerprints import check_fingerprint
from adamprox.data.layout import LAYOUTS
from adamprox.data.loading import (
    load,
    prepare_command,
    prepared_directory,
    resolve_data_dir,
)
from adamprox.data.prepare import prepare
from adamprox.data.prepared import stored_provenance
from adamprox.interruption import leave, was_interrupted
from adamprox.output import one_line

_DataDir = Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR")]


@dataclasses.dataclass
class Prepare:
    """Prepare a data set for adamprox.data.load; needed once."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="{cifar10,cifar100}")]
    """Name of the data set."""
    archive: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="FILE")] = None
    """The official binary archive (.tar.gz); downloaded by default."""
    data_dir: _DataDir = None
    """Directory of the data sets; $TFDS_DATA_DIR or ~/tensorflow_datasets by default."""
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace a prepared data set."""

    def run(self) -> None:
        """Prepare the data set, read it back, and print a summary."""
        wrote = prepare(self.name, self.archive, self.data_dir, self.force)
        layout = LAYOUTS[self.name]
        directory = prepared_directory(layout, self.data_dir)
        if not wrote:
            print(f"{self.name} is already prepared in {directory}; --force replaces it")
            return
        data = load(self.name, self.data_dir)
        warnings = stored_provenance(directory)["warnings"]
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if warnings:
            command = prepare_command(layout, self.data_dir, "--force")
            print(
                "the data set can be used, and records name its fingerprint; to download the "
                f"published archive instead, run: {command}",
                file=sys.stderr,
            )
        print(
            f"{self.name} is prepared in {directory}: {len(data.train):,} train and "
            f"{len(data.test):,} test images, fingerprint {data.fingerprint}"
        )
        try:
            check_fingerprint(data)
        except ValueError as error:
            print(f"before training: {error}", file=sys.stderr)


@dataclasses.dataclass
class List:
    """List the prepared data sets, and verify every image and label."""

    data_dir: _DataDir = None
    """Directory of the data sets; $TFDS_DATA_DIR or ~/tensorflow_datasets by default."""

    def run(self) -> None:
        """Print a table."""
        root = resolve_data_dir(self.data_dir)
        if self.data_dir is not None and not root.is_dir():
            raise ValueError(f"data dir must be a directory, got {root}")
        origin = Column("from", overflow="fold")
        table = Table("data set", "train", "test", "fingerprint", origin, show_lines=True)
        table.caption = one_line(f"in {root}")
        for name in LAYOUTS:
            table.add_row(name, *map(one_line, self._row(name)))
        console().print(table)

    def _row(self, name: str) -> tuple[str, ...]:
        try:
            data = load(name, self.data_dir)
            about = stored_provenance(prepared_directory(LAYOUTS[name], self.data_dir))
        except (MissingDataError, DamagedDataError) as error:
            return "", "", "", str(error)
        origin = (
            "the published archive" if about["archive"]["published"] else about["archive"]["name"]
        )
        remarks = "; ".join([origin, *about["warnings"]])
        return f"{len(data.train):,}", f"{len(data.test):,}", data.fingerprint, remarks


_Command = (
    Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[List, tyro.conf.subcommand("list")]
)


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    try:
        begin()
        parse(_Command, arguments, prog="python -m adamprox.data").run()
    except (Exception, KeyboardInterrupt) as error:
        if was_interrupted(error):
            print("\ninterrupted; an unfinished data set is removed", file=sys.stderr)
            return 130
        if not isinstance(error, (ValueError, OSError)):
            raise
        print(f"python -m adamprox.data: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
