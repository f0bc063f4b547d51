"""The page over all run directories: ``python -m experiments overview --out runs``."""

import os
import pathlib
import sys

from adamprox.output import one_line
from adamprox.report import Claim
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
    pages: dict[tuple[str, ...], list[Claim]] = {}
    for path, run in runs:
        if run is None:
            print(f"{one_line(path / 'claims.json')} is damaged: left out", file=sys.stderr)
            continue
        for name, claim in run["claims"]:
            facts = (run["about"][name].get(k, "unknown") for k in ("page", "preset", "finished"))
            pages.setdefault((path.name, *facts), []).append(claim)
    if not pages:
        raise ValueError(f"out must hold directories of finished runs, got {root}")
    sections = [
        Section(_title(run, page), f"Preset {preset}, last cell {finished}.", [], claims)
        for (run, page, preset, finished), claims in pages.items()
    ]
    links = [(_title(run, page), f"{run}/{page}") for run, page, _, _ in pages]
    page = root / "index.html"
    write_page(page, "All runs", LEAD, sections, [], links)
    return page


def _title(run: str, page: str) -> str:
    """Return the folder of a run, with the page's name where it is not that of all experiments."""
    return run if page == "report.html" else f"{run}: {pathlib.Path(page).stem}"
