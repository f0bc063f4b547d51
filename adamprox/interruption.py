"""Ctrl-C and SIGTERM, which Python raises wherever it happens to be; and time limits."""

import os
import signal
import sys
from typing import NoReturn


class OutOfTimeError(Exception):
    """A sweep ended at its time limit; what is unfinished goes on with the same command."""


def was_interrupted(error: BaseException | None) -> bool:
    """Whether a KeyboardInterrupt is an error, or led to it.

    Raised inside the import of an extension module, say, it comes out as an ImportError: caught as
    one, a checkpoint would be taken for damaged, or the run would go on.
    """
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def leave(code: int) -> NoReturn:
    """End this process with an exit code, now that all it had to do is done and on the disk.

    Not by `sys.exit`. After ``python -m`` CPython throws that code away and ends by the signal if a
    KeyboardInterrupt ever came inside ``exec`` of a string, where dataclasses are made, also if it
    was caught. And it takes down threads of libraries first: half a second in which a Ctrl-C turns
    success into failure.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if util := sys.modules.get("multiprocessing.util"):  # or its tracker tells of leaked semaphores
        util._run_finalizers(0)
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed by whoever started us
            stream.flush()
    except OSError:  # a closed pipe, a full disk
        code = code or 1
    os._exit(code)
