"""Run in a process of its own: a sweep of slow cells that exits with 130 on Ctrl-C.

Arguments: the directory of the records, and perhaps the engine.
"""

import sys

from rich.console import Console

from adamprox.sweep import Results, run_sweep
from tests.squares import Square

if __name__ == "__main__":
    cells = [Square(float(n), 0.2) for n in range(30)]
    try:
        engine = (sys.argv[2:] or ["local"])[0]
        results, console = Results(sys.argv[1]), Console(quiet=True)
        run_sweep(cells, results, workers=2, engine=engine, console=console)
    except KeyboardInterrupt:
        sys.exit(130)
