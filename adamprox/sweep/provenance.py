"""Provenance of a result: versions, commit, machine and device."""

import datetime
import functools
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax

import adamprox

_PACKAGES = ("jax", "jaxlib", "optax", "flax", "chex", "numpy")
_ROOT = pathlib.Path(__file__).parents[2]


def provenance() -> dict[str, Any]:
    """Return versions, commit, machine, kind of device and the current time, as JSON types."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {**_fixed(), "finished": now}


@functools.cache
def _fixed() -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "adamprox": adamprox.__version__,  # works in a checkout without installation
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "device": jax.local_devices()[0].device_kind,
        "platform": platform.platform(terse=True),
        "python": platform.python_version(),
        **versions,
    }


def _commit() -> str:
    """Return the commit of this checkout, with '-dirty' if files differ, or '' outside of one."""
    git = ["git", "-C", str(_ROOT)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True
        )
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True
        )
    except OSError:
        return ""
    dirty = "-dirty" if status.stdout.strip() else ""
    return head.stdout.strip() + dirty if head.returncode == 0 else ""


def _cpu_model() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
