"""Monitoring of runs: a callback for each epoch, TensorBoard scalars, and the final parameters.

A context of `outputs` holds for this process and for the worker processes that it starts.
"""

import contextlib
import importlib
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from adamprox.interruption import was_interrupted
from adamprox.output import check_writable
from adamprox.sweep.record import Record
from adamprox.training.checkpoints import orbax
from adamprox.training.loop import EpochResult

Callback = Callable[[int, Mapping[str, float]], None]
"""Function (step, metrics), called after every epoch.

``step`` is the number of steps taken. ``metrics`` has the losses and errors of `EpochResult` that the epoch has.
"""
METRICS = tuple(name for name in EpochResult._fields if name.endswith(("_loss", "_error")))
"""Names of the losses and errors of an epoch."""
_LOG_DIR, _PARAMETERS = "ADAMPROX_LOG_DIR", "ADAMPROX_PARAMETERS"
_INSTALL = "run: pip install tensorboardX"


class Writer(Protocol):
    """Part of tensorboardX's ``SummaryWriter`` that is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Write one value."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


@contextlib.contextmanager
def outputs(
    log_dir: str | os.PathLike[str] | None = None,
    parameters: str | os.PathLike[str] | None = None,
) -> Iterator[None]:
    """Write TensorBoard scalars and final parameters of all runs in the context.

    Args:
      log_dir: Directory of the scalars; each run has its own folder. None for no scalars.
      parameters: Directory of the parameters, ``<parameters>/<key>``; None to drop them.

    Raises:
      ValueError: A directory cannot be written to, or tensorboardX is needed and not installed.
    """
    for name, path in (("log-dir", log_dir), ("parameters", parameters)):
        if path is not None:
            check_writable(pathlib.Path(path), [pathlib.Path(path)], [], name)
    if log_dir is not None:
        _summary_writer()
    given = {_LOG_DIR: log_dir, _PARAMETERS: parameters}
    before = dict(os.environ)
    os.environ.update({name: os.path.abspath(path) for name, path in given.items() if path})
    try:
        yield
    finally:
        for name in given:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def without_parameters(records: Iterable[Record], parameters: pathlib.Path) -> int:
    """Return the number of training runs with a record and without parameters in a directory."""
    return sum(
        record.kind == "training" and not (parameters / record.key).is_dir() for record in records
    )


class Monitor:
    """Monitor of one run.

    Args:
      key: Key of the run.
      name: Description of the run, for the name of its folder of scalars.
      steps: Number of steps an epoch.
      callback: Function (step, metrics), or None.
    """

    def __init__(self, key: str, name: str, steps: int, callback: Callback | None = None):
        """Open the folder of the scalars, if the context has one."""
        self.key, self.steps, self.callback, self.seen = key, steps, callback, 0
        self.writer: Writer | None = None
        if folder := os.environ.get(_LOG_DIR):
            place = re.sub(r"[^\w.,=-]+", "_", name)
            self.writer = _summary_writer()(os.path.join(folder, f"{place}_{key[:8]}"))

    def note(self, history: list[EpochResult]) -> None:
        """Report the epochs that are new in ``history``."""
        for result in history[self.seen :]:
            step, found = result.diverged_step or result.epoch * self.steps, metrics(result)
            if self.writer is not None:
                for name, value in found.items():
                    self.writer.add_scalar(name, value, step)
            if self.callback is not None:
                self.callback(step, found)
        self.seen = len(history)

    def close(self) -> None:
        """Close the file of the scalars."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def keep(self, variables: Any) -> None:
        """Save the final Flax collections with Orbax, if the context asks for it.

        If saving fails, for example on a full disk, the method warns, and the record is still written.
        """
        if not (folder := os.environ.get(_PARAMETERS)):
            return
        path = pathlib.Path(folder, self.key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with orbax().StandardCheckpointer() as checkpointer:
                checkpointer.save(path, variables, force=True)
        except Exception as error:  # errors of Orbax and its storage have no common base
            if was_interrupted(error):
                raise
            warnings.warn(f"{path} cannot be saved: {' '.join(str(error).split())}", stacklevel=2)


def metrics(result: EpochResult) -> dict[str, float]:
    """Return the losses and errors that an epoch has, by name."""
    found = {name: getattr(result, name) for name in METRICS}
    return {name: value for name, value in found.items() if value is not None}


def _summary_writer() -> Callable[[str], Writer]:
    try:
        return importlib.import_module("tensorboardX").SummaryWriter
    except ImportError:
        raise ValueError(
            f"log-dir needs tensorboardX, which is not installed; {_INSTALL}"
        ) from None
