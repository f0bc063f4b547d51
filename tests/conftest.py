"""Settings of the whole suite."""

import os
import subprocess
import sys

import hypothesis
import jax
import pytest

# Worker processes of the sweeps inherit this, so a network is compiled once for the whole suite.
_CACHE = os.path.join(os.path.dirname(__file__), "..", ".pytest_cache", "jax")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.abspath(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Half of the suite's time is compilation, and its arrays are small. An older code generator of XLA compiles
# in two thirds of the time, and LLVM without optimization saves 10 to 25 % of the time of a test file; XLA
# still fuses and simplifies as for users. `make test-wheel` and `make test-slow` compile as for users.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# JAX, imported above, has read this already, unless a parent process had set it.
_FASTER = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] != "0"
jax.config.update("jax_disable_most_optimizations", _FASTER)

SLOWEST_FILES = (
    "test_experiments",
    "test_groups",
    "test_optimizers",
    "test_scale_free",
    "test_models_reference",
    "test_transforms",
    "test_prox_scalar",
    "test_convolution",
    "test_commands",
    "test_sweep",
    "test_documentation",
    "test_checkpoints",
    "test_reproduction",
    "test_many_devices",
    "test_how_to",
)
"""Test files of about 15 seconds of processor time or more, longest first."""

hypothesis.settings.register_profile("suite", deadline=None, max_examples=15, derandomize=True)
hypothesis.settings.load_profile("suite")


def pytest_collection_modifyitems(items):
    """Start with the slowest files, so that no worker waits for the other at the end."""
    rank = {name: number for number, name in enumerate(SLOWEST_FILES)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture
def x64():
    """Double precision for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def run_with_devices():
    """Run a script in a process of its own that sees the given number of CPU devices."""

    def run(count, script, *arguments):
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
        command = [sys.executable, "-W", "error", script, *arguments]
        subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags}, check=True, timeout=300)

    return run
