"""A prepared data set of a stranger is read or refused, and can do no more."""

import json
import os
import subprocess
import sys

import pytest

from adamprox.data import DamagedDataError, MissingDataError, load, loading
from adamprox.data import __main__ as command
from adamprox.data.prepared import stored_provenance
from experiments import doctor
from tests.cifar_archives import good
from tests.faults.runs import ROOT
from tests.hostile_data import EVIL, copied, edits, other_values, set_in, shard

EDITS = edits()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A data dir with a tiny CIFAR-10."""
    folder = tmp_path_factory.mktemp("whole")
    archive = str(good(folder / "cifar.tar.gz"))
    where = str(folder / "data")
    assert command.main(["prepare", "cifar10", "--archive", archive, "--data-dir", where]) == 0
    return folder / "data"


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it, to be edited; the directory of the data set."""
    return copied(whole, tmp_path / "data")


def assert_refused(data_dir):
    loading.clear_cache()
    with pytest.raises((DamagedDataError, MissingDataError)) as caught:
        load("cifar10", data_dir)
    line = str(caught.value)
    assert line.isprintable() and len(line.replace(str(data_dir), "")) < 400
    assert line.endswith(" --force") or isinstance(caught.value, MissingDataError)


@pytest.mark.parametrize("what", EDITS)
def test_what_a_stranger_changed_is_refused(folder, what):
    EDITS[what](folder)
    assert_refused(folder.parents[1])


def test_any_other_value_in_any_place_is_refused(folder):
    for name, content in other_values(folder):
        before = (folder / name).read_text()
        (folder / name).write_text(content)
        assert_refused(folder.parents[1])
        (folder / name).write_text(before)
    loading.clear_cache()
    assert len(load("cifar10", folder.parents[1]).train) == 15


TRAP = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nclass X: pass\n"


@pytest.fixture
def trap(tmp_path):
    """A directory with modules that leave a trace where they are imported."""
    directory = tmp_path / "cwd"
    directory.mkdir()
    for module in (EVIL.split(".")[0], "array_record"):
        (directory / f"{module}.py").write_text(TRAP)
    return directory


def everything_evil(folder):
    for what, edit in EDITS.items():
        if "names a module" in what:
            edit(folder)


def test_no_command_imports_what_a_file_names(folder, trap, monkeypatch, capsys):
    everything_evil(folder)
    monkeypatch.chdir(trap)
    (trap / "array_record.py").unlink()
    monkeypatch.syspath_prepend(str(trap))
    loading.clear_cache()
    where = str(folder.parents[1])
    check = doctor.data_set("cifar10", folder.parents[1])
    assert (
        check.status == doctor.FAILED and "features.json does not belong to cifar10" in check.value
    )
    monkeypatch.setenv("COLUMNS", "1000")
    assert command.main(["list", "--data-dir", where]) == 1
    assert "features.json does not belong to cifar10" in capsys.readouterr().out
    assert not (trap / "ran").exists() and EVIL.split(".")[0] not in sys.modules


def test_a_process_imports_nothing_from_where_it_reads_or_is_started(folder, trap):
    # Nor does the program that reads records, which needs a module of the name of one there.
    code = f"""
import sys
sys.path = [path for path in sys.path if path]
from adamprox.data import load
print(len(load("cifar10", {str(folder.parents[1])!r}).train))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=trap, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "15\n", done.stderr
    assert not (trap / "ran").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
def test_a_bomb_takes_little_memory(folder):
    shard(*[bytes(2**28)] * 3)(folder)
    code = f"""
import resource
from adamprox.data import load, DamagedDataError
try: load("cifar10", {str(folder.parents[1])!r})
except DamagedDataError as error: print("is damaged" in str(error))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2**18)  # KiB: 256 MiB
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "True\nTrue\n", done.stderr


def test_texts_of_a_stranger_are_printed_as_texts(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    name = "\x1b[2J[red]x[/nothing]\n\u202e.tar.gz"
    set_in("metadata.json", "archive", "name", by=name)(folder)
    set_in("metadata.json", "warnings", by=["\x07[link=x]"])(folder)
    loading.clear_cache()
    assert command.main(["list", "--data-dir", str(folder.parents[1])]) == 0
    out = capsys.readouterr().out
    assert "\\x1b[2J[red]x[/nothing]\\n\\u202e.tar.gz; \\x07[link=x]" in out
    assert out.replace("\n", "").isprintable()
    check = doctor.data_set("cifar10", folder.parents[1])
    assert check.status == doctor.OK and check.value.isprintable()


def test_what_was_stored_is_given_back(folder):
    assert stored_provenance(folder) == json.loads((folder / "metadata.json").read_text())
