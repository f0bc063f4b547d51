"""Records on disk: one small Parquet file a cell, written atomically, addressed by its key."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

from adamprox.files import NotAFileError, read_file, write_atomically
from adamprox.sweep.lock import locked
from adamprox.sweep.parquet import LARGEST, NotARowError, decode, encode
from adamprox.sweep.record import Record
from adamprox.sweep.runs import Run, defaults, describe, run_key

Columns = dict[str, Any]
"""Columns of a record by name: numbers, texts, booleans, None, and lists and dictionaries of them."""


class UnreadableRecordError(OSError):
    """A record that was just written does not read back."""


class Results:
    """The records under a directory, ``<directory>/<kind>/<key>.parquet``.

    Args:
      directory: Of one run; made when the first record is written.

    Example:
      >>> from adamprox.training import TrainingRun
      >>> Results("runs/demo/records").path(TrainingRun.of(depth=8)).parts[:4]
      ('runs', 'demo', 'records', 'training')
    """

    def __init__(self, directory: str | os.PathLike[str]):
        """Name the directory."""
        self.directory = pathlib.Path(directory)

    def path(self, cell: Run) -> pathlib.Path:
        """Where the record of ``cell`` is, or would be."""
        return self.directory / cell.kind / f"{run_key(cell)}.parquet"

    def write(self, cell: Run, columns: Columns, provenance: Columns) -> Record:
        """Write the record of a finished cell as a whole, and read it back.

        Args:
          cell: The cell.
          columns: Its result: numbers, texts, booleans, None, and lists and dictionaries of them.
          provenance: Versions, machine and time, as `adamprox.sweep.provenance.provenance` has them.

        Returns:
          The record as `read` gives it.

        Raises:
          ValueError: Parquet cannot hold the columns; nothing is written.
          UnreadableRecordError: The file does not read back.
        """
        record = {
            "key": run_key(cell),
            "kind": cell.kind,
            **cell.config(),
            **columns,
            "provenance": json.dumps(provenance, sort_keys=True),
        }
        try:
            row = decode(encode(record))  # Parquet makes 1.0 of a 1 beside a 2.5
            data = encode({**row, "digest": _digest(row)})
            decode(data)
        except NotARowError as error:
            raise ValueError(f"the record of {describe(cell)} cannot be stored: {error}") from None
        path = self.path(cell)
        write_atomically(path, data)
        found = self.read(cell)
        if found is None:
            raise UnreadableRecordError(f"{path} was written, but does not read back")
        return found

    def read(self, cell: Run) -> Record | None:
        """Return the record of ``cell``, or None where there is none that can be trusted.

        A damaged file counts as absent, and so does one with the record of another cell or without a
        column that the cell's ``accepts`` asks for: the cell runs again and replaces it.

        Raises:
          OSError: There is a file that this process may not, or cannot, read.
        """
        found = _load(self.path(cell))
        if found is None:
            return None
        address, known = self._address(cell), defaults(cell)
        # An option that is younger than the record had what is its default now.
        record = Record({name: known.get(name) for name in address} | found)
        ours = all(_same(record[name], value) for name, value in address.items())
        ours = ours and isinstance(record.get("provenance"), str)
        accepts = getattr(cell, "accepts", None)
        return record if ours and (accepts is None or accepts(record)) else None

    def scratch(self, cell: Run) -> pathlib.Path:
        """Where an unfinished run of ``cell`` may keep what lets it go on; absolute."""
        return self.unfinished / run_key(cell)

    @property
    def unfinished(self) -> pathlib.Path:
        """Folder of what unfinished cells keep, and of their locks; absolute."""
        return self.directory.absolute() / "unfinished"

    @contextlib.contextmanager
    def claim(self, cell: Run) -> Iterator[bool]:
        """Whether this process alone runs ``cell`` until the end of the context.

        False where another sweep into this directory runs it. The claim of a process that is killed
        ends with it.
        """
        with locked(self.scratch(cell).with_suffix(".lock")) as ours:
            yield ours

    def finish(self, cell: Run, columns: Columns, provenance: Columns) -> Record:
        """`write`, then remove what the unfinished cell kept."""
        record = self.write(cell, columns, provenance)
        shutil.rmtree(self.scratch(cell), ignore_errors=True)
        return record

    def clear_leftovers(self, cells: Iterable[Run]) -> None:
        """Remove what a process kept of ``cells`` that have a record, killed right after `write`."""
        for cell in cells:
            scratch = self.scratch(cell)
            left = scratch.exists() or scratch.with_suffix(".lock").exists()
            if left and self.read(cell) is not None:
                # On a disk that cannot be written they do no harm.
                with contextlib.suppress(OSError), self.claim(cell) as ours:
                    if ours:
                        shutil.rmtree(scratch, ignore_errors=True)

    def read_all(self, cells: Iterable[Run]) -> list[Record]:
        """The records of those ``cells`` that have one, in their order."""
        return [record for cell in cells if (record := self.read(cell)) is not None]

    def distrusted(self, cells: Iterable[Run]) -> list[pathlib.Path]:
        """The files of those ``cells`` whose record is there but cannot be trusted."""
        # In this order: another sweep may write one between the two questions.
        there = [cell for cell in cells if os.path.lexists(self.path(cell))]
        return [self.path(cell) for cell in there if self.read(cell) is None]

    def each(self, kind: str) -> Iterator[Record]:
        """Yield the intact records of a kind, one file at a time."""
        for path in sorted((self.directory / kind).glob("*.parquet")):
            row = _load(path)
            if row and (row.get("key"), row.get("kind")) == (path.stem, kind):
                yield Record(row)

    def every(self, kind: str) -> list[Record]:
        """Return the intact records of a kind."""
        return list(self.each(kind))

    @staticmethod
    def _address(cell: Run) -> Columns:
        return {"key": run_key(cell), "kind": cell.kind, **cell.config()}


def _load(path: pathlib.Path) -> Columns | None:
    """Return the record in a file, None where there is none or it is not what was written."""
    try:
        record = decode(read_file(path, LARGEST))
    except (FileNotFoundError, NotADirectoryError, NotAFileError, NotARowError):
        return None
    return record if record.pop("digest", None) == _digest(record) else None


def _same(one: Any, other: Any) -> bool:
    """Return True for equal JSON; True is not 1."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _digest(record: Columns) -> str:
    """Return a hash of every column, so that a file with a flipped bit does not pass for a record."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
