"""Locks that processes hold through a file."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import filelock

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], *, wait: float = 0.0) -> Iterator[bool]:
    """Hold an exclusive lock among all processes and threads until the end of the context.

    The lock of a killed process ends with the process. The lock file is removed at the end; a
    process that waits for it notices the removal and creates a new file.

    Args:
      path: Path of the lock file; its folder is created if necessary.
      wait: Number of seconds to wait for a lock that is taken.

    Yields:
      True with the lock, False if it is taken and ``wait`` is 0.

    Raises:
      TimeoutError: The lock was not free in time.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder, locked(f"{folder}/lock") as ours:
      ...     with locked(f"{folder}/lock") as theirs:
      ...         print(ours, theirs)
      True False
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()  # never lock the target of a link
    with contextlib.suppress(FileExistsError):
        path.touch(0o666, exist_ok=False)  # the umask applies: other users may share the directory
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=wait)
    except filelock.Timeout:
        if wait:
            raise TimeoutError(f"another process has held {path} for {wait:g} s") from None
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Return True if a process holds the lock; the function writes nothing.

    A killed process leaves its file, and not its lock. Without `fcntl` every file counts as a lock.
    """
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return fcntl is None
    except OSError:
        return True
    finally:
        os.close(file)
