"""Records and claims of a page as files for other programs."""

import csv
import hashlib
import io
import json
import os
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adamprox.files import NotAFileError, read_file, write_atomically
from adamprox.report.claims import Claim, Verdict
from adamprox.sweep.lock import locked
from adamprox.sweep.record import Record

_CLAIMS = "claims.json"
CLAIMS_LOCK = ".claims.lock"
"""Name of the file that a process locks while it writes claims."""
_PATIENCE = 60.0  # seconds; a write takes 0.01
_LARGEST = 2**24  # bytes; the claims of all experiments take 40,000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_records(directory: pathlib.Path, name: str, records: Sequence[Record]) -> None:
    """Write ``records`` to ``<name>.parquet``, and their scalar columns to ``<name>.csv``.

    Args:
      directory: Folder of the files; created if missing.
      name: Name of the experiment.
      records: Records in the order of their runs; missing columns of a record stay empty.
    """
    if not records:
        return
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(_filled(records)), buffer)
    write_atomically(directory / f"{name}.parquet", buffer.getvalue())
    columns = [k for k in _columns(records) if k != "provenance" and _plain(records, k)]
    write_atomically(directory / f"{name}.csv", _csv(columns, records))


def _columns(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(column for record in records for column in record))


def _filled(records: Sequence[Record]) -> list[dict[str, Any]]:
    columns = _columns(records)
    return [{column: record.get(column) for column in columns} for record in records]


def _plain(records: Sequence[Record], column: str) -> bool:
    return not any(isinstance(record.get(column), list | dict) for record in records)


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV in which a spreadsheet evaluates no text as a formula."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(map(_inert, columns))
    writer.writerows([_inert(row.get(column, "")) for column in columns] for row in rows)
    return buffer.getvalue()


def _inert(value: Any) -> Any:
    """Return the value, with an apostrophe before a text that a spreadsheet would evaluate."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def write_claims(
    out: pathlib.Path, claims: Mapping[str, Sequence[Claim]], about: Mapping[str, str]
) -> None:
    """Write verdicts, by experiment, to ``claims.json`` and ``claims.csv`` under ``out``.

    Claims of other experiments stay, even if another process writes them at the same time.

    Args:
      out: Directory of a run.
      claims: Claims by the name of their experiment.
      about: Preset, its replaced options if there are any, page and time of these claims.

    Raises:
      OSError: A file cannot be written, or the present one cannot be read.

    Warns:
      UserWarning: The present file is damaged, or the claims replace those of another protocol.
    """
    with locked(out / CLAIMS_LOCK, wait=_PATIENCE):
        before = read_claims(out)
        if before is None and os.path.lexists(out / _CLAIMS):
            gone = "the claims of other experiments are lost until they are drawn again"
            warnings.warn(f"{out / _CLAIMS} is damaged: {gone}", stacklevel=2)
        before = before or {"claims": [], "about": {}}
        found = [(name, claim) for name, claim in before["claims"] if name not in claims]
        found += [(name, claim) for name, own in claims.items() for claim in own]
        facts = {**before["about"], **{name: dict(about) for name in claims}}
        rows = [
            {"experiment": name, **claim._asdict(), "verdict": claim.verdict.value}
            for name, claim in found
        ]
        contents: dict[str, Any] = {"about": facts, "claims": rows}
        contents["digest"] = _digest(contents)
        write_atomically(out / _CLAIMS, json.dumps(contents, ensure_ascii=False, indent=1))
        columns = ["preset", "options", "experiment", *Claim._fields]
        labelled = [{**facts[r["experiment"]], **r} for r in rows]
        write_atomically(out / "claims.csv", _csv(columns, labelled))
    replaced = {name: before["about"].get(name) for name, own in claims.items() if own}
    _warn_of_other_protocols({name: old for name, old in replaced.items() if old}, about)


def _warn_of_other_protocols(
    before: Mapping[str, Mapping[str, str]], about: Mapping[str, str]
) -> None:
    """Warn that claims replace those ``before``, by experiment, if they are of another protocol."""
    new, names = protocol_of(about), {}
    for name, facts in before.items():
        names.setdefault(protocol_of(facts), []).append(name)
    for old, those in names.items():
        if old != new:
            text = f"the verdicts of {', '.join(those)} at {new} replace those at {old}"
            warnings.warn(text, stacklevel=3)


def protocol_of(about: Mapping[str, str]) -> str:
    """Return the protocol of claims: the preset, and the options that replace its values."""
    preset, options = about.get("preset", "unknown"), about.get("options")
    return f"{preset} with {options}" if options else preset


def read_claims(out: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the contents of ``claims.json``, None if the file is missing or damaged.

    Returns:
      ``claims``, a list of (experiment, `Claim`), and ``about``, the facts by experiment.

    Raises:
      OSError: The file exists and cannot be read.
    """
    try:
        found = json.loads(read_file(pathlib.Path(out) / _CLAIMS, _LARGEST))
        if found.pop("digest") != _digest(found):
            return None
        claims = [(row["experiment"], _claim(row)) for row in found["claims"]]
        about = {name: _texts(found["about"][name]) for name, _ in claims}
    except (FileNotFoundError, NotADirectoryError, NotAFileError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return {"claims": claims, "about": about}


def _digest(contents: Mapping[str, Any]) -> str:
    """Return a hash of the contents, which detects a flipped bit."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def _claim(row: Mapping[str, Any]) -> Claim:
    texts = _texts({column: row[column] for column in ("experiment", *Claim._fields)})
    verdict = Verdict(texts.pop("verdict"))
    del texts["experiment"]
    return Claim(**texts, verdict=verdict)


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the row; raise TypeError unless every value is a text."""
    if not all(isinstance(value, str) for value in row.values()):
        raise TypeError("every fact of a claim is a text")
    return dict(row)
