"""Try every fault and write the tables: ``python -m tests.faults --out docs/faults.md``.

The trials are drawn with a fixed seed. All of them take about an hour of two cores; ``--only NAME``
tries those of one table and leaves the others as they are.
"""

import argparse
import pathlib
import sys
import tempfile
import traceback
from collections.abc import Sequence

from tests.faults.case import Case, Finding, Outcome, head, row
from tests.faults.catalogue import TABLES
from tests.faults.determinism import spread_table
from tools.tables import filled

SEED = 0


def findings(case: Case) -> list[Finding]:
    """All that came of a case; one that breaks off has lost a trial."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = case.try_in(pathlib.Path(folder) / "case", SEED, thorough=True)
        except Exception:
            found = [Finding(Outcome.LOST, traceback.format_exc())]
    for finding in found:
        if finding.outcome is Outcome.LOST:
            print(f"lost: {case.name}: {finding.what}", file=sys.stderr)
    return found


def tried(cases: Sequence[Case]) -> tuple[str, int]:
    """The table of some cases, each row shown when it is done, and how many trials were lost."""
    lines, lost = [head()], 0
    for case in cases:
        found = findings(case)
        lost += sum(finding.outcome is Outcome.LOST for finding in found)
        lines.append(row(case, found))
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines), lost


def main() -> int:
    """Fill the page; the exit code is 1 where something was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="the page, with its markers"
    )
    parser.add_argument("--only", choices=[*TABLES, "determinism"], help="the table to make")
    arguments = parser.parse_args()
    total = 0
    for name in [arguments.only] if arguments.only else [*TABLES, "determinism"]:
        table, lost = (spread_table(), 0) if name == "determinism" else tried(TABLES[name])
        total += lost
        page = filled(arguments.out.read_text(encoding="utf-8"), {name: table})
        arguments.out.write_text(page, encoding="utf-8")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
