"""Locks that processes hold through a file."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import filelock


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], *, wait: bool) -> Iterator[bool]:
    """Hold a lock that no other process and no other thread holds, until the end of the context.

    The lock of a process that is killed ends with it. The lock file is removed at the end; a process
    that waits for it notices that the file is gone and makes a new one.

    Args:
      path: The lock file; its folder is made if it is not there.
      wait: Wait until the lock is free, or else yield False where it is taken.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder, locked(f"{folder}/lock", wait=False) as ours:
      ...     with locked(f"{folder}/lock", wait=False) as theirs:
      ...         print(ours, theirs)
      True False
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.touch(0o666, exist_ok=False)  # less the umask: others may share the directory
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        lock.release()
