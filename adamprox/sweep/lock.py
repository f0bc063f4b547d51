"""Locks that processes hold through a file."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import filelock


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], *, wait: float = 0.0) -> Iterator[bool]:
    """Hold a lock that no other process and no other thread holds, until the end of the context.

    The lock of a process that is killed ends with it. The lock file is removed at the end; a process
    that waits for it notices that the file is gone and makes a new one.

    Args:
      path: The lock file; its folder is made if it is not there.
      wait: Seconds to wait for a lock that is taken.

    Yields:
      True with the lock, False where it is taken and ``wait`` is 0.

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
        path.unlink()  # where a link leads is nobody's lock
    with contextlib.suppress(FileExistsError):
        path.touch(0o666, exist_ok=False)  # less the umask: others may share the directory
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
