"""Cells that cost nothing, for what sweeps do with cells."""

import dataclasses
import os
import pathlib
import signal
import time
from typing import Any, ClassVar

from rich.console import Console

from adamprox.sweep import OutOfTimeError, PlainRun

QUIET = Console(quiet=True)


@dataclasses.dataclass(frozen=True)
class Square(PlainRun):
    """A cell that costs nothing, or ``seconds``."""

    kind: ClassVar[str] = "square"
    number: float
    seconds: float = 0.0

    @property
    def program(self):
        return int(self.number) % 2

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        time.sleep(self.seconds)
        return {"square": self.number**2, "list": [None, 1.5], "process": os.getpid()}


@dataclasses.dataclass(frozen=True)
class Meeting(Square):
    """A run that ends when two processes have begun such a run in one folder."""

    kind: ClassVar[str] = "meeting"
    folder: str = ""

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        pathlib.Path(self.folder, str(os.getpid())).touch()
        until = time.monotonic() + 120
        while len(os.listdir(self.folder)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        return super().run(scratch)


@dataclasses.dataclass(frozen=True)
class Fatal(Square):
    """A cell that kills the process that runs it, ``deaths`` times."""

    kind: ClassVar[str] = "fatal"
    deaths: int = 0

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        assert scratch is not None
        scratch.mkdir(parents=True, exist_ok=True)
        tries = len(list(scratch.iterdir()))
        (scratch / str(tries)).touch()
        if tries < self.deaths:
            self.kill()
        return super().run(scratch)

    @staticmethod
    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclasses.dataclass(frozen=True)
class Pair(Square):
    """Squares that a device takes by twos, if both are even or both odd."""

    optimizer: ClassVar[str] = "none"
    seed: ClassVar[int] = 0

    def at_once(self, folder) -> int:
        return 2

    def fits(self, other) -> bool:
        return self.program == other.program

    @classmethod
    def from_columns(cls, columns):
        return cls(**columns)

    @staticmethod
    def run_together(cells, scratch, deadline):
        for cell in cells:
            yield cell, {"square": cell.number**2, "beside": len(cells)}


@dataclasses.dataclass(frozen=True)
class Long(Pair):
    """A run that would not be done in time, unless its number is 1; it stores its state."""

    kind: ClassVar[str] = "long"

    @staticmethod
    def run_together(cells, scratch, deadline):
        (cell,) = cells
        if deadline is None or cell.number == 1:
            time.sleep(1)
            yield cell, {"square": cell.number**2}
            return
        scratch.mkdir(parents=True)
        (scratch / "state").write_text(f"{deadline - time.monotonic()}")
        raise OutOfTimeError


def table(records):
    """Return the columns of records that do not depend on where and when a run was executed."""
    return [
        {k: v for k, v in r.items() if k not in ("process", "provenance", "seconds")}
        for r in records
    ]
