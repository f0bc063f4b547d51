"""The state of an unfinished run on disk, so that one that is killed loses little.

A checkpoint is believed only if its content has the digest that was stored with it. One that has
not, or cannot be read, is passed over for the one before it, and with none left the run starts
anew: slower, never wrong.
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
import numpy as np
from jax.experimental import multihost_utils

from adamprox.interruption import was_interrupted

_KEPT = 2
_CHUNK = 2**18  # bytes
_LARGEST_NOTE = 2**26  # bytes of all that is no state: histories and what Orbax adds
_UNFINISHED = ".orbax-checkpoint-tmp"


class Checkpoints:
    """The checkpoints of one run, in a directory of its own.

    Args:
      directory: Made when the first one is saved.
      identity: What must be the same for a checkpoint to be of this run.
      every: Seconds that pass between two of them, at least; saving is at ends of epochs.
    """

    def __init__(self, directory: str | os.PathLike[str], identity: str, every: float = 60.0):
        """Name the directory; nothing is written yet."""
        self.directory = pathlib.Path(directory).absolute()
        self.identity = identity
        self.every = every
        self._start = self._last = time.monotonic()
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """How long the run has taken, interrupted parts up to their last checkpoint included."""
        return self._before + time.monotonic() - self._start

    def save(self, number: int, state: Any, history: list, *, force: bool = False) -> None:
        """Save what there is after epoch ``number``, if it is time to, or ``force`` says so.

        It is there as a whole or not at all. Where it cannot be saved, on a full disk say, that is
        a warning: the run needs no checkpoint to end well, and the next one may succeed.
        """
        if not (self._due() or force):
            return
        note = {
            "identity": self.identity,
            "digest": digest(state, history),
            "history": history,
            "seconds": self.seconds,
        }
        args = _orbax().args
        items = args.Composite(state=args.StandardSave(state), note=args.JsonSave(note))
        try:
            self._try_room(sum(leaf.nbytes for leaf in jax.tree.leaves(state)))
            with self._manager() as manager:
                manager.save(number, args=items, force=True)
        except Exception as error:  # of Orbax and its storage: no common base
            if was_interrupted(error):
                raise
            path, reason = self.directory / str(number), " ".join(str(error).split())
            warnings.warn(f"{path} cannot be saved, training goes on: {reason}", stacklevel=2)
            self._remove_unfinished()
        self._last = time.monotonic()

    def _try_room(self, size: int) -> None:
        """Raise OSError where ``size`` bytes cannot be written.

        Orbax would, too, but not before each of its threads has printed what it met.
        """
        if jax.process_index() == 0:
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory) as file:
                for _ in range(0, size + 1, _CHUNK):
                    file.write(bytes(_CHUNK))

    def _due(self) -> bool:
        due = time.monotonic() - self._last >= self.every
        # All processes of a run save together, so one clock decides.
        return bool(multihost_utils.broadcast_one_to_all(due)) if jax.process_count() > 1 else due

    def restore(self, like: Any) -> tuple[Any, list] | None:
        """The newest state that can be believed, with its history; None when there is none.

        Args:
          like: A state of the same structure, shapes and types.
        """
        if not self.directory.is_dir():
            return None
        self._remove_unfinished()
        with self._manager() as manager:
            for number in sorted(manager.all_steps(), reverse=True):
                path = self.directory / str(number)
                found = self._read(manager, number, like) if _is_plain(path, like) else None
                if found is not None:
                    return found
                warnings.warn(f"{path} is damaged or of another run: passed over", stacklevel=2)
                # Removed, or the next checkpoint could not take its number.
                shutil.rmtree(path, ignore_errors=True)
        return None

    def _remove_unfinished(self) -> None:
        """Remove what a process that was killed while it saved has left.

        Orbax would do it in a thread, beside that of the next manager: whichever comes second fails.
        """
        if jax.process_index() == 0:
            for path in self.directory.glob(f"*{_UNFINISHED}*"):
                shutil.rmtree(path, ignore_errors=True)

    def _read(self, manager, number: int, like: Any):
        orbax = _orbax()
        shapes = jax.tree.map(orbax.utils.to_shape_dtype_struct, like)
        args = orbax.args
        items = args.Composite(state=args.StandardRestore(shapes), note=args.JsonRestore())
        try:
            found = manager.restore(number, args=items)
            state, note = found.state, found.note
            ours = note["identity"] == self.identity and note["seconds"] >= 0
            genuine = ours and note["digest"] == digest(state, note["history"])
        except Exception as error:
            if was_interrupted(error):
                raise
            # Whatever a damaged file makes Orbax, its storage or its JSON reader raise.
            return None
        if not genuine:
            return None
        self._before = note["seconds"]
        return state, note["history"]

    def _manager(self):
        orbax = _orbax()
        options = orbax.CheckpointManagerOptions(
            max_to_keep=_KEPT,
            enable_async_checkpointing=False,
            create=True,
        )
        return orbax.CheckpointManager(self.directory, options=options)


def _is_plain(path: pathlib.Path, like: Any) -> bool:
    """Return True for a folder of ordinary files that are about as large as the state they hold.

    Orbax would wait for a named pipe, and read a device to its end.
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
    """SHA-256 over the bytes, shapes and types of all leaves, and of ``history`` as JSON."""
    total = hashlib.sha256(json.dumps(history, sort_keys=True).encode())
    for leaf in jax.tree.leaves(jax.device_get(state)):
        leaf = np.ascontiguousarray(leaf)
        total.update(f"{leaf.dtype}{leaf.shape}".encode())
        total.update(leaf.tobytes())
    return total.hexdigest()


def _orbax():
    # Most of a second to import, which a run too short for a checkpoint need not spend.
    logging.getLogger("absl").addFilter(_is_news)
    return importlib.import_module("orbax.checkpoint")


def _is_news(record: logging.LogRecord) -> bool:
    """Not the tracebacks that Orbax logs of what it raises; a warning names them in one line."""
    return record.levelno < logging.ERROR or "orbax" not in record.pathname
