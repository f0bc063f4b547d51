"""Where a command's output goes: whether it can go there is found out before any work."""

import io
import os
import pathlib
import sys
import tempfile


def obstacle(directory: str | os.PathLike[str]) -> str | None:
    """Why no file can be made in ``directory``, which need not exist; None where one can.

    Permissions do not tell: root has all of them, in /proc too. So a file is made, without a name,
    in the directory or in the nearest one above it.

    Args:
      directory: Nothing in it, nor it itself, is changed.

    Returns:
      What is in the way, and why, as in ``/proc: no such file or directory``.
    """
    place = directory
    try:
        os.lstat(directory)
    except (FileNotFoundError, NotADirectoryError):
        place = _nearest(pathlib.Path(os.path.realpath(directory)))
    except (OSError, ValueError) as error:  # too long a name; one with a zero byte in it
        return f"{place}: {_reason(error)}"
    if not os.path.isdir(place):
        return f"{place}: not a directory"
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return f"{place}: {_reason(error)}"


def _nearest(path: pathlib.Path) -> pathlib.Path:
    return next(parent for parent in path.parents if os.path.lexists(parent))


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def show_any_text() -> None:
    """Have this process print escapes in place of characters that its terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # and not closed by whoever started the process
            stream.reconfigure(errors="backslashreplace")


def one_line(text: object) -> str:
    """``text`` with ends of lines, and whatever else a terminal would not print, escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
