"""Interruption by Ctrl-C, by SIGTERM and by a time limit."""

import os
import signal
import sys
from typing import NoReturn


class OutOfTimeError(Exception):
    """A sweep reached its time limit; the same command continues the unfinished runs."""


def was_interrupted(error: BaseException | None) -> bool:
    """Return True if an error is a KeyboardInterrupt, or was caused by one.

    A KeyboardInterrupt during the import of an extension module, for example, appears as an
    ImportError. A handler of ImportError would then call a checkpoint damaged, or continue the run.
    """
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def exit_process(code: int) -> NoReturn:
    """End this process with an exit code, after all its results are on disk.

    `sys.exit` has two problems. After ``python -m``, CPython drops the code and ends by the signal
    if a KeyboardInterrupt was ever raised inside ``exec`` of a string, even if it was caught;
    dataclasses use ``exec``. CPython also stops threads of libraries first. That takes half a
    second, and a Ctrl-C during it turns success into failure.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if util := sys.modules.get("multiprocessing.util"):  # else it warns of leaked semaphores
        util._run_finalizers(0)
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None if the parent closed it
            stream.flush()
    except OSError:  # a closed pipe, a full disk
        code = code or 1
    os._exit(code)
