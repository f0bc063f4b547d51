"""Copies of the data: a directory of records stays with the one that its runs were trained on."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator

from adamprox.data import DamagedDataError
from adamprox.data.fingerprints import FINGERPRINT, VARIABLE, expected
from adamprox.data.layout import LAYOUTS
from adamprox.data.loading import prepared_directory
from adamprox.data.prepared import stored_provenance
from adamprox.sweep.results import Results
from adamprox.sweep.runs import Run
from adamprox.training.run import TrainingRun


@contextlib.contextmanager
def copies_of(runs: Iterable[Run], results: Results) -> Iterator[None]:
    """Use in the runs' keys the fingerprints of the data copies in ``results``, or else of the prepared ones.

    Without either, keys name the copies of the committed records. The choice holds in the context, for
    this process and its workers; ``ADAMPROX_FINGERPRINTS`` overrides it.

    Args:
      runs: Runs, whose data sets count.
      results: Records so far.
    """
    if VARIABLE in os.environ:
        yield
        return
    names = {run.images.dataset for run in runs if isinstance(run, TrainingRun)} & LAYOUTS.keys()
    copies = _recorded(names, results)
    for name in names - copies.keys():
        with contextlib.suppress(
            DamagedDataError, OSError
        ):  # training will name it, or there is none
            copies[name] = stored_provenance(prepared_directory(LAYOUTS[name]))["fingerprint"]
    other = {n: copy for n, copy in copies.items() if copy != expected(n).fingerprint}
    os.environ[VARIABLE] = ",".join("=".join(pair) for pair in sorted(other.items()))
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def _recorded(names: set[str], results: Results) -> dict[str, str]:
    """Return data set to fingerprint, from the first record of each; others' files are passed over."""
    found: dict[str, str] = {}
    for record in results.each(TrainingRun.kind) if names else ():
        run = TrainingRun.described(record)
        if run and re.fullmatch(FINGERPRINT, record["data_fingerprint"]):
            found.setdefault(run.images.dataset, record["data_fingerprint"])
        if names <= found.keys():
            break
    return {name: copy for name, copy in found.items() if name in names}
