"""How many cells of a sweep a device should train at once: ``python -m benchmarks.cells_at_once``.

Times an epoch of a few batches for every number of cells and every way to batch them, prints the
table, and remembers the best for the sweeps on this machine.
"""

import dataclasses
import sys

from rich.console import Console
from rich.table import Table

from adamprox.command_line import parse
from adamprox.training import TrainingCell
from adamprox.training.throughput import measure, remember


@dataclasses.dataclass
class Arguments:
    """Time training of many cells at once."""

    dataset: str = "digits"
    """A prepared data set."""
    network: str = "resnet"
    """resnet, densenet or mlp."""
    depth: int = 20
    """Of the network."""
    batch_size: int = 128
    """Examples a step."""
    batches: int = 3
    """Steps of the epoch that is timed."""
    batch_norm: bool = False
    """Whether it has BatchNorm."""
    compute_dtype: str = "float32"
    """float32 or bfloat16."""
    counts: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Numbers of cells."""


def main(arguments: Arguments) -> None:
    """Measure, print as it goes, remember."""
    cell = TrainingCell(
        dataset=arguments.dataset,
        network=arguments.network,
        depth=arguments.depth,
        batch_norm=arguments.batch_norm,
        compute_dtype=arguments.compute_dtype,
        batch_size=arguments.batch_size,
        train_size=arguments.batch_size * arguments.batches,
        augment=True,
    )
    console, rows = Console(), []
    table = Table("cells", "batching", "images/s", "compile s", "peak GB")
    for row in measure(cell.program, arguments.counts):
        rows.append(row)
        rate = arguments.batch_size * arguments.batches / row.seconds
        memory = "" if row.peak_bytes is None else f"{row.peak_bytes / 1e9:.2f}"
        cells = [f"{row.choice.cells}", row.choice.batching, f"{rate:.0f}"]
        table.add_row(*cells, f"{row.compile_seconds:.1f}", memory)
        console.print(*cells)
    console.print(table, f"remembered: {remember(cell.program, rows)}")


if __name__ == "__main__":
    main(parse(Arguments, sys.argv[1:], prog="python -m benchmarks.cells_at_once"))
