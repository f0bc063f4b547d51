"""Run in a process of its own: copies of it are killed before each file operation of one write.

Arguments: an empty directory, and ``record`` or ``checkpoint``. Every copy has a directory of its
own in it, named by the number of the operation before which it is killed; the last one survives.
"""

import os
import pathlib
import signal
import sys

from adamprox.sweep import Results
from tests.faults.operations import on_operation
from tests.squares import Square


def write_record(folder: pathlib.Path) -> None:
    Results(folder).write(Square(2.0), {"square": 4.0}, {})


def write_checkpoint(folder: pathlib.Path) -> None:
    # Imported by the copy: JAX must not have been started where it is forked.
    from tests.faults.checkpoints import save

    save(folder)


WRITES = {"record": write_record, "checkpoint": write_checkpoint}


def killed(folder: pathlib.Path, at: int, what: str) -> bool:
    """Return True if a copy of this process was killed at an operation, False if it ended first."""
    child = os.fork()
    if not child:
        on_operation(
            folder, lambda number, _: number == at and os.kill(os.getpid(), signal.SIGKILL)
        )
        WRITES[what](folder)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def main(folder: str, what: str) -> None:
    """Kill copies until one survives."""
    at = 1
    while killed(pathlib.Path(folder) / str(at), at, what):
        at += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
