"""Checkpoints of unfinished runs, to lose little work when a process is killed.

A checkpoint counts only if its content matches the stored digest. If it does not match, or cannot
be read, the previous checkpoint is used. Without any intact checkpoint the run starts again, and
gives the same result later.
"""

import hashlib
import importlib
import json
import logging
import os
import pathlib
import shutil
import stat
import tempfile
import time
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from adamprox.interruption import was_interrupted

_KEPT = 2
_CHUNK = 2**18  # bytes
_LARGEST_NOTE = 2**26  # bytes of everything except the state: histories and files of Orbax
_UNFINISHED = ".orbax-checkpoint-tmp"


class Checkpoints:
    """Checkpoints of one run, in a separate directory.

    Args:
      directory: Path of the directory; the first checkpoint creates it.
      identity: Identity of the run; checkpoints with another one are ignored.
      every: Minimum number of seconds between two checkpoints, which are saved at ends of epochs.
    """

    def __init__(self, directory: str | os.PathLike[str], identity: str, every: float = 60.0):
        """Set the directory without writing to it."""
        self.directory = pathlib.Path(directory).absolute()
        self.identity = identity
        self.every = every
        self._start = self._last = time.monotonic()
        self._before = 0.0
        self._saved = 0

    @property
    def seconds(self) -> float:
        """Duration of the run in seconds, including earlier parts up to their last checkpoint."""
        return self._before + time.monotonic() - self._start

    def save(self, number: int, state: Any, history: list, *, force: bool = False) -> None:
        """Save a checkpoint after epoch ``number`` if one is due, or with ``force``.

        A checkpoint is written as a whole or not at all. If saving fails, for example on a full
        disk, the method warns and training continues; the next checkpoint may succeed.
        """
        if number == self._saved or not (self._due() or force):
            return
        note = {
            "identity": self.identity,
            "digest": digest(state, history),
            "history": history,
            "seconds": self.seconds,
        }
        args = orbax().args
        items = args.Composite(state=args.StandardSave(state), note=args.JsonSave(note))
        try:
            self._try_room(sum(leaf.nbytes for leaf in jax.tree.leaves(state)))
            with self._manager() as manager:
                manager.save(number, args=items, force=True)
            self._saved = number
        except Exception as error:  # errors of Orbax and its storage have no common base
            if was_interrupted(error):
                raise
            path, reason = self.directory / str(number), " ".join(str(error).split())
            warnings.warn(f"{path} cannot be saved, training continues: {reason}", stacklevel=2)
            self._remove_unfinished()
        self._last = time.monotonic()

    def _try_room(self, size: int) -> None:
        """Raise OSError if ``size`` bytes cannot be written.

        Orbax would raise too, but each of its threads would first print the error.
        """
        if jax.process_index() == 0:
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory) as file:
                for _ in range(0, size + 1, _CHUNK):
                    file.write(bytes(_CHUNK))

    def _due(self) -> bool:
        due = time.monotonic() - self._last >= self.every
        # All processes of a run save together; one clock decides for all.
        return bool(multihost_utils.broadcast_one_to_all(due)) if jax.process_count() > 1 else due

    def restore(self, like: Any) -> tuple[Any, list] | None:
        """Return the newest intact state with its history, or None.

        Args:
          like: State of the same structure, shapes and dtypes.
        """
        if not self.directory.is_dir():
            return None
        self._remove_unfinished()
        with self._manager() as manager:
            for number in sorted(manager.all_steps(), reverse=True):
                path = self.directory / str(number)
                found = self._read(manager, number, like) if _is_plain(path, like) else None
                if found is not None:
                    self._saved = number
                    return found
                warnings.warn(f"{path} is damaged or belongs to another run: skipped", stacklevel=2)
                # Remove it to free its number for the next checkpoint.
                shutil.rmtree(path, ignore_errors=True)
        return None

    def _remove_unfinished(self) -> None:
        """Remove unfinished checkpoints of killed processes.

        Orbax would remove them in a thread, at the same time as the thread of the next manager, and
        the later of the two would fail.
        """
        if jax.process_index() == 0:
            for path in self.directory.glob(f"*{_UNFINISHED}*"):
                shutil.rmtree(path, ignore_errors=True)

    def _read(self, manager, number: int, like: Any):
        ocp = orbax()
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        args = ocp.args
        items = args.Composite(state=args.StandardRestore(shapes), note=args.JsonRestore())
        try:
            found = manager.restore(number, args=items)
            state, note = found.state, found.note
            ours = note["identity"] == self.identity and note["seconds"] >= 0
            genuine = ours and note["digest"] == digest(state, note["history"])
        except Exception as error:
            if was_interrupted(error):
                raise
            # A damaged file can make Orbax, its storage or its JSON reader raise any error.
            return None
        if not genuine:
            return None
        self._before = note["seconds"]
        return state, note["history"]

    def _manager(self):
        ocp = orbax()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEPT,
            enable_async_checkpointing=False,
            create=True,
        )
        return ocp.CheckpointManager(self.directory, options=options)


def _is_plain(path: pathlib.Path, like: Any) -> bool:
    """Return True for a directory of ordinary files of about the size of the state.

    Orbax would wait forever for a named pipe, and read a device to its end.
    """
    size = 0
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            found = os.lstat(os.path.join(folder, name))
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                return False
            size += found.st_size
    return size <= _LARGEST_NOTE + 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(like))


def digest(state: Any, history: Any = ()) -> str:
    """Return the SHA-256 of bytes, shapes and dtypes of all leaves, and of ``history``."""
    total = hashlib.sha256(json.dumps(history, sort_keys=True).encode())
    for leaf in jax.tree.leaves(jax.device_get(jax.tree.map(_numbers, state))):
        leaf = np.ascontiguousarray(leaf)
        total.update(f"{leaf.dtype}{leaf.shape}".encode())
        total.update(leaf.tobytes())
    return total.hexdigest()


def _numbers(leaf: Any) -> Any:
    """Return the integers of a typed random key, and any other leaf as it is."""
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def orbax() -> Any:
    """Return the module ``orbax.checkpoint``, which then logs no errors that we report ourselves."""
    # The import takes most of a second; runs too short for a checkpoint skip it.
    logging.getLogger("absl").addFilter(_is_news)
    return importlib.import_module("orbax.checkpoint")


def _is_news(record: logging.LogRecord) -> bool:
    """Return False for tracebacks that Orbax logs; our warning reports the error in one line."""
    return record.levelno < logging.ERROR or "orbax" not in record.pathname
