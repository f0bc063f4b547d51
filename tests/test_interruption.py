"""Exit codes of processes that were interrupted, or are on their way out."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from adamprox import interruption

INSIDE_EXEC = "try:\n    exec('raise KeyboardInterrupt')\nexcept KeyboardInterrupt:\n    pass"


def run(folder: pathlib.Path, *lines: str, **options) -> subprocess.CompletedProcess:
    """A module of these lines in a process of its own, started by its name as ours are.

    Beside it is a copy of `adamprox.interruption`: the package itself would load JAX first.
    """
    shutil.copy(interruption.__file__, folder)
    (folder / "module.py").write_text("\n".join(lines))
    command = [sys.executable, "-m", "module"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, **options
    )


LEAVE = "from interruption import exit_process; exit_process({})"


def test_an_exit_code_is_not_replaced_by_an_interruption_inside_exec(tmp_path):
    """As dataclasses call it while a module is imported; by sys.exit it is -2 on Python 3.11."""
    assert run(tmp_path, INSIDE_EXEC, LEAVE.format(130)).returncode == 130


def test_threads_and_handlers_of_libraries_are_not_waited_for(tmp_path):
    hanging = (
        "import atexit, threading, time",
        "threading.Thread(target=time.sleep, args=(60,)).start()",
        "atexit.register(time.sleep, 60)",
    )
    began = time.monotonic()
    assert run(tmp_path, *hanging, LEAVE.format(0), timeout=50).returncode == 0
    assert time.monotonic() - began < 50


def test_what_was_printed_is_written_and_a_full_disk_is_no_success(tmp_path):
    lines = ("print('a page')", LEAVE.format(0))
    with open(tmp_path / "written", "w+") as written:
        assert run(tmp_path, *lines, stdout=written).returncode == 0
    assert (tmp_path / "written").read_text() == "a page\n"
    if not pathlib.Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:
        assert run(tmp_path, *lines, stdout=full).returncode == 1


def test_closed_streams_do_not_matter(tmp_path):
    lines = ("import sys; sys.stdout = None", LEAVE.format(0))  # as ``>&-`` leaves it
    assert run(tmp_path, *lines).returncode == 0


def test_nothing_is_said_of_what_a_pool_has_left(tmp_path):
    pool = "from multiprocessing import get_context; kept = get_context('spawn').Semaphore()"
    assert run(tmp_path, pool, LEAVE.format(0)).stderr == ""
