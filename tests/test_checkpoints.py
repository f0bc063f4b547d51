"""Checkpoints: killed runs end as uninterrupted ones, damaged checkpoints are passed over."""

import gc
import json
import os
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

from adamprox.training.checkpoints import Checkpoints, digest
from tests.faults.checkpoints import HISTORY, STATE, save

# Readers inside Orbax that are not waited for when another fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    """Collect those readers here: later, their warning would be another test's."""
    yield
    gc.collect()


@pytest.mark.parametrize(
    "moments", [[(3, 0.1)], pytest.param([(2, 0.02), (2, 0.15)], marks=pytest.mark.slow)]
)
def test_a_run_killed_at_any_moment_ends_as_one_that_is_not(moments, tmp_path):
    """A moment is a number of epochs, and seconds after the last of them."""
    # One thread: two add in an order of their own.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    environment = {**os.environ, "XLA_FLAGS": flags}
    command = [sys.executable, "-W", "error", "-m", "tests.interrupted_training"]
    command += [tmp_path / "checkpoints", tmp_path / "records"]
    last = 0
    for count, delay in moments:
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout
            *_, last = (int(process.stdout.readline()) for _ in range(count))
            time.sleep(delay)
            process.kill()
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True, timeout=300)
    killed, whole = (tmp_path / "records").read_text().splitlines()
    assert killed == whole and json.loads(whole)["final_test_error"] < 0.9
    assert int(done.stdout.split()[0]) >= last  # where it went on


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


@pytest.mark.filterwarnings("error")
def test_an_epoch_is_saved_once(tmp_path):
    """An epoch that is due is saved; at a deadline right after it, with force, nothing is left to do."""
    checkpoints = Checkpoints(tmp_path / "c", "this cell", every=0)
    checkpoints.save(1, STATE, [])
    checkpoints.save(1, STATE, [], force=True)
    again = Checkpoints(tmp_path / "c", "this cell")
    assert again.restore(STATE) is not None
    again.save(1, STATE, [], force=True)


def test_no_more_than_two_are_kept(tmp_path):
    save(tmp_path / "c", (1, 2, 3, 4))
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["3", "4"]


def test_what_a_killed_save_left_is_gone_before_the_next_begins(tmp_path):
    save(tmp_path / "c")
    left = tmp_path / "c" / "3.orbax-checkpoint-tmp" / "state"
    left.mkdir(parents=True)
    checkpoints = Checkpoints(tmp_path / "c", "this cell", every=0)
    assert checkpoints.restore(STATE) is not None and not left.parent.exists()
    checkpoints.save(3, STATE, [])


def test_time_before_an_interruption_counts(tmp_path):
    first = Checkpoints(tmp_path / "c", "this cell", every=0)
    time.sleep(0.2)
    first.save(1, STATE, [])
    second = Checkpoints(tmp_path / "c", "this cell")
    second.restore(STATE)
    assert second.seconds >= 0.2


def interrupt_inside_an_import(*_, **__):
    """Raise the ImportError of an extension module whose import Ctrl-C interrupts."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        raise ImportError("initialization failed") from error


def test_an_interrupted_reader_does_not_take_the_checkpoint_for_damaged(tmp_path, monkeypatch):
    save(tmp_path / "c")
    checkpoints = Checkpoints(tmp_path / "c", "this cell")
    with monkeypatch.context() as patch:
        manager = checkpoints._manager()
        patch.setattr(manager, "restore", interrupt_inside_an_import)
        patch.setattr(checkpoints, "_manager", lambda: manager)
        with pytest.raises(ImportError):
            checkpoints.restore(STATE)
    assert checkpoints.restore(STATE) is not None


def test_an_interrupted_writer_does_not_go_on(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "c", "this cell", every=0)
    monkeypatch.setattr(checkpoints, "_manager", interrupt_inside_an_import)
    with pytest.raises(ImportError):
        checkpoints.save(1, STATE, [])


@pytest.mark.filterwarnings("ignore:.*skipped")
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


NOT_PLAIN = {
    "a named pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a sparse file": lambda path: (path.touch(), os.truncate(path, 2**40)),
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_a_checkpoint_with_what_is_no_file_is_passed_over_at_once(tmp_path, name):
    state = {"a": jnp.arange(6.0)}
    Checkpoints(tmp_path, "x", every=0).save(1, state, [])
    Checkpoints(tmp_path, "x", every=0).save(2, state, [])
    path = next((tmp_path / "2").rglob("manifest.ocdbt"))
    path.unlink()
    NOT_PLAIN[name](path)
    with pytest.warns(UserWarning, match="2 is damaged or belongs to another run"):
        assert Checkpoints(tmp_path, "x").restore(state) is not None
    assert not (tmp_path / "2").exists()
