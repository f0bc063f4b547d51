"""Checks of a command's output directory before any work, and text for any terminal."""

import io
import os
import pathlib
import sys
import tempfile


def obstacle(directory: str | os.PathLike[str]) -> str | None:
    """Return the reason why no file can be created in ``directory``, or None if one can.

    The check creates a file without a name in the directory, or in the nearest existing directory
    above it. Permission bits are not enough: root passes them everywhere, even in /proc.

    Args:
      directory: Path of a directory, which need not exist. The check leaves it unchanged.

    Returns:
      Path and reason, such as ``/proc: no such file or directory``, or None.
    """
    place = directory
    try:
        os.lstat(directory)
    except (FileNotFoundError, NotADirectoryError):
        place = _nearest(pathlib.Path(os.path.realpath(directory)))
    except (OSError, ValueError) as error:  # the name is too long, or has a zero byte
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
    """Make this process print escapes for characters that its terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if the parent process closed it
            stream.reconfigure(errors="backslashreplace")


def one_line(text: object) -> str:
    """Return ``text`` with line ends and other unprintable characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
