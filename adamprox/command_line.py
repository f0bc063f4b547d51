"""Command lines that tyro parses and whose errors are one line."""

import contextlib
import io
import re
from typing import Any

import tyro

_HEADLINES = ("Value error", "Unrecognized options", "Required options", "Parsing error")
_ASIDES = r"\.? (?:Got errors|Argument helptext|For full helptext|Perhaps)"

_NO_TYPE = (
    r"Error parsing (\S+): no type matching (?:\{None\}\|)?\{?(.*?)\}? could be instantiated "
    r"from \[(.*)\]"
)


class BadInput(ValueError):
    """Arguments that cannot be understood; one line."""


def parse(into: Any, arguments: list[str], prog: str) -> Any:
    """Arguments as a dataclass, or as one of a union of them: subcommands; ``--help`` is printed and ends the process.

    Raises:
      BadInput: They cannot be understood.
    """
    _refuse_empty(arguments)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(into, args=arguments, prog=prog)
    except SystemExit as stop:
        if stop.code in (0, None):  # --help
            raise
    raise BadInput(_first_sentence(box.getvalue()))


def _refuse_empty(arguments: list[str]) -> None:
    """No value may be empty: an empty path would be the current directory."""
    option = "the first argument"
    for argument in arguments:
        if argument.startswith("--"):
            option = argument.partition("=")[0]
        if argument in ("", f"{option}="):
            raise BadInput(f"{option} must not be empty, got ''")


def _first_sentence(box: str) -> str:
    """What is wrong, out of the box of several lines in which tyro explains it."""
    lines = [line.strip(" │╭╮╰╯─") for line in box.splitlines()]
    text = " ".join(line for line in lines if line.strip("-") and line not in _HEADLINES)
    sentence = re.split(_ASIDES, text)[0]
    return re.sub(
        _NO_TYPE, lambda found: f"{found[1]} must be {found[2]}, got {found[3]}", sentence
    )
