"""Run in a process of its own, to meet a fault: the real command, on two tiny runs.

Arguments: the directory of the run, and perhaps a key of `FAULTS` and the number of the file
operation at which it strikes. A checkpoint is saved after every epoch.
"""

import errno
import functools
import os
import platform
import signal
import socket
import sys
import time

from adamprox.interruption import exit_process
from adamprox.sweep.local import use_one_thread
from adamprox.training import run as training_run
from adamprox.training.checkpoints import Checkpoints
from tests.faults.operations import on_operation

COMMAND = ["fig06", "--preset", "smoke", "--epochs", "3", "--weight-decays", "0.003"]
_FREEING = ("os.remove", "os.rmdir", "shutil.rmtree")


def send(number: signal.Signals, event: str) -> None:
    os.kill(os.getpid(), number)


def fail(code: int, event: str) -> None:
    """As a file system that is full, which still deletes, or one that cannot be written."""
    if code == errno.EROFS or event not in _FREEING:
        raise OSError(code, os.strerror(code))


def step_clock(seconds: float, event: str) -> None:
    real = time.time
    time.time = lambda: real() + seconds


def rename_host(name: str, event: str) -> None:
    socket.gethostname = platform.node = lambda: name


FAULTS = {
    "kill": functools.partial(send, signal.SIGKILL),
    "terminate": functools.partial(send, signal.SIGTERM),
    "interrupt": functools.partial(send, signal.SIGINT),
    "disk_full": functools.partial(fail, errno.ENOSPC),
    "quota": functools.partial(fail, errno.EDQUOT),
    "read_only": functools.partial(fail, errno.EROFS),
    "clock_back": functools.partial(step_clock, -3e7),
    "clock_forward": functools.partial(step_clock, 3e7),
    "host": functools.partial(rename_host, "elsewhere"),
}
LASTING = ("disk_full", "quota", "read_only")
"""Those that are there from then on."""


def main(out: str, fault: str = "", at: str = "0") -> int:
    """Run; the exit code of the command."""
    use_one_thread()
    # A shell has processes in the background ignore Ctrl-C; a terminal has not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A minute apart by default, which is longer than the run.
    training_run.Checkpoints = functools.partial(Checkpoints, every=0)

    def act(number: int, event: str) -> None:
        if number == int(at) or (fault in LASTING and number > int(at)):
            FAULTS[fault](event)

    if fault:
        on_operation(out, act)
    from experiments.__main__ import main as command  # a signal in its imports is another case

    return command([*COMMAND, "--workers", "0", "--out", out])


if __name__ == "__main__":
    exit_process(main(*sys.argv[1:]))
