"""Checkpoints: killed runs end as uninterrupted ones, damaged checkpoints are passed over."""

import contextlib
import gc
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

from adamprox.training.checkpoints import Checkpoints, digest

# Readers inside Orbax that are not waited for when another fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    """Collect those readers here: later, their warning would be another test's."""
    yield
    gc.collect()


STATE = {"a": jnp.arange(6.0).reshape(2, 3), "b": (jnp.int32(7), jnp.ones(3, jnp.bfloat16))}
HISTORY = [{"epoch": 1, "train_loss": 0.1}, {"epoch": 2, "train_loss": float("nan")}]


@contextlib.contextmanager
def training(folder: pathlib.Path):
    """A process at work on the cell, which has finished an epoch or found its checkpoint."""
    # One thread: two add in an order of their own.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    command = [sys.executable, "-W", "error", "-m", "tests.interrupted_training"]
    with subprocess.Popen(
        [*command, folder / "checkpoints", folder / "record"],
        stdout=subprocess.PIPE,
        env={**os.environ, "XLA_FLAGS": flags},
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process


def finish(folder: pathlib.Path) -> str:
    with training(folder) as process:
        process.communicate(timeout=300)
        assert process.returncode == 0
    return (folder / "record").read_text()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> tuple[str, float]:
    """The record of a run that nobody kills, and how long it was at work."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with training(folder) as process:
        began = time.monotonic()
        process.communicate(timeout=300)
        seconds = time.monotonic() - began
    return (folder / "record").read_text(), seconds


def killed(folder: pathlib.Path, delays) -> str:
    """The record of a run that is killed once a delay after its first sign of progress."""
    for delay in delays:
        with training(folder) as process:
            time.sleep(delay)
            process.kill()
    return finish(folder)


def test_a_run_killed_at_any_moment_ends_as_one_that_is_not(uninterrupted, tmp_path):
    record, seconds = uninterrupted
    assert killed(tmp_path, [0.15 * seconds, 0.4 * seconds]) == record
    assert json.loads(record)["final_test_error"] < 0.9


@pytest.mark.slow
def test_twenty_kills_at_random_moments(uninterrupted, tmp_path):
    record, seconds = uninterrupted
    moments = random.Random(0)
    for trial in range(20):
        folder = tmp_path / str(trial)
        assert killed(folder, [moments.uniform(0, seconds)]) == record, trial


@pytest.mark.slow
def test_kills_while_saving(uninterrupted, tmp_path):
    """Between the first file of a checkpoint and its commit."""
    record, _ = uninterrupted
    moments = random.Random(1)
    for trial in range(10):
        folder = tmp_path / str(trial)
        wanted = moments.randint(2, 8)
        with training(folder) as process:
            while not any(folder.glob(f"checkpoints/{wanted}.orbax*")):
                assert process.poll() is None
            time.sleep(moments.uniform(0, 0.1))
            process.kill()
        assert finish(folder) == record, trial


def save(folder, numbers=(1, 2)):
    checkpoints = Checkpoints(folder, "this cell", every=0)
    for number in numbers:
        checkpoints.save(number, {**STATE, "a": STATE["a"] * number}, HISTORY[:number])
    return Checkpoints(folder, "this cell")


def test_the_newest_comes_back_bit_for_bit(tmp_path):
    found = save(tmp_path / "c").restore(STATE)
    assert found is not None
    assert digest(found[0]) == digest({**STATE, "a": STATE["a"] * 2})
    assert found[1][0] == HISTORY[0] and np.isnan(found[1][1]["train_loss"])
    assert found[0]["b"][1].dtype == jnp.bfloat16


def test_nothing_is_written_before_it_is_time(tmp_path):
    Checkpoints(tmp_path / "c", "this cell", every=3600).save(1, STATE, [])
    assert not (tmp_path / "c").exists()
    assert Checkpoints(tmp_path / "c", "this cell").restore(STATE) is None


def test_no_more_than_two_are_kept(tmp_path):
    save(tmp_path / "c", (1, 2, 3, 4))
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["3", "4"]


def test_time_before_an_interruption_counts(tmp_path):
    first = Checkpoints(tmp_path / "c", "this cell", every=0)
    time.sleep(0.2)
    first.save(1, STATE, [])
    second = Checkpoints(tmp_path / "c", "this cell")
    second.restore(STATE)
    assert second.seconds >= 0.2


@pytest.mark.filterwarnings("ignore:.*passed over")
@pytest.mark.parametrize(
    ("identity", "like"),
    [
        ("another cell", STATE),
        ("this cell", {**STATE, "c": jnp.ones(2)}),
        ("this cell", {**STATE, "a": jnp.ones((3, 3))}),
        ("this cell", {**STATE, "a": jnp.ones((2, 3), jnp.int32)}),
    ],
)
def test_another_runs_state_is_not_used(tmp_path, identity, like):
    save(tmp_path / "c")
    assert Checkpoints(tmp_path / "c", identity).restore(like) is None


DAMAGES = {
    "truncated": lambda b: b[: len(b) // 2],
    "zeroed": lambda b: bytes(len(b)),
    "flipped": lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 1]) + b[len(b) // 2 + 1 :],
    "deleted": None,
}


@pytest.mark.filterwarnings("ignore:.*passed over")
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damaged_file_is_noticed_or_did_not_matter(tmp_path, damage):
    """What comes back is the newest state unharmed, the one before it, or nothing."""
    save(tmp_path / "whole")
    good = {digest({**STATE, "a": STATE["a"] * n}, None): n for n in (1, 2)}
    files = [p for p in (tmp_path / "whole" / "2").rglob("*") if p.is_file()]
    assert len(files) > 8
    older = 0
    for path in files:
        shutil.rmtree(tmp_path / "hurt", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "hurt")
        target = tmp_path / "hurt" / path.relative_to(tmp_path / "whole")
        if DAMAGES[damage] is None:
            target.unlink()
        else:
            target.write_bytes(DAMAGES[damage](target.read_bytes()))
        found = Checkpoints(tmp_path / "hurt", "this cell").restore(STATE)
        assert found is not None, path
        number = good[digest(found[0], None)]
        assert [row["epoch"] for row in found[1]] == [1, 2][:number]
        older += number == 1
    assert older > 0
