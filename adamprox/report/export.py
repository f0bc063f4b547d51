"""Tables of all training runs in a directory, and of all their epochs, for other programs."""

import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from adamprox.histograms import LOWEST_LOG2, NUM_BINS, log2_spread
from adamprox.output import check_writable
from adamprox.report.tables import write_records
from adamprox.sweep import Results
from adamprox.sweep.record import Record
from adamprox.training import TrainingRun
from adamprox.training.monitoring import METRICS
from adamprox.training.rotation import PERCENTILES
from adamprox.training.run import OUTCOME

_ORIGIN = (
    "finished", "commit", "device", "cpu", "cores", "platform", "python", "adamprox", "jax",
    "jaxlib", "optax", "flax", "chex", "numpy", "runs_at_once",
)  # fmt: skip
_ANGLES = [f"angular_update_{p}" for p in PERCENTILES]
_BINS = [f"updates_{-LOWEST_LOG2 - k}" for k in range(NUM_BINS)]


def export(out: str | os.PathLike[str], to: str | os.PathLike[str]) -> list[pathlib.Path]:
    """Write ``runs`` and ``epochs``, each as Parquet and as CSV, from the records of a run directory.

    Both tables have one value per column and row. ``key`` of ``epochs`` refers to ``key`` of ``runs``.
    results/README.md describes the columns. Records without a network (Fig. 1, Theorem 3, §3) are left out.

    Args:
      out: Run directory.
      to: Directory of the tables; created if missing.

    Returns:
      The paths of the four files.

    Raises:
      ValueError: There are no records of training runs, or ``to`` is not writable.

    Warns:
      UserWarning: A record is damaged, or of another version of the package, and is left out.
    """
    out, to, damaged = pathlib.Path(out), pathlib.Path(to), []
    found = Results(out / "records").each(TrainingRun.kind, damaged)
    intact = list(found)
    records = [record for record in intact if TrainingRun.described(record)]
    for path in damaged:
        warnings.warn(f"{path} is damaged or belongs to another run: left out", stacklevel=2)
    if others := len(intact) - len(records):
        warnings.warn(f"{others} records are of another version: left out", stacklevel=2)
    if not records:
        raise ValueError(f"out must hold records of training runs, got {out}")
    files = [to / f"{name}.{kind}" for name in ("runs", "epochs") for kind in ("parquet", "csv")]
    check_writable(to, [to], files, "to")
    write_records(to, "runs", [_run(record) for record in records])
    write_records(to, "epochs", [row for record in records for row in _epochs(record)])
    return files


def _run(record: Record) -> Record:
    """Return key, options, outcome and origin of a run; an option of later versions has its default."""
    options = {name: record.get(name, value) for name, value in TrainingRun.defaults().items()}
    return Record(
        {
            "key": record.key,
            **options,
            "data_fingerprint": record["data_fingerprint"],
            "epochs_trained": len(record.epochs),
            **{name: record.get(name) for name in OUTCOME},
            **{name: record.origin[name] for name in _ORIGIN},
        }
    )


def _epochs(record: Record) -> Iterator[Record]:
    spreads = jax.vmap(log2_spread)(np.asarray(record["update_histogram"])).tolist()
    angles = record.get("angular_update") or [[None] * len(_ANGLES)] * len(spreads)
    for k, epoch in enumerate(record.epochs):
        counts: list[int] = record["update_histogram"][k]
        row: dict[str, Any] = {"key": record.key, "epoch": epoch}
        row |= {name: record[name][k] for name in METRICS}
        row["update_spread"] = spreads[k]
        row |= dict(zip(_ANGLES, angles[k], strict=True))
        yield Record(row | dict(zip(_BINS, counts, strict=True)))
