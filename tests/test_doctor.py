"""The doctor notices what is missing, says what mends it, and leaves nothing behind."""

import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import types

import pytest

import adamprox.data
from experiments import doctor
from experiments.doctor import FAILED, OK, WARNING


def test_a_machine_that_passes_these_tests_passes_the_doctor(tmp_path, capsys):
    assert doctor.main(tmp_path / "runs" / "new", data_dir=tmp_path) == 0
    printed = capsys.readouterr().out
    for name in ("python", "jax", "optax", "devices", "cores", "memory", "digits", "disk"):
        assert f" {name} " in printed
    assert "python -m adamprox.data prepare cifar10 --data-dir" in printed
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_itself_needs_the_standard_library_alone():
    root = pathlib.Path(__file__).parents[1]
    command = [sys.executable, "-S", "-c", "import experiments.doctor as d; print(d.python())"]
    environment = os.environ | {"PYTHONPATH": ""}
    found = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert found.returncode == 0 and "status='ok'" in found.stdout, found.stderr


def test_packages_that_are_missing_or_too_old():
    assert doctor.package("jax>=0.1").status == OK
    for requirement, value in (("no-such-package>=1", "not installed"), ("jax>=99", "jax>=99")):
        check = doctor.package(requirement)
        assert check.status == FAILED and value in check.value and check.remedy == doctor._INSTALL
    (check,) = doctor.packages("no-such-package")
    assert check.status == FAILED and check.remedy == doctor._INSTALL


@pytest.mark.parametrize(
    ("version", "status"), [("2.40.0", WARNING), ("2.51.1", WARNING), ("2.52.0", OK), ("3.0", OK)]
)
def test_ray_that_is_too_old_is_a_warning(monkeypatch, version, status):
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda _: version)
    check = doctor.ray()
    assert check.status == status and check.value.startswith(version)
    assert ("ray>=2.52" in check.value) == bool(check.remedy) == (status == WARNING)


def test_requirements_of_other_extras_are_not_needed(monkeypatch):
    requirements = ["jax>=0.1", "flax>=0.1; extra == 'experiments'", "none>=1; extra == 'ray'"]
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: requirements)
    names = [check.name for check in doctor.packages("jax")]
    assert names[1:] == ["jax", "flax"]


def test_data_sets_that_are_missing_or_damaged(tmp_path, monkeypatch):
    check = doctor.data_set("cifar10", tmp_path)
    assert check.status == WARNING and "not prepared" in check.value
    assert check.remedy.startswith("python -m adamprox.data prepare cifar10 --data-dir")

    def damaged(*_):
        raise adamprox.data.DamagedDataError("cifar10 is damaged; run: the command")

    monkeypatch.setattr(adamprox.data, "load", damaged)
    check = doctor.data_set("cifar10", tmp_path)
    assert check == ("cifar10", FAILED, "cifar10 is damaged", "the command")


def test_an_out_that_is_in_a_file_fails_and_so_does_the_doctor(tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    check = doctor.out_directory(file / "runs")
    assert check.status == FAILED and str(file) in check.value and "--out DIR" in check.remedy
    assert doctor.main(file / "runs", data_dir=tmp_path) == 1
    assert f"out: {check.remedy}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("gib", "status"), [(10, OK), (1, WARNING), (0.1, FAILED)])
def test_disk(tmp_path, monkeypatch, gib, status):
    usage = types.SimpleNamespace(free=int(gib * 2**30))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    check = doctor.disk(tmp_path / "runs")
    assert check.status == status and bool(check.remedy) == (status != OK)


def test_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_cores", lambda: 4)
    for available, status in ((9 * 2**30, OK), (None, OK), (2 * 2**30, WARNING)):
        monkeypatch.setattr(doctor, "_available_memory", lambda a=available: a)
        check = doctor.memory()
        assert check.status == status
    assert check.remedy == "python -m experiments all --workers 2"
    monkeypatch.undo()
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9 kB\nMemAvailable:  2048 kB\n")
    assert doctor._available_memory(meminfo) == 2**21
    assert doctor._available_memory(tmp_path / "none") is None


def stub_jax(monkeypatch, **attributes):
    jax = types.SimpleNamespace(**attributes)
    monkeypatch.setattr(doctor.importlib, "import_module", lambda _: jax)


def test_devices(monkeypatch):
    def fail():
        raise RuntimeError("Unable to initialize backend 'cuda'\nmore")

    stub_jax(monkeypatch, devices=fail)
    check = doctor.devices()
    assert check.status == FAILED and check.value == "Unable to initialize backend 'cuda'"
    assert check.remedy == "export JAX_PLATFORMS=cpu"


def test_compilation_cache(monkeypatch, tmp_path):
    (tmp_path / "jit_f-0-cache").touch()
    found = {}
    for directory in (None, str(tmp_path), "gs://bucket/cache"):
        stub_jax(monkeypatch, config=types.SimpleNamespace(jax_compilation_cache_dir=directory))
        found[directory] = doctor.compilation_cache()
    off, on, remote = found.values()
    assert off.status == WARNING and off.remedy.startswith("export JAX_COMPILATION_CACHE_DIR=")
    assert on.status == OK and on.value.endswith("1 programs") and remote.status == OK


def test_a_check_that_cannot_be_made_has_failed(monkeypatch, tmp_path):
    def memory():
        raise ZeroDivisionError("no memory at all")

    monkeypatch.setattr(doctor, "memory", memory)
    checks = {check.name: check for check in doctor.examine(tmp_path, tmp_path)}
    assert checks["memory"][1:3] == (FAILED, "ZeroDivisionError: no memory at all")
    assert checks["disk"].status != FAILED


def test_lines_where_rich_is_missing(monkeypatch, capsys):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    doctor.show([doctor.Check("rich", FAILED, "not installed", "the command")])
    assert capsys.readouterr().out == "rich\tfailed\tnot installed\tthe command\n"
