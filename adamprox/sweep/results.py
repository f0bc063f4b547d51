"""Records on disk: one small Parquet file per run, written atomically and named by the run's key."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

from adamprox.files import NotAFileError, read_file, write_atomically
from adamprox.sweep.lock import is_locked, locked
from adamprox.sweep.parquet import LARGEST, NotARowError, decode, encode
from adamprox.sweep.record import Record
from adamprox.sweep.runs import Run, describe, run_key

Columns = dict[str, Any]
"""Columns of a record by name: numbers, texts, booleans, None, and lists and dictionaries of them."""


class UnreadableRecordError(OSError):
    """A record that was just written cannot be read back."""


class Results:
    """The records under a directory, ``<directory>/<kind>/<key>.parquet``.

    Args:
      directory: Directory of the records; the first write creates it.

    Example:
      >>> from adamprox.training import TrainingRun
      >>> Results("runs/demo/records").path(TrainingRun.of(depth=8)).parts[:4]
      ('runs', 'demo', 'records', 'training')
    """

    def __init__(self, directory: str | os.PathLike[str]):
        """Store the directory."""
        self.directory = pathlib.Path(directory)

    def path(self, run: Run) -> pathlib.Path:
        """Return the path of the record of ``run``, which need not exist."""
        return self.directory / run.kind / f"{run_key(run)}.parquet"

    def write(self, run: Run, columns: Columns, provenance: Columns) -> Record:
        """Write the record of a finished run atomically, read it back, and delete the run's state.

        Args:
          run: Finished run.
          columns: Results of the run: numbers, texts, booleans, None, and lists and dictionaries of them.
          provenance: Versions, machine and time; see `adamprox.sweep.provenance.provenance`.

        Returns:
          The record, as `read` returns it.

        Raises:
          ValueError: Parquet cannot hold the columns; nothing is written.
          UnreadableRecordError: The written file cannot be read back.
        """
        record = {
            **self._address(run),
            **columns,
            "provenance": json.dumps(provenance, sort_keys=True),
        }
        try:
            row = decode(encode(record))  # Parquet turns the 1 of [1, 2.5] into 1.0
            data = encode({**row, "digest": _digest(row)})
            decode(data)
        except NotARowError as error:
            raise ValueError(f"the record of {describe(run)} cannot be stored: {error}") from None
        path = self.path(run)
        write_atomically(path, data)
        self.scratch(run).with_suffix(".failed").unlink(missing_ok=True)
        found = self.read(run)
        if found is None:
            raise UnreadableRecordError(f"{path} was written, but does not read back")
        shutil.rmtree(self.scratch(run), ignore_errors=True)
        return found

    def read(self, run: Run) -> Record | None:
        """Return the record of ``run``, or None if there is no valid record.

        A record is valid if its file is intact, it belongs to this run, and it has all columns that
        the run's ``accepts`` requires. A sweep repeats a run without a valid record and replaces
        the file.

        Raises:
          OSError: The file exists, and this process cannot read it.
        """
        found = _load(self.path(run))
        if found is None:
            return None
        address, known = self._address(run), run.defaults()
        # A record from before an option existed has the default of that option.
        record = Record({name: known.get(name) for name in address} | found)
        ours = all(_same(record[name], value) for name, value in address.items())
        ours = ours and isinstance(record.get("provenance"), str)
        return record if ours and run.accepts(record) else None

    def scratch(self, run: Run) -> pathlib.Path:
        """Return the absolute path of the folder for the state of ``run`` while it is unfinished."""
        return self.unfinished / run_key(run)

    @property
    def unfinished(self) -> pathlib.Path:
        """Absolute path of the folder with the state and the locks of unfinished runs."""
        return self.directory.absolute() / "unfinished"

    @contextlib.contextmanager
    def claim(self, run: Run) -> Iterator[bool]:
        """Claim ``run`` for this process until the end of the context.

        The claim of a killed process ends with the process.

        Yields:
          True with the claim, False if another sweep into this directory has it.
        """
        with locked(self.scratch(run).with_suffix(".lock")) as ours:
            yield ours

    def is_claimed(self, run_key: str) -> bool:
        """Return True if a process has claimed the run with this key; the method writes nothing."""
        return is_locked(self.unfinished / f"{run_key}.lock")

    def fail(self, run: Run, reason: str) -> None:
        """Mark ``run`` as failed; writing its record removes the mark."""
        with contextlib.suppress(OSError):  # a full disk; the sweep reports the failure too
            write_atomically(self.scratch(run).with_suffix(".failed"), reason)

    def failed(self) -> set[str]:
        """Return the keys of the runs that failed and have no record since."""
        return {path.stem for path in self.unfinished.glob("*.failed")}

    def clear_leftovers(self, runs: Iterable[Run]) -> None:
        """Delete the state of those ``runs`` that have a record.

        A process that is killed in `write`, after the record is there, does not delete it.
        """
        for run in runs:
            scratch = self.scratch(run)
            left = scratch.exists() or scratch.with_suffix(".lock").exists()
            if left and self.read(run) is not None:
                # Leftovers on a read-only disk do no harm.
                with contextlib.suppress(OSError), self.claim(run) as ours:
                    if ours:
                        shutil.rmtree(scratch, ignore_errors=True)

    def read_all(self, runs: Iterable[Run]) -> list[Record]:
        """Return the records of those ``runs`` that have one, in their order."""
        return [record for run in runs if (record := self.read(run)) is not None]

    def distrusted(self, runs: Iterable[Run]) -> list[pathlib.Path]:
        """Return the files of those ``runs`` whose record exists and is not valid."""
        # Look for files first: another sweep may write a record in between.
        there = [run for run in runs if os.path.lexists(self.path(run))]
        return [self.path(run) for run in there if self.read(run) is None]

    def each(self, kind: str, damaged: list[pathlib.Path] | None = None) -> Iterator[Record]:
        """Yield the intact records of a kind, one file at a time.

        Args:
          kind: Name of the table, such as ``training``.
          damaged: List to which the paths of files without an intact record are added.
        """
        for path in sorted((self.directory / kind).glob("*.parquet")):
            row = _load(path)
            if row and (row.get("key"), row.get("kind")) == (path.stem, kind):
                yield Record(row)
            elif damaged is not None:
                damaged.append(path)

    @staticmethod
    def _address(run: Run) -> Columns:
        return {"key": run_key(run), "kind": run.kind, **run.config()}


def _load(path: pathlib.Path) -> Columns | None:
    """Return the record in a file, None if the file is missing or damaged."""
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
    """Return a hash of all columns, which detects a flipped bit."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
