"""Run in a process of its own: a sweep of slow cells that exits with 130 on Ctrl-C."""

import sys

from rich.console import Console

from adamprox.sweep import Results, run_cells
from tests.test_sweep import Square

if __name__ == "__main__":
    cells = [Square(float(n), 0.2) for n in range(30)]
    try:
        run_cells(cells, Results(sys.argv[1]), workers=2, console=Console(quiet=True))
    except KeyboardInterrupt:
        sys.exit(130)
