"""Command lines: parse arguments with tyro, and print what any terminal can show."""

import contextlib
import io
import os
import pathlib
import re
import signal
from collections.abc import Callable
from typing import Any

import tyro
from rich.console import Console

from adamprox.output import show_any_text

_HEADLINES = (
    "Value error",
    "Unrecognized options",
    "Required options",
    "Parsing error",
    "Missing argument",
    "Missing subcommand",
)
_ASIDES = r"\.? (?:Got errors|Argument helptext|For full helptext|Perhaps|Available)"

_NO_TYPE = (
    r"Error parsing (\S+): no type matching (?:\{None\}\|)?\{?(.*?)\}? could be instantiated "
    r"from \[(.*)\]"
)


class BadInput(ValueError):
    """The arguments of a command are wrong; the message is one line."""


def begin() -> None:
    """Make SIGTERM act as Ctrl-C, and escape characters that the terminal cannot show."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show_any_text()


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text literally, with brackets and colons not read as markup."""
    return Console(stderr=stderr, markup=False, emoji=False)


def directory(given: pathlib.Path | None, otherwise: str) -> pathlib.Path:
    """Return the directory that an option names, with ~ expanded as a shell would."""
    return pathlib.Path(os.path.expanduser(given or otherwise))


def parse(into: Any, arguments: list[str], prog: str) -> Any:
    """Return arguments as a dataclass, or as one of a union of dataclasses, one a subcommand.

    ``--help`` prints the help and ends the process.

    Raises:
      BadInput: The arguments are wrong.
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
    """Refuse empty values: an empty path would mean the current directory."""
    option = "the first argument"
    for argument in arguments:
        if argument.startswith("--"):
            option = argument.partition("=")[0]
        if argument in ("", f"{option}="):
            raise BadInput(f"{option} must not be empty, got ''")


def _first_sentence(box: str) -> str:
    """Return the sentence that says what is wrong, from the box that tyro prints."""
    lines = [line.strip(" │╭╮╰╯─") for line in box.splitlines()]
    text = " ".join(line for line in lines if line.strip("-") and line not in _HEADLINES)
    sentence = re.split(_ASIDES, text)[0]
    for pattern, rewrite in _REWRITES:
        if found := re.fullmatch(pattern, sentence):
            return rewrite(found) + _suggestion(text)
    return sentence


def _wrong_type(found: re.Match) -> str:
    separators = "; separate values by spaces" if "[" in found[2] and "," in found[3] else ""
    return f"{found[1]} must be {found[2]}, got {found[3]}{separators}"


def _unknown(found: re.Match) -> str:
    """Name the unknown options; a word after an option counts as its value."""
    words = found[1].split(", ")
    options = [word for word in words if word.startswith("-")] or words
    return f"unrecognized: {', '.join(options)}"


def _suggestion(text: str) -> str:
    if found := re.search(r"Perhaps you meant: (--\S+)", text):
        return f"; did you mean {found[1]}?"
    found = re.search(r"Available subcommands: (.*?) For full", text)
    return f"; there are {found[1]}" if found else ""


_REWRITES: tuple[tuple[str, Callable[[re.Match], str]], ...] = (
    (_NO_TYPE, _wrong_type),
    (r"Unrecognized options: (.*)", _unknown),
    (r"Expected one of \{(.*)\}", lambda m: f"a subcommand is missing: {m[1]}"),
    (r"Missing value for argument '(.*)'. .*", lambda m: f"{m[1]} must have a value"),
    (r"Missing from .*?: (\S+) (.*?)\.? \(required\)", lambda m: f"{m[1]} is missing: {m[2]}"),
)
