"""Checks of a command's output directory before any work, and text for any terminal."""

import io
import os
import pathlib
import stat
import sys
import tempfile
from collections.abc import Iterable


def reason_not_writable(directory: str | os.PathLike[str]) -> str | None:
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


def check_directory(out: pathlib.Path, name: str = "out") -> None:
    """Refuse an ``out`` that is no directory and cannot become one.

    Args:
      out: Path of a directory, which need not exist.
      name: Name of the option that has this path.

    Raises:
      ValueError: Something else is there.
    """
    try:
        mode = os.stat(os.path.realpath(out)).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:  # too long a name; one with a zero byte in it
        raise ValueError(f"{name} must be a directory, got {out} ({_reason(error)})") from None
    if not stat.S_ISDIR(mode):
        raise ValueError(f"{name} must be a directory, got {out}")


def check_writable(
    out: pathlib.Path,
    folders: Iterable[pathlib.Path],
    files: Iterable[pathlib.Path],
    name: str = "out",
) -> None:
    """Refuse an ``out`` in which its folders or files cannot be written; nothing is left there.

    Args:
      out: Path of a directory, which need not exist.
      folders: Folders in which files will be created.
      files: Files that will be written.
      name: Name of the option that has this path.

    Raises:
      ValueError: The message names the folder or file, and the reason.
    """
    reasons = [reason for folder in folders if (reason := reason_not_writable(folder))]
    reasons += [
        f"{file}: is a directory" for file in files if file.is_dir() and not file.is_symlink()
    ]
    if reasons:
        raise ValueError(
            f"{name} must be a directory that can be written to, got {out} ({reasons[0]})"
        )


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
