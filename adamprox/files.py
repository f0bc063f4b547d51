"""Write files atomically, and read untrusted files safely."""

import contextlib
import errno
import os
import pathlib
import secrets
import stat


class NotAFileError(ValueError):
    """The path is not an ordinary file, or the file is too large."""


def write_atomically(path: str | os.PathLike[str], contents: bytes | str) -> None:
    """Write a file as a whole or not at all; create its folder if necessary.

    The umask decides who may read the file. A symbolic link at this path is replaced, not followed.
    The name of the temporary file is random.

    Args:
      path: Path of the file; an existing file is replaced.
      contents: Bytes, or text to encode as UTF-8. Characters that UTF-8 cannot encode, such as
        undecoded bytes of a file name, are escaped.

    Raises:
      OSError: The file cannot be written; an old file is unchanged.

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
        # O_EXCL follows no link. The kernel applies the umask to the mode.
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

    The function refuses a named pipe, a device or a folder without waiting for it.

    Args:
      path: Path of a file, or of a symbolic link to one.
      limit: Largest size, in bytes.

    Raises:
      NotAFileError: The path is not an ordinary file, or the file has more than ``limit`` bytes.
      OSError: The path does not exist, or cannot be read.

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
    # The file may have been replaced since the check: O_NONBLOCK never waits, and the size is
    # bounded.
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise NotAFileError(f"{path} has more than {limit:,} bytes")
    return data
