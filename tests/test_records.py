"""Records on disk: any path, any values, any stranger's file; and the writer of all files."""

import base64
import contextlib
import datetime
import hashlib
import io
import json
import os
import shutil
import stat
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adamprox import files
from adamprox.files import NotAFileError, read_file, write_atomically
from adamprox.sweep import ENGINES, Record, Results, run_sweep
from adamprox.sweep import results as results_module
from adamprox.sweep.local import run_local
from adamprox.sweep.parquet import LARGEST, NotARowError, decode, encode
from adamprox.training import TrainingRun
from experiments.__main__ import main
from experiments.paper.fig01_quadratics import QuadraticsRun
from tests.squares import QUIET, Square

NAMES = [
    "~",
    "s3:x",
    "gs:x",
    "file:x",
    "mock:",
    "local:y?a=b",
    "[/red]",
    "é",
    "a b",
    "-x",
    "%2e",
    "\udcff",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_library_interprets_a_path(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = Results(name)
    written = results.write(Square(2.0), {"square": 4.0}, {})
    assert results.read(Square(2.0)) == written and len(list(tmp_path.rglob("*.parquet"))) == 1
    assert os.listdir(tmp_path) == [name.split("/")[0]]


FIG01 = ["fig01", "--preset", "smoke", "--workers", "0", "--out"]
MASK = 0o020
"""A umask that leaves a file 0o646, a mode that no program sets."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a run and what was printed; it was given as ``~/x``, under `MASK`."""
    folder, printed = tmp_path_factory.mktemp("finished"), io.StringIO()
    before = os.umask(MASK)
    try:
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.setenv("HOME", str(folder / "home"))
            patch.chdir(folder)
            assert main([*FIG01, "~/x"]) == 0
    finally:
        os.umask(before)
    return folder / "home" / "x", printed.getvalue()


@pytest.fixture
def out(finished, tmp_path):
    """A copy of that directory."""
    return shutil.copytree(finished[0], tmp_path / "out")


def test_a_tilde_is_the_home_directory(finished):
    directory, printed = finished
    assert printed == f"{directory}/fig01.html\n"
    assert os.listdir(directory.parents[1]) == ["home"]


def test_a_record_that_does_not_read_back_ends_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results_module, "_load", lambda path: None)
    assert main([*FIG01, str(tmp_path)]) == 1
    assert "was written, but does not read back" in capsys.readouterr().err.splitlines()[-1]


def test_records_that_vanish_end_the_command(tmp_path, monkeypatch, capsys):
    def engine(runs, results, *_):
        for record in run_local(runs, results, 0):
            results.path(runs[0]).unlink()
            yield record

    monkeypatch.setitem(ENGINES, "local", engine)
    assert main([*FIG01, str(tmp_path)]) == 1
    assert "1 records of" in capsys.readouterr().err


numbers = st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.none()
texts = st.text(st.characters(), max_size=5)
values = st.recursive(
    numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=6,
)


@given(columns=st.dictionaries(st.sampled_from("abc"), values))
def test_what_is_written_reads_back_or_is_refused(tmp_path_factory, columns):
    results = Results(tmp_path_factory.mktemp("records"))
    try:
        written = results.write(Square(2.0), columns, {})
    except ValueError as error:
        assert "cannot be stored" in str(error) and not any(results.directory.iterdir())
        return
    assert repr(results.read(Square(2.0))) == repr(written)


def test_mixed_numbers_read_back_and_large_records_are_refused(tmp_path):
    results = Results(tmp_path)
    assert results.write(Square(2.0), {"e": [1, 2.5]}, {})["e"] == [1.0, 2.5]
    assert results.read(Square(2.0))["e"] == [1.0, 2.5]
    for columns in ({"e": ["x" * LARGEST] * 9}, {"e": [0.5] * LARGEST}):
        with pytest.raises(ValueError, match=r"record of square .* cannot be stored: it "):
            results.write(Square(3.0), columns, {})
    assert results.read(Square(3.0)) is None and len(list(tmp_path.rglob("*.*"))) == 1


def parquet(table, **options):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def repeated(value, count, **options):
    """One row, a list of ``count`` times one value, in a few hundred bytes."""
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))
    lists = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), values)
    return parquet(pa.table({"a": lists}), store_schema=False, **options)


def understated(data, count, claimed):
    """The same file, whose footer claims ``claimed`` values: as many bytes, the last ones zero."""
    digits = [count >> shift & 127 for shift in range(0, 35, 7)]
    at_least = max(i for i, digit in enumerate(digits) if digit) + 1
    varint = lambda n: bytes(  # noqa: E731
        (n >> 7 * i & 127) | (128 if i < at_least - 1 else 0) for i in range(at_least)
    )
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    assert varint(2 * count) in data[footer:]
    return data[:footer] + data[footer:].replace(varint(2 * count), varint(2 * claimed))


def deep(depth):
    value = 0
    for _ in range(depth):
        value = {"a": value}
    return parquet(pa.Table.from_pylist([{"a": value}]))


N = 2**21  # values; in a few hundred bytes
BOMBS = {
    "a repeated number": lambda: repeated(0, N),
    "a repeated float, compressed": lambda: repeated(0.5, N, compression="ZSTD"),
    "pages of version 2": lambda: repeated(0, N, data_page_version="2.0"),
    "a text, a thousand times": lambda: repeated("x" * 10**5, 1000),
    "a footer that understates": lambda: understated(repeated(0, N), N, 10),
    "nulls": lambda: parquet(pa.table({"a": pa.array([[None] * N], pa.list_(pa.int8()))})),
    "zeros, compressed": lambda: parquet(pa.table({"a": [bytes(2**25).decode()]}), compression="ZSTD"),
    "many columns": lambda: parquet(pa.table({f"a{i}": [0] for i in range(5000)})),
    "many rows": lambda: parquet(pa.table({"a": pa.nulls(N, pa.int8())})),
    "two groups": lambda: parquet(pa.table({"a": [1, 2]}), row_group_size=1),
    "a date out of range": lambda: parquet(pa.table({"a": pa.array([2**30], pa.date32())})),
    "a time": lambda: parquet(pa.table({"a": pa.array([2**62], pa.timestamp("us"))})),
    "a duration": lambda: parquet(pa.table({"a": pa.array([2**62], pa.duration("s"))})),
    "bytes": lambda: parquet(pa.table({"a": [b"\xff"]})),
    "a decimal": lambda: parquet(pa.table({"a": pa.array([1], pa.decimal128(30, 2))})),
    "another writer": lambda: encode({"a": 1}).replace(b"parquet-cpp", b"parquet-mr "),
    "no Parquet at all": lambda: b"PAR1" + bytes(100) + b"PAR1",
    "nothing": lambda: b"",
    "text that is no text": lambda: encode({"a": "xyzxyz"}).replace(b"xyzxyz", b"xy\xff\xffyz"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_decoded(name, monkeypatch):
    data = BOMBS[name]()
    if "text that" not in name:
        monkeypatch.setattr(pq.ParquetFile, "read", None)  # nothing decodes a value
    started = time.perf_counter()
    with pytest.raises(NotARowError) as caught:
        decode(data)
    assert time.perf_counter() - started < 2 and "\n" not in str(caught.value)


def test_depth_is_bounded():
    assert decode(deep(4))
    for depth in (5, 50, 200):
        with pytest.raises((NotARowError, ValueError)):
            decode(deep(depth))


# Made by hand: what the footer, the headers of pages and their bodies say does not fit together.
FORGED = {
    "a field whose number wraps around": "UEFSMRUEFRAVEEwVAhUAAAAHAAAAAAAAABUAFTgVOCwVgICAgAEVEBUGFQYFgoAEAgAABwAAAAIA/v//fwEGAAAAgICAgAEBAYCAgIABABUEGUxIBnNjaGVtYRUCADUAGAFjFQIVBgA1BBgEbGlzdBUCABUEJQAYB2VsZW1lbnQAFgIZHBkcJgAcFQQZNQAGEBk4AWMEbGlzdAdlbGVtZW50FQAWgICAgAEWlgEWlgEmMiYIAAAWlgEWAgAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjEuMC4wAJAAAABQQVIx",
    "pages that begin at 0": "FQQVEBUQTBUCFQAAAAcAAAAAAAAAFQAVOBU4LBWAgICAARUQFQYVBgAABwAAAAIA/v//fwEGAAAAgICAgAEBAYCAgIABABUEFXIVckwVAhUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAVBBlMSAZzY2hlbWEVAgA1ABgBYxUCFQYANQQYBGxpc3QVAgAVBCUAGAdlbGVtZW50ABYCGRwZHCYAHBUEGTUABhAZOAFjBGxpc3QHZWxlbWVudBUAFoCAgIABFowBFowBJgAmjAEAABaMARYCACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyMS4wLjAAkQAAAFBBUjE=",
    "an encoding with a count of its own": "UEFSMRUAFVgVWCwVBBUOFQYVBgAABAAAAAIAAgECAAAABAGAgICABAGAgICAAgAAAICAgIAEAYCAgIACAAAAeHgVBBlMSAZzY2hlbWEVAgA1ABgBYxUCFQYANQQYBGxpc3QVAgAVDCUAGAdlbGVtZW50JQAAFgIZHBkcJgAcFQwZJQYOGTgBYwRsaXN0B2VsZW1lbnQVABYEFnoWeiYIAAAWehYCACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyMS4wLjAAiAAAAFBBUjE=",
    "a list of a million columns": "UEFSMRUEFRkcSAFyFQAAFgIZHBn8wIQ9EwAAAFBBUjE=",
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_file_made_by_hand_is_refused(name, monkeypatch):
    monkeypatch.setattr(pq.ParquetFile, "read", None)
    with pytest.raises(NotARowError):
        decode(base64.b64decode(FORGED[name]))


@given(data=st.data())
def test_a_changed_byte_never_crashes(data):
    whole = bytearray(encode({"a": [0.5, None], "b": "text", "c": [[1, 2], [3]]}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(whole))
    except NotARowError as error:
        assert len(str(error)) < 300


def store(path, row):
    digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()
    path.write_bytes(encode({**row, "digest": digest}))


CELLS = [
    TrainingRun.of(network="mlp", depth=2, train_size=64, epochs=2),
    QuadraticsRun(steps=3, step_sizes=2),
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.kind)
def test_forged_records_without_a_column_or_of_another_type_are_damaged(tmp_path, cell):
    """Their digests are right; only what figures and claims read is missing."""
    results = Results(tmp_path)
    (whole,) = run_sweep([cell], results, workers=0, console=QUIET)
    columns = whole.keys() - cell.config().keys() - {"key", "kind", "provenance"}
    columns -= {name for name in columns if name.startswith("zero")}
    for column in sorted(columns):
        value = whole[column]
        others = ["text", 7.5, None, [], [[None]], {"a": 1}, True]
        others = [o for o in others if type(o) is not type(value)] + (
            [value[:-1]] if isinstance(value, list) else []
        )
        others = [o for o in others if not (o is None and column.startswith("final"))]
        others = [o for o in others if not (type(o) is float and value is None)]
        for other in others:
            store(results.path(cell), {**whole, column: other})
            assert results.read(cell) is None, (column, other)
        store(results.path(cell), {k: v for k, v in whole.items() if k != column})
        older = column == "angular_update"  # older records have none
        assert (results.read(cell) is None) is not older, column
    for name, value in cell.config().items():
        for other in (True, False, 1, 0, 1.5):
            if type(other) is not type(value) and isinstance(value, bool | int | None):
                store(results.path(cell), {**whole, name: other})
                assert results.read(cell) is None, (name, other)
    store(results.path(cell), {**whole})
    assert results.read(cell) == whole


def test_odd_provenance_does_not_hinder_a_drawing(out):
    draw = ["fig01", "--preset", "smoke", "--draw", "--out", str(out)]
    path = next(out.rglob("records/*/*.parquet"))
    whole = decode(path.read_bytes())
    del whole["digest"]
    for odd in ("", "[]", "null", "{", '{"finished": 7, "commit": null}', "[" * 5000):
        assert Record({**whole, "provenance": odd}).origin["cpu"] == "unknown"
    store(path, {**whole, "provenance": "[" * 5000, "seconds": "a"})
    assert main(draw) == 0
    for odd in (None, 5, [1]):
        store(path, {**whole, "provenance": odd})
        assert main(draw) == 2


def make_fifo(path):
    os.mkfifo(path)


NO_FILES = {
    "a named pipe": make_fifo,
    "a folder": lambda path: path.mkdir(),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a folder": lambda path: path.symlink_to("/"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a sparse file": lambda path: (path.touch(), os.truncate(path, 2**40)),
}


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file_is_not_waited_for(tmp_path, name):
    results = Results(tmp_path)
    for place in (results.path(Square(2.0)), tmp_path / "square" / "x.parquet"):
        place.parent.mkdir(exist_ok=True)
        NO_FILES[name](place)
    with pytest.raises(NotAFileError):
        read_file(results.path(Square(2.0)), 100)
    assert results.read(Square(2.0)) is None and not list(results.each("square"))
    assert results.distrusted([Square(2.0)]) == [results.path(Square(2.0))]
    if name != "a folder":
        run_sweep([Square(2.0)], results, workers=0, console=QUIET)
        assert results.read(Square(2.0)) is not None and not results.path(Square(2.0)).is_symlink()


def test_a_file_that_may_not_be_read_is_not_damaged(out, monkeypatch, capsys):
    path = next(out.rglob("records/*/*.parquet"))
    before = path.read_bytes()

    def deny(name, *rest, **options):
        if str(name).endswith(".parquet"):
            raise PermissionError(13, "Permission denied", str(name))
        return open(name, *rest, **options)

    monkeypatch.setattr(files, "open", deny, raising=False)
    for argv in (["--workers", "0"], ["--draw"], ["--dry-run"]):
        assert main(["fig01", "--preset", "smoke", "--out", str(out), *argv]) == 1
        error = capsys.readouterr().err
        assert "Permission denied" in error and str(path) in error and error.count("\n") == 1
    assert path.read_bytes() == before


def test_the_umask_decides_who_reads_every_file(finished):
    written = [path for path in finished[0].rglob("*") if path.is_file()]
    kinds = {".parquet", ".html", ".json", ".csv", ".png", ".svg"}
    assert {path.suffix for path in written} == kinds
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o666 & ~MASK}


def test_a_lock_can_be_taken_by_whom_the_umask_lets_write(tmp_path):
    before = os.umask(0o002)
    try:
        with Results(tmp_path).claim(Square(1.0)) as ours:
            (lock,) = tmp_path.rglob("*.lock")
            assert ours and stat.S_IMODE(lock.stat().st_mode) == 0o664
    finally:
        os.umask(before)


def test_links_are_replaced_and_not_followed(out, tmp_path):
    target = tmp_path / "target"
    written = [path for path in out.rglob("*") if path.is_file()]
    target.write_text("kept")
    for path in written:
        path.unlink()
        path.symlink_to(target)
    for name in ("claims.json.tmp", ".claims.lock.tmp"):
        (out / name).symlink_to(target)
    with pytest.warns(UserWarning, match=r"claims\.json is damaged"):
        assert main([*FIG01, str(out)]) == 0
    assert target.read_text() == "kept" and not any(path.is_symlink() for path in written)


def test_writers_at_once_leave_one_whole_file(tmp_path):
    contents = [bytes([n]) * 10**5 for n in range(8)]
    threads = [
        threading.Thread(target=write_atomically, args=(tmp_path / "f", c)) for c in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "f").read_bytes() in contents and os.listdir(tmp_path) == ["f"]


def test_a_date_is_never_a_value():
    with pytest.raises(NotARowError, match="values of type date32"):
        decode(encode({"a": datetime.date(2022, 1, 1)}))
