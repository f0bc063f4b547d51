"""The page over all run directories: ``python -m experiments overview --out runs``."""

import os
import pathlib
import sys

from adamprox.report.page import Section, write_page
from adamprox.report.tables import read_claims

LEAD = "Every run below this directory: its claims with their verdicts, and the way to its page."


def write_overview(root: pathlib.Path) -> pathlib.Path:
    """Write ``index.html`` over the runs in ``root``.

    Args:
      root: A directory of run directories.

    Returns:
      The path of the page.

    Raises:
      ValueError: There is no run with claims in it.
    """
    # Unlike pathlib's own questions, this one has an answer for a name that is too long.
    paths = sorted(root.glob("*/claims.json")) if os.path.isdir(root) else []
    runs = [(path.parent, read_claims(path.parent)) for path in paths]
    for path, run in runs:
        if not run:
            print(f"{path / 'claims.json'} is damaged: left out", file=sys.stderr)
    readable = [(path, run) for path, run in runs if run]
    if not readable:
        raise ValueError(f"out must hold directories of finished runs, got {root}")
    sections = [
        Section(
            path.name,
            f"Preset {run['preset']}, last cell {run['finished']}.",
            [],
            [claim for _, claim in run["claims"]],
        )
        for path, run in readable
    ]
    links = [(path.name, f"{path.name}/{run['page']}") for path, run in readable]
    page = root / "index.html"
    write_page(page, "All runs", LEAD, sections, [], links)
    return page
