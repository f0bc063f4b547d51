"""What an experiment needs of this machine: ``python -m experiments doctor [--out DIR]``.

Each check is a function that changes nothing and returns a `Check`; what fails comes with the command
that mends it. Where packages are missing, ``python -m experiments.doctor [DIR]`` runs all the same: it
needs the standard library alone until it asks.
"""

import importlib
import importlib.metadata
import os
import pathlib
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

OK, WARNING, FAILED = "ok", "warning", "failed"
"""A warning is of what some experiments need, or what makes them slow; a failure stops all."""

_INSTALL = "pip install -c constraints.txt -e '.[experiments]'"
_GIB = 2**30
_MEMORY_A_WORKER = _GIB
_DISK_LOW, _DISK_FULL = 2 * _GIB, 2**28
_COLORS = {OK: "green", WARNING: "yellow", FAILED: "red"}


class Check(NamedTuple):
    """What one check found.

    Attributes:
      name: Of what was looked at.
      status: `OK`, `WARNING` or `FAILED`.
      value: What was found.
      remedy: The command that mends it; empty where nothing has to be.
    """

    name: str
    status: str
    value: str
    remedy: str = ""


def python() -> Check:
    """Version 3.11 or newer."""
    enough = sys.version_info >= (3, 11)
    remedy = "" if enough else "rm -rf .venv && make PYTHON=python3.11 .venv/installed"
    return Check("python", OK if enough else FAILED, platform.python_version(), remedy)


def packages(distribution: str = "adamprox", extra: str = "experiments") -> list[Check]:
    """Every package that the experiments require, in a version that they accept."""
    try:
        requirements = importlib.metadata.requires(distribution) or []
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return [Check(distribution, FAILED, "not installed", _INSTALL)]
    needed = [r for r in requirements if "extra ==" not in r or re.search(rf"['\"]{extra}['\"]", r)]
    return [Check(distribution, OK, version), *map(package, needed)]


def package(requirement: str) -> Check:
    """One package, given as ``jax>=0.9``."""
    needed = requirement.split(";")[0].strip()
    name = re.split(r"[^\w.-]", needed)[0]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, FAILED, "not installed", _INSTALL)
    specifier = importlib.import_module("packaging.requirements").Requirement(needed).specifier
    if specifier.contains(version, prereleases=True):
        return Check(name, OK, version)
    return Check(name, FAILED, f"{version}, but {needed} is needed", _INSTALL)


def ray() -> Check:
    """Ray, for ``--engine ray``; nothing else needs it."""
    try:
        importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        return Check("ray", OK, "not installed; only --engine ray needs it")
    oldest = importlib.import_module("adamprox.sweep.ray_cluster").OLDEST_RAY
    check = package(f"ray>={oldest}")
    if check.status == OK:
        return check
    return Check("ray", WARNING, f"{check.value} for --engine ray", "pip install -e '.[ray]'")


def devices() -> Check:
    """What JAX computes on; a warning where it leaves an NVIDIA GPU alone."""
    jax = importlib.import_module("jax")
    try:
        found = jax.devices()
    except RuntimeError as error:
        return Check("devices", FAILED, str(error).splitlines()[0], "export JAX_PLATFORMS=cpu")
    value = f"{len(found)} × {found[0].device_kind} ({found[0].platform})"
    if found[0].platform == "cpu" and pathlib.Path("/proc/driver/nvidia/gpus").exists():
        return Check("devices", WARNING, f"{value}; a GPU is idle", "pip install -U 'jax[cuda13]'")
    return Check("devices", OK, value)


def cores() -> Check:
    """Cores that this process may use; one worker runs on each."""
    usable = _cores()
    return Check("cores", OK, f"{usable} of {os.cpu_count()}; as many workers by default")


def memory() -> Check:
    """A GiB a worker."""
    available = _available_memory()
    if available is None:
        return Check("memory", OK, "unknown")
    fitting = max(1, available // _MEMORY_A_WORKER)
    value = f"{available / _GIB:.1f} GiB available"
    if fitting >= _cores():
        return Check("memory", OK, value)
    value += f", 1 GiB for each of {_cores()} workers is needed"
    return Check("memory", WARNING, value, f"python -m experiments all --workers {fitting}")


def data_set(name: str, data_dir: pathlib.Path | None = None) -> Check:
    """A data set, prepared and every image verified.

    One that is not prepared is a warning: smoke and demo need the digits alone.
    """
    data = importlib.import_module("adamprox.data")
    try:
        found = data.load(name, data_dir)
    except (data.MissingDataError, data.DamagedDataError) as error:
        missing = isinstance(error, data.MissingDataError)
        value, _, remedy = str(error).rpartition("; run: ")
        return Check(name, WARNING if missing else FAILED, value, remedy)
    value = f"{len(found.train):,} + {len(found.test):,} images, fingerprint {found.fingerprint}"
    return _published(Check(name, OK, value), data_dir)


def _published(check: Check, data_dir: pathlib.Path | None) -> Check:
    """``check``, or a warning where the data set is whole but not the published one."""
    layouts = importlib.import_module("adamprox.data.layout").LAYOUTS
    if check.name not in layouts:
        return check
    loading = importlib.import_module("adamprox.data.loading")
    prepared = importlib.import_module("adamprox.data.prepared")
    layout = layouts[check.name]
    notes = prepared.stored_provenance(loading.prepared_directory(layout, data_dir))["warnings"]
    if not notes:
        return check
    remedy = loading.prepare_command(layout, data_dir, "--force")
    return Check(check.name, WARNING, "; ".join([check.value, *notes]), remedy)


def out_directory(out: pathlib.Path) -> Check:
    """Whether records can be written there; nothing is left behind."""
    nearest = _nearest(out)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return Check("out", OK, f"{out} can be written to")
    except OSError as error:
        reason = f"{nearest}: {(error.strerror or str(error)).lower()}"
        return Check("out", FAILED, reason, "python -m experiments all --out DIR")


def disk(out: pathlib.Path) -> Check:
    """Room for records, checkpoints and figures."""
    free = shutil.disk_usage(_nearest(out)).free
    status = OK if free >= _DISK_LOW else WARNING if free >= _DISK_FULL else FAILED
    remedy = "" if status == OK else "python -m experiments all --out DIR-ON-ANOTHER-DISK"
    return Check("disk", status, f"{free / _GIB:.1f} GiB free", remedy)


def compilation_cache() -> Check:
    """Whether compiled programs outlive a process: else every worker compiles them anew."""
    directory = importlib.import_module("jax").config.jax_compilation_cache_dir
    remedy = "export JAX_COMPILATION_CACHE_DIR=~/.cache/adamprox/jax"
    if not directory:
        return Check("compilation cache", WARNING, "off: every worker compiles anew", remedy)
    if "://" in directory:
        return Check("compilation cache", OK, directory)
    path = pathlib.Path(directory).expanduser()
    if not os.access(_nearest(path), os.W_OK):
        return Check("compilation cache", WARNING, f"{path} cannot be written to", remedy)
    count = sum(entry.name.endswith("-cache") for entry in path.iterdir()) if path.is_dir() else 0
    return Check("compilation cache", OK, f"{path}, {count} programs")


def examine(out: pathlib.Path, data_dir: pathlib.Path | None = None) -> Iterator[Check]:
    """All checks in order; one that cannot be made has failed."""
    yield python()
    yield from packages()
    checks: dict[str, Callable[[], Check]] = {
        "ray": ray,
        "devices": devices,
        "cores": cores,
        "memory": memory,
        "digits": lambda: data_set("digits"),
        "cifar10": lambda: data_set("cifar10", data_dir),
        "cifar100": lambda: data_set("cifar100", data_dir),
        "out": lambda: out_directory(out),
        "disk": lambda: disk(out),
        "compilation cache": compilation_cache,
    }
    for name, check in checks.items():
        try:
            yield check()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            yield Check(name, FAILED, reason, _INSTALL)


def show(checks: Sequence[Check], console: Any = None) -> None:
    """Print a table, and below it the remedies, to be pasted; plain lines where rich is missing."""
    try:
        table = importlib.import_module("rich.table").Table("check", "status", "found")
        console = console or importlib.import_module("rich.console").Console(emoji=False)
        text = importlib.import_module("rich.text").Text
    except ImportError:
        print(*("\t".join(check) for check in checks), sep="\n")
        return
    for name, status, value, _ in checks:
        table.add_row(name, text(status, _COLORS[status]), text(value))
    console.print(table)
    for check in checks:
        if check.remedy:
            console.print(text(f"{check.name}: {check.remedy}"), soft_wrap=True)


def main(out: pathlib.Path | None = None, data_dir: pathlib.Path | None = None) -> int:
    """Examine, print, and return the exit code: 0 unless something failed."""
    checks = list(examine(out or pathlib.Path("runs"), data_dir))
    show(checks)
    return int(any(check.status == FAILED for check in checks))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _available_memory(meminfo: pathlib.Path = pathlib.Path("/proc/meminfo")) -> int | None:
    """Bytes, None where the system does not say."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _nearest(path: pathlib.Path) -> pathlib.Path:
    """``path``, or what exists of its parents."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # as `adamprox.command_line.begin`, without imports
        stream.reconfigure(errors="backslashreplace")  # pyright: ignore
    sys.exit(main(*map(pathlib.Path, sys.argv[1:2])))
