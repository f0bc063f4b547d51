"""Parts of the commands: a parser that refuses bad input in one line, and output for every terminal."""

import argparse
import difflib
import os
import pathlib
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from rich.console import Console

from adamprox.output import one_line, show_any_text


class Parser(argparse.ArgumentParser):
    """An ``argparse.ArgumentParser`` without abbreviations, whose errors are one line and exit code 2."""

    def __init__(self, **options: Any):
        """Take the options of ``argparse.ArgumentParser``."""
        super().__init__(allow_abbrev=False, **options)
        # A value such as -1e-3,0 is not an option; argparse sees that for plain numbers alone.
        self._negative_number_matcher = re.compile(r"-\.?\d")
        self._words: list[str] = []

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """Refuse what is unknown, and suggest an option that is spelled like it."""
        self._words = list(args or ())
        found, unknown = super().parse_known_args(args, namespace)
        options = [word for word in unknown if word.startswith("-")] or unknown
        if options:
            self.error(self._unrecognized(options))
        return found, unknown

    def _unrecognized(self, options: Sequence[str]) -> str:
        known = re.findall(r"--[\w-]+", self.format_help())
        near = difflib.get_close_matches(options[0], known, 1)
        return f"unrecognized: {', '.join(options)}" + (
            f"; did you mean {near[0]}?" if near else ""
        )

    def print_help(self, file: Any = None) -> None:
        """Print the help, also to a reader such as ``head`` that ends before the last line."""
        try:
            super().print_help(file)
            sys.stdout.flush()
        except BrokenPipeError:  # Python would report it again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def error(self, message: str) -> NoReturn:
        """Print one line and exit; a misspelled option counts before one that is missing."""
        options = [word.partition("=")[0] for word in self._words if word.startswith("--")]
        unknown = [option for option in options if option not in self._option_string_actions]
        if unknown and message.startswith("the following arguments are required"):
            message = self._unrecognized(unknown)
        text = message.removeprefix("argument ").replace(": must be", " must be", 1)
        text = text.replace(": expected one argument", " must have a value")
        self.exit(2, f"{self.prog}: {one_line(text)}\n")


def integer(text: str) -> int:
    """Return the value of an option that takes an integer."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None


def number(text: str) -> float:
    """Return one value of an option that takes numbers."""
    try:
        return float(text)
    except ValueError:
        hint = "; separate values by spaces" if "," in text else ""
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}{hint}") from None


def grid_point(text: str) -> tuple[float, float]:
    """Return α and λ of an option that takes grid points."""
    try:
        alpha, weight_decay = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be α,λ as in 1e-3,0, got {text!r}") from None
    return alpha, weight_decay


def duration(text: str) -> float:
    """Return the seconds of an option that takes a time, such as 90s, 12m or 3h."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smh])", text, re.ASCII)
    if not found:
        raise argparse.ArgumentTypeError(f"must be a number of s, m or h, as in 12m, got {text!r}")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def path(text: str) -> pathlib.Path:
    """Return the path that an option names, with ~ expanded; an empty one is refused."""
    if not text:
        raise argparse.ArgumentTypeError("must be a path, got ''")
    return pathlib.Path(os.path.expanduser(text))


def begin() -> None:
    """Have SIGTERM end this process as Ctrl-C does, and print plain text and warnings of one line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.formatwarning = _in_one_line
    show_any_text()


def _in_one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: Any = None
) -> str:
    """Return a warning without the line of code that raised it."""
    del filename, lineno, line
    return f"{category.__name__}: {one_line(message)}\n"


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints texts as they are: brackets and colons in a path are no markup."""
    return Console(stderr=stderr, markup=False, emoji=False)
