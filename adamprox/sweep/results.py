"""Records on disk: one small Parquet file a cell, written atomically, addressed by its key."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import filelock
import pyarrow as pa
import pyarrow.parquet as pq

from adamprox.sweep.cells import Cell, cell_key, default

Record = dict[str, Any]
"""One row: ``key``, ``kind``, the cell's configuration, its result columns, ``provenance`` (JSON)."""

_LARGEST = 2**24  # bytes; a record of 300 epochs has 100,000


class Results:
    """The records under a directory, ``<directory>/<kind>/<key>.parquet``.

    Args:
      directory: Of one run; made when the first record is written.

    Example:
      >>> from adamprox.training import TrainingCell
      >>> Results("runs/demo/records").path(TrainingCell(depth=8)).parts[:4]
      ('runs', 'demo', 'records', 'training')
    """

    def __init__(self, directory: str | os.PathLike[str]):
        """Name the directory."""
        self.directory = pathlib.Path(directory)

    def path(self, cell: Cell) -> pathlib.Path:
        """Where the record of ``cell`` is, or would be."""
        return self.directory / cell.kind / f"{cell_key(cell)}.parquet"

    def write(self, cell: Cell, columns: Record, provenance: Record) -> Record:
        """Write the record of a finished cell, all of it or nothing."""
        record = {
            "key": cell_key(cell),
            "kind": cell.kind,
            **cell.config(),
            **columns,
            "provenance": json.dumps(provenance, sort_keys=True),
        }
        row = {**record, "digest": _digest(record)}
        path = self.path(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                pq.write_table(pa.Table.from_pylist([row]), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            pathlib.Path(temporary).unlink(missing_ok=True)
            raise
        return record

    def read(self, cell: Cell) -> Record | None:
        """The record of ``cell``, or None when there is none that can be trusted.

        A file that cannot be read, or whose content is not of this cell, counts as absent: the cell
        runs again and replaces it.
        """
        record = _load(self.path(cell))
        if record is None:
            return None
        address = self._address(cell)
        # An option that is younger than the record had what is its default now.
        record = {name: default(cell, name) for name in address} | record
        ours = all(record[name] == value for name, value in address.items())
        return record if ours else None

    def scratch(self, cell: Cell) -> pathlib.Path:
        """Where an unfinished run of ``cell`` may keep what lets it go on; absolute."""
        return self.directory.absolute() / "unfinished" / cell_key(cell)

    @contextlib.contextmanager
    def claim(self, cell: Cell) -> Iterator[bool]:
        """Whether this process alone runs ``cell`` until the end of the context.

        False where another sweep into this directory runs it. The claim of a process that is killed
        ends with it.
        """
        path = self.scratch(cell).with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)  # who waits for it notices that it is another file
            lock.release()

    def finish(self, cell: Cell, columns: Record, provenance: Record) -> Record:
        """`write`, then remove what the unfinished cell kept."""
        record = self.write(cell, columns, provenance)
        shutil.rmtree(self.scratch(cell), ignore_errors=True)
        return record

    def clear_leftovers(self, cells: Iterable[Cell]) -> None:
        """Remove what a process kept of ``cells`` that have a record, killed right after `write`."""
        for cell in cells:
            scratch = self.scratch(cell)
            left = scratch.exists() or scratch.with_suffix(".lock").exists()
            if left and self.read(cell) is not None:
                # On a disk that cannot be written they do no harm.
                with contextlib.suppress(OSError), self.claim(cell) as ours:
                    if ours:
                        shutil.rmtree(scratch, ignore_errors=True)

    def read_all(self, cells: Iterable[Cell]) -> list[Record]:
        """The records of those ``cells`` that have one, in their order."""
        return [record for cell in cells if (record := self.read(cell)) is not None]

    def distrusted(self, cells: Iterable[Cell]) -> list[pathlib.Path]:
        """The files of those ``cells`` whose record is there but cannot be trusted."""
        # In this order: another sweep may write one between the two questions.
        there = [cell for cell in cells if os.path.lexists(self.path(cell))]
        return [self.path(cell) for cell in there if self.read(cell) is None]

    def every(self, kind: str) -> list[Record]:
        """All records of a kind that can be read, of whatever cells."""
        found = (_load(path) for path in sorted((self.directory / kind).glob("*.parquet")))
        return [record for record in found if record is not None]

    @staticmethod
    def _address(cell: Cell) -> Record:
        return {"key": cell_key(cell), "kind": cell.kind, **cell.config()}


def _load(path: pathlib.Path) -> Record | None:
    """The record in a file, None when it cannot be read or is not what was written."""
    try:
        file = pq.ParquetFile(path)
        groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
        if file.metadata.num_rows != 1 or sum(g.total_byte_size for g in groups) > _LARGEST:
            return None  # a few bytes of a stranger's file may stand for gigabytes
        (record,) = file.read().to_pylist()
        genuine = record.pop("digest", None) == _digest(record)
    except (OSError, TypeError, ValueError, pa.ArrowException):
        return None
    return record if genuine else None


def _digest(record: Record) -> str:
    """A hash of every column, so that a file with a flipped bit does not pass for a record."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
