"""The doctor notices what is missing, gives the command that mends it, and leaves nothing behind."""

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

ROOT = pathlib.Path(__file__).parents[1]


def test_a_machine_that_passes_these_tests_passes_the_doctor(tmp_path, capsys):
    assert doctor.main(tmp_path / "runs" / "new", data_dir=tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["python", "packages", "devices", "disk", "cifar10", "cifar100"]
    assert [line.split()[1] for line in lines] == names
    assert "run: python -m adamprox.data prepare cifar10 --data-dir" in lines[4]
    assert list(tmp_path.iterdir()) == []


def test_help_examines_nothing():
    command = [sys.executable, "-S", "-m", "experiments.doctor", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "output directory of the runs" in done.stdout


def test_without_packages_the_doctor_says_so():
    command = [sys.executable, "-S", "-m", "experiments.doctor"]
    environment = os.environ | {"PYTHONPATH": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and not done.stderr
    assert (
        "failed  packages  PackageNotFoundError" in done.stdout and doctor._INSTALL in done.stdout
    )


def test_packages_that_are_missing_or_too_old(monkeypatch):
    requirements = [
        "jax>=99",
        "no-such-package>=1; extra == 'experiments'",
        "optax>=0.1",
        "none>=1; extra == 'ray'",
    ]
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: requirements)
    check = doctor.packages()
    assert check.status == FAILED and check.remedy == doctor._INSTALL
    assert "jax>=99 is needed; no-such-package is missing" in check.value
    assert "none" not in check.value and "optax" not in check.value


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
    assert doctor.main(file / "runs", data_dir=tmp_path) == 1
    assert "failed  disk      NotADirectoryError: " in capsys.readouterr().out


@pytest.mark.parametrize(("gib", "status"), [(10, OK), (1, WARNING)])
def test_disk(tmp_path, monkeypatch, gib, status):
    usage = types.SimpleNamespace(free=gib * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert doctor.disk(tmp_path / "runs").status == status
