"""Sweeps: execute many runs once each, across interruptions and crashes."""

from adamprox.interruption import OutOfTimeError as OutOfTimeError
from adamprox.sweep.failures import LostRunsError as LostRunsError
from adamprox.sweep.record import Record as Record
from adamprox.sweep.results import Results as Results
from adamprox.sweep.run import ENGINES as ENGINES
from adamprox.sweep.run import run_sweep as run_sweep
from adamprox.sweep.runs import PlainRun as PlainRun
from adamprox.sweep.runs import Run as Run
from adamprox.sweep.runs import run_key as run_key
