"""Optax's own tests, unmodified, on each of our optimizers in the place of ``optax.adamw``."""

import subprocess
import sys

import pytest

from tests.test_optimizers import ADAM_BASED

# One in every run of the suite: the one that is not element-wise, of which the cases ask most.
QUICK = ("adamprox_l2",)
NAMES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in ADAM_BASED
]


@pytest.mark.parametrize("name", NAMES)
def test_passes_the_cases_of_adamw(name):
    command = [sys.executable, "-m", "tests.optax_suites", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) >= 40
