"""Overview page of all run directories: ``python -m experiments overview --out runs``."""

import os
import pathlib
import sys

from adamprox.output import one_line
from adamprox.report import Claim
from adamprox.report.page import Section, write_page
from adamprox.report.tables import protocol_of, read_claims

LEAD = "All run directories in this directory, with the verdicts of their claims. A heading links to a report."


def write_overview(root: pathlib.Path) -> pathlib.Path:
    """Write ``index.html`` for the runs in ``root``.

    Args:
      root: Directory of run directories.

    Returns:
      The path of the page.

    Raises:
      ValueError: No run in ``root`` has claims.
    """
    # pathlib's is_dir raises for a name that is too long; os.path.isdir returns False.
    paths = sorted(root.glob("*/claims.json")) if os.path.isdir(root) else []
    runs = [(path.parent, read_claims(path.parent)) for path in paths]
    pages: dict[tuple[str, ...], list[Claim]] = {}
    for path, run in runs:
        if run is None:
            print(f"{one_line(path / 'claims.json')} is damaged: left out", file=sys.stderr)
            continue
        for name, claim in run["claims"]:
            about = run["about"][name]
            page, finished = (about.get(fact, "unknown") for fact in ("page", "finished"))
            pages.setdefault((path.name, page, protocol_of(about), finished), []).append(claim)
    if not pages:
        raise ValueError(f"out must hold directories of finished runs, got {root}")
    sections = [
        Section(
            _title(run, page),
            f"Preset {protocol}; the last run finished at {finished}.",
            figures=[],
            claims=claims,
            link=f"{run}/{page}",
        )
        for (run, page, protocol, finished), claims in pages.items()
    ]
    path = root / "index.html"
    write_page(path, "All runs", LEAD, sections, facts=[])
    return path


def _title(run: str, page: str) -> str:
    """Return the folder of a run, followed by the name of a page of one experiment."""
    return run if page == "report.html" else f"{run}: {pathlib.Path(page).stem}"
