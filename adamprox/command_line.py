"""Command lines that tyro parses and whose errors are one line."""

import contextlib
import io
import re
from typing import Any

import tyro

_HEADLINES = ("Value error", "Unrecognized options", "Required options", "Parsing error")
_ASIDES = r"\.? (?:Got errors|Argument helptext|For full helptext|Perhaps)"


class BadInput(ValueError):
    """Arguments that cannot be understood; one line."""


def parse(into: Any, arguments: list[str], prog: str) -> Any:
    """Arguments as a dataclass, or as one of a union of them: subcommands; ``--help`` is printed and ends the process.

    Raises:
      BadInput: They cannot be understood.
    """
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(into, args=arguments, prog=prog)
    except SystemExit as stop:
        if stop.code in (0, None):  # --help
            raise
    raise BadInput(_first_sentence(box.getvalue()))


def _first_sentence(box: str) -> str:
    """What is wrong, out of the box of several lines in which tyro explains it."""
    lines = [line.strip(" │╭╮╰╯─") for line in box.splitlines()]
    text = " ".join(line for line in lines if line and line not in _HEADLINES)
    return re.split(_ASIDES, text)[0]
