"""Runs of a sweep without a record, and the error that names them at the end."""

import logging

from adamprox.output import one_line
from adamprox.sweep.results import Results
from adamprox.sweep.runs import Run, describe

_SHOWN = 10
"""Number of failed runs that the error names."""
_log = logging.getLogger(__name__)


def out_of_memory(error: BaseException) -> bool:
    """Return True for XLA's errors when a device is out of memory."""
    return "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()


class LostRunsError(ChildProcessError):
    """Runs have no record: they raised, or their workers died. All others are done."""


class Failures:
    """Runs of a sweep that raised an exception."""

    def __init__(self, results: Results):
        """Start without failures, in a sweep into ``results``."""
        self._results = results
        self._texts: list[str] = []

    def add(self, run: Run, error: Exception) -> None:
        """Note a failed run, and report it; the first one with its traceback."""
        text = f"{describe(run)}: {type(error).__name__}: {one_line(error)}"
        _log.warning("failed: %s", text, exc_info=None if self._texts else error)
        self._texts.append(text)
        self._results.fail(run, text)

    def end(self, other: str = "") -> None:
        """Raise LostRunsError if a run failed, or if there is an ``other`` message."""
        count = len(self._texts)
        names = "; ".join([*self._texts[:_SHOWN], *["…"][: count - _SHOWN]])
        failed = f"{count} runs raised an exception and have no record: {names}" if count else ""
        if messages := [message for message in (other, failed) if message]:
            raise LostRunsError("; ".join(messages))
