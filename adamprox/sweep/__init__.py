"""Sweeps: execute many runs once each, across interruptions and crashes."""

from adamprox.interruption import OutOfTimeError as OutOfTimeError
from adamprox.sweep.cells import Cell as Cell
from adamprox.sweep.cells import PlainRun as PlainRun
from adamprox.sweep.cells import cell_key as cell_key
from adamprox.sweep.cells import check_data as check_data
from adamprox.sweep.crew import LostCellsError as LostCellsError
from adamprox.sweep.record import Record as Record
from adamprox.sweep.results import Results as Results
from adamprox.sweep.run import ENGINES as ENGINES
from adamprox.sweep.run import run_cells as run_cells
