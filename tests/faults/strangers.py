"""Untrusted files: well-formed, their digests right, their contents hostile."""

import hashlib
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adamprox.report.tables import read_claims
from adamprox.sweep import Results, run_key
from adamprox.training import TrainingRun
from tests.faults import checkpoints
from tests.faults.case import Case, Finding, Outcome, Setting
from tests.squares import Square

_TEXTS = (
    "__import__('os').mkdir('ran')",
    "!!python/object/apply:os.mkdir ['ran']",
    "cos\nmkdir\n(S'ran'\ntR.",
    "{{ ''.__class__ }}",
    "<script>ran()</script>",
    "../../etc/passwd",
    "\0",
    "é" * 10_000,
)


def texts_stay_texts(setting: Setting) -> Iterator[Finding]:
    """Columns with code and paths in them come back as they are, and nothing has been run."""
    results = Results(setting.folder)
    for text in _TEXTS:
        written = results.write(Square(2.0), {"square": text, "list": [text]}, {"cpu": text})
        same = results.read(Square(2.0)) == written and not pathlib.Path("ran").exists()
        yield Finding(Outcome.HARMLESS if same else Outcome.LOST, text[:40])


def store(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    """Rows as a record's file, each with the digest that fits it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digests = [hashlib.sha256(json.dumps(r, sort_keys=True).encode()).hexdigest() for r in rows]
    rows = [{**row, "digest": digest} for row, digest in zip(rows, digests, strict=True)]
    pq.write_table(pa.Table.from_pylist(rows), path)


def not_a_record(setting: Setting) -> Iterator[Finding]:
    """Under a cell's name, what is no record of it: counted as absent, also by what costs runs."""
    results, cell = Results(setting.folder / "records"), TrainingRun.of(network="mlp", depth=3)
    address = {**cell.config(), "kind": cell.kind}
    bad: dict[str, list[dict[str, Any]]] = {
        "no row": [],
        "two rows": [address, address],
        "no column of a record": [{"a": 1}],
        "no key": [address],
        "another key": [{**address, "key": "../../etc"}],
        "numbers as text": [{**address, "key": "x", "epoch": "many", "seconds": "long"}],
        "epochs without an end": [{**address, "key": "x", "epoch": [], "seconds": 0.0}],
        "a repeated value of 200 MB": [
            {**address, "key": run_key(cell), "text": ["x" * 10**6] * 200}
        ],
    }
    for what, rows in bad.items():
        store(results.path(cell), rows)
        absent = results.read(cell) is None and not list(results.each(cell.kind))
        yield Finding(Outcome.RECOVERED if absent else Outcome.LOST, what)


def claims_of_any_shape(setting: Setting) -> Iterator[Finding]:
    """``claims.json`` of any JSON, some of it deep enough to end a parser: no verdict comes of it."""
    contents = ("null", "[]", "{}", '"x"', "1e999", '{"claims": 1}', "[" * 100_000, '{"digest": 0}')
    for content in contents:
        (setting.folder / "claims.json").write_text(content)
        absent = read_claims(setting.folder) is None
        yield Finding(Outcome.RECOVERED if absent else Outcome.LOST, content[:40])


def _note(change: Callable[[dict], Any]) -> Callable[[pathlib.Path], None]:
    def edit(folder: pathlib.Path) -> None:
        path = next(folder.rglob("note/metadata"))
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return edit


_EDITS: dict[str, Callable[[pathlib.Path], None]] = {
    "another history": _note(lambda note: {**note, "history": [{"epoch": 9}]}),
    "another digest": _note(lambda note: {**note, "digest": "0" * 64}),
    "another identity": _note(lambda note: {**note, "identity": "that cell"}),
    "time that runs backwards": _note(lambda note: {**note, "seconds": -1.0}),
    "time as text": _note(lambda note: {**note, "seconds": "long"}),
    "no note": _note(lambda note: {}),
    "a list for a note": _note(lambda note: [note]),
    "a pickle for a note": lambda folder: next(folder.rglob("note/metadata")).write_bytes(
        b"\x80\x04cos\nmkdir\n(S'ran'\ntR."
    ),
    "a link out of the directory": lambda folder: _link(next(folder.rglob("note/metadata"))),
}


def _link(path: pathlib.Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def edited_checkpoints(setting: Setting) -> Iterator[Finding]:
    """The note of the newest checkpoint edited by hand: passed over for the one before."""
    whole = setting.folder / "whole"
    checkpoints.save(whole)
    for what, edit in setting.some(list(_EDITS.items()), 3):
        folder = setting.folder / "edited"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        edit(folder / "2")
        finding = checkpoints.judge(folder, what)
        used = finding.outcome is Outcome.HARMLESS or pathlib.Path("ran").exists()
        yield Finding(Outcome.LOST, what) if used else finding


CASES = [
    Case("an untrusted record: code, paths and markup as values", texts_stay_texts),
    Case("an untrusted record: not one of this run", not_a_record),
    Case("an untrusted `claims.json`", claims_of_any_shape),
    Case("an untrusted checkpoint", edited_checkpoints),
]
