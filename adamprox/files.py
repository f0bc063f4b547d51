"""The one way in which files are written, and the one way in which untrusted files are read."""

import contextlib
import errno
import os
import pathlib
import secrets
import stat


class NotAFileError(ValueError):
    """Something that is no ordinary file, or a file that is too large, has the name of a file."""


def write_atomically(path: str | os.PathLike[str], contents: bytes | str) -> None:
    """Write a file as a whole or not at all, and its folder with it.

    The umask decides who may read the file. A symbolic link with this name is replaced, not
    followed, and nobody can foresee the name of the temporary file.

    Args:
      path: The file; one that exists is replaced.
      contents: Bytes, or text to be encoded as UTF-8. Bytes of a file name that are no text appear
        escaped.

    Raises:
      OSError: The file cannot be written; the old one is untouched.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     write_atomically(f"{folder}/new/notes.txt", "α = 1")
      ...     print(pathlib.Path(f"{folder}/new/notes.txt").read_text(encoding="utf-8"))
      α = 1
    """
    path = pathlib.Path(path)
    data = contents.encode("utf-8", "backslashreplace") if isinstance(contents, str) else contents
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        # O_EXCL follows no link. The kernel takes the umask off the mode.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return the bytes of an ordinary file.

    A named pipe, a device or a folder is refused without waiting for it.

    Args:
      path: The file, or a symbolic link to one.
      limit: Largest size, in bytes.

    Raises:
      NotAFileError: There is no ordinary file of at most ``limit`` bytes, but something else.
      OSError: There is nothing, or it cannot be read.

    Example:
      >>> read_file("/dev/null", limit=10)
      Traceback (most recent call last):
      adamprox.files.NotAFileError: /dev/null is not an ordinary file
    """
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise NotAFileError(f"{path} is a link to itself") from None
    if not stat.S_ISREG(found.st_mode):
        raise NotAFileError(f"{path} is not an ordinary file")
    # It may have been exchanged since: O_NONBLOCK waits for nobody, and no more than this is read.
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise NotAFileError(f"{path} has more than {limit:,} bytes")
    return data
