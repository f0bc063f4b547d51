"""The numbers behind a page, as files that other programs read."""

import csv
import hashlib
import json
import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from adamprox.report.claims import Claim, Verdict
from adamprox.sweep.results import Record

_CLAIMS = "claims.json"


def write_records(directory: pathlib.Path, name: str, records: Sequence[Record]) -> None:
    """Write all columns of ``records`` to ``<name>.parquet``, the plain ones also to ``<name>.csv``.

    Args:
      directory: Made if it is not there.
      name: Of the experiment.
      records: In the order of their cells; a column that one lacks is empty in it.
    """
    if not records:
        return
    directory.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(_filled(records)), directory / f"{name}.parquet")
    columns = [k for k in _columns(records) if k != "provenance" and _plain(records, k)]
    with (directory / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(records)


def _columns(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(column for record in records for column in record))


def _filled(records: Sequence[Record]) -> list[Record]:
    columns = _columns(records)
    return [{column: record.get(column) for column in columns} for record in records]


def _plain(records: Sequence[Record], column: str) -> bool:
    return not any(isinstance(record.get(column), list | dict) for record in records)


def write_claims(out: pathlib.Path, claims: Mapping[str, Sequence[Claim]], about: Record) -> None:
    """Write verdicts, by experiment, to ``claims.json`` and ``claims.csv`` under ``out``.

    What other experiments have left there stays.

    Args:
      out: The directory of a run.
      claims: Name of an experiment to its claims.
      about: What an overview says of the run: preset, page, time.
    """
    before = read_claims(out)
    if before is None:
        if (out / _CLAIMS).exists():
            gone = "the claims of other experiments are gone until they are drawn again"
            warnings.warn(f"{out / _CLAIMS} is damaged: {gone}", stacklevel=2)
        before = {"claims": []}
    found = [(name, claim) for name, claim in before["claims"] if name not in claims]
    found += [(name, claim) for name, rows in claims.items() for claim in rows]
    rows = [
        {"experiment": name, **claim._asdict(), "verdict": claim.verdict.value}
        for name, claim in found
    ]
    contents = {**about, "claims": rows}
    contents["digest"] = _digest(contents)
    text = json.dumps(contents, ensure_ascii=False, indent=1)
    temporary = out / f"{_CLAIMS}.tmp"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, out / _CLAIMS)
    with (out / "claims.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["experiment", *Claim._fields])
        writer.writeheader()
        writer.writerows(rows)


def read_claims(out: pathlib.Path) -> Record | None:
    """What `write_claims` wrote, its claims as (experiment, `Claim`); None if nothing is readable."""
    try:
        found = json.loads((out / _CLAIMS).read_text(encoding="utf-8"))
        if found.pop("digest") != _digest(found):
            return None
        rows = [(row["experiment"], _claim(row)) for row in found["claims"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return {**found, "claims": rows}


def _digest(contents: Record) -> str:
    """So that a flipped bit does not pass for a number."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def _claim(row: Record) -> Claim:
    columns = {column: row[column] for column in Claim._fields}
    return Claim(**columns)._replace(verdict=Verdict(row["verdict"]))
