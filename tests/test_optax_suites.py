"""Optax's own tests, unmodified, on each of our optimizers in the place of ``optax.adamw``."""

import subprocess
import sys

import pytest

from tests.test_optimizers import ADAM_BASED


@pytest.mark.slow
@pytest.mark.parametrize("name", ADAM_BASED)
def test_passes_the_cases_of_adamw(name):
    command = [sys.executable, "-m", "tests.optax_suites", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) >= 40
