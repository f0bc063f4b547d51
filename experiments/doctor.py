"""Check whether this machine can run the experiments: ``python -m experiments.doctor [OUT]``.

Each check is a function that returns a `Check` and writes nothing. The module imports only the
standard library at first, so it also runs where packages are missing.
"""

import argparse
import importlib
import importlib.metadata
import os
import pathlib
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

OK, WARNING, FAILED = "ok", "warning", "failed"
_INSTALL = "pip install -c constraints.txt -e '.[experiments]'"
_GIB = 2**30


class Check(NamedTuple):
    """Result of one check: its name, its status, the value found, and a command that fixes it."""

    name: str
    status: str
    value: str
    remedy: str = ""


def packages(distribution: str = "adamprox") -> Check:
    """Return the missing and outdated packages; of the extras only ``experiments`` counts."""
    wrong = []
    for requirement in importlib.metadata.requires(distribution) or ():
        needed, _, marker = requirement.partition(";")
        name = re.split(r"[^\w.-]", needed.strip())[0]
        if "extra" in marker and not re.search(r"['\"]experiments['\"]", marker):
            continue
        try:
            version = importlib.metadata.version(name)
            requirements = importlib.import_module("packaging.requirements")
        except ImportError:  # PackageNotFoundError is an ImportError
            wrong.append(f"{name} is missing")
            continue
        if not requirements.Requirement(needed).specifier.contains(version, prereleases=True):
            wrong.append(f"{name} is {version}, {needed.strip()} is needed")
    if wrong:
        return Check("packages", FAILED, "; ".join(wrong), _INSTALL)
    version = importlib.metadata.version
    return Check("packages", OK, f"{distribution} {version(distribution)}, jax {version('jax')}")


def devices() -> Check:
    """Return the devices of JAX, with a warning if JAX does not use an NVIDIA GPU."""
    found = importlib.import_module("jax").devices()
    value = f"{len(found)} × {found[0].device_kind} ({found[0].platform}), {os.cpu_count()} cores"
    if found[0].platform == "cpu" and pathlib.Path("/proc/driver/nvidia/gpus").exists():
        return Check("devices", WARNING, f"{value}; a GPU is idle", "pip install -U 'jax[cuda13]'")
    return Check("devices", OK, value)


def disk(out: pathlib.Path) -> Check:
    """Return the free space for records and checkpoints; raise OSError if no file can be made."""
    place = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    with tempfile.TemporaryFile(dir=place):
        free = shutil.disk_usage(place).free
    status = OK if free >= 2 * _GIB else WARNING
    return Check("disk", status, f"{free / _GIB:.1f} GiB free in {place}")


def data_set(name: str, data_dir: pathlib.Path | None = None) -> Check:
    """Verify every image of a data set, and return its sizes; smoke and demo need no CIFAR."""
    data = importlib.import_module("adamprox.data")
    try:
        found = data.load(name, data_dir)
    except (data.MissingDataError, data.DamagedDataError) as error:
        status = WARNING if isinstance(error, data.MissingDataError) else FAILED
        value, _, remedy = str(error).rpartition("; run: ")
        return Check(name, status, value, remedy)
    return Check(name, OK, f"{len(found.train):,} + {len(found.test):,} images")


def examine(out: pathlib.Path, data_dir: pathlib.Path | None = None) -> Iterator[Check]:
    """Yield the result of every check; a check that raises an error has failed."""
    yield Check("python", OK if sys.version_info >= (3, 11) else FAILED, platform.python_version())
    checks: dict[str, Callable[[], Check]] = {
        "packages": packages,
        "devices": devices,
        "disk": lambda: disk(out),
        "cifar10": lambda: data_set("cifar10", data_dir),
        "cifar100": lambda: data_set("cifar100", data_dir),
    }
    for name, check in checks.items():
        try:
            yield check()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            yield Check(name, FAILED, reason, _INSTALL * isinstance(error, ImportError))


def main(out: pathlib.Path | None = None, data_dir: pathlib.Path | None = None) -> int:
    """Print one line per check; return 1 if one failed, else 0."""
    checks = list(examine(out or pathlib.Path("runs"), data_dir))
    for name, status, value, remedy in checks:
        print(f"{status:8}{name:10}{value}{'; run: ' * bool(remedy)}{remedy}")
    return int(any(check.status == FAILED for check in checks))


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # `adamprox.output` does this too, but imports JAX
        stream.reconfigure(errors="backslashreplace")  # pyright: ignore
    parser = argparse.ArgumentParser(prog="python -m experiments.doctor", description=__doc__)
    parser.add_argument("out", nargs="?", type=pathlib.Path, help="output directory of the runs")
    sys.exit(main(parser.parse_args().out))
