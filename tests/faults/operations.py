"""File operations of a process, counted by Python's audit events, and a fault at one of them.

Tensorstore writes arrays without Python, so that kills at random moments are needed beside these.
"""

import os
import sys
from collections.abc import Callable

_EVENTS = {
    "open",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "shutil.rmtree",
    "tempfile.mkstemp",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def on_operation(directory: str | os.PathLike[str], act: Callable[[int, str], None]) -> None:
    """Call ``act`` with number and event before every operation that changes ``directory``.

    What it raises, the operation raises. An audit hook cannot be taken back: for a process of its
    own.
    """
    below = os.path.realpath(directory)
    number = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal number
        if event not in _EVENTS or (event == "open" and not arguments[2] & _WRITING):
            return
        if any(_is_below(argument, below) for argument in arguments[:2]):
            number += 1
            act(number, event)

    sys.addaudithook(hook)


def _is_below(argument: object, directory: str) -> bool:
    return isinstance(argument, str | os.PathLike) and os.fspath(argument).startswith(directory)
