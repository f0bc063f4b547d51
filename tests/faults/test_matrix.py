"""No fault loses work or is silently used, and the published page is of the faults that are tried."""

import re

import pytest

from tests.faults.case import Case, Finding, Outcome, head, row
from tests.faults.catalogue import TABLES
from tests.faults.determinism import in_a_process
from tests.faults.runs import ROOT

# Readers inside Orbax that are not waited for when another fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ALL = [case for cases in TABLES.values() for case in cases]
CASES = [
    pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else []) for case in ALL
]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_lost(case, tmp_path):
    findings = case.try_in(tmp_path / "case", thorough=False)
    assert findings
    assert [f for f in findings if f.outcome is Outcome.LOST] == []


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_nothing_is_lost_of_all_that_is_published(case, tmp_path):
    findings = case.try_in(tmp_path / "case", thorough=True)
    assert [f for f in findings if f.outcome is Outcome.LOST] == []


def published(table: str) -> list[list[str]]:
    """The rows of one table of the page, without its head."""
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {table} -->\n(.*?)\n<!-- end -->", page, re.S)
    assert found, f"docs/faults.md has no markers of the table {table}"
    lines = found[1].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("table", TABLES)
def test_the_page_has_all_cases_and_none_lost(table):
    """After a change of the cases: python -m tests.faults --out docs/faults.md --only TABLE."""
    rows = published(table)
    assert [row[0] for row in rows] == [case.name for case in TABLES[table]]
    for name, tried, *outcomes in rows:
        assert int(tried) == sum(map(int, outcomes)) > 0 and outcomes[-1] == "0", name


def test_a_lost_trial_is_counted_as_lost():
    case = Case("a fault", lambda setting: iter(()))
    findings = [Finding(Outcome.REFUSED), Finding(Outcome.LOST), Finding(Outcome.LOST)]
    assert row(case, findings) == "| a fault | 3 | 0 | 1 | 0 | 2 |"
    assert head().splitlines()[0].endswith("| lost |")


@pytest.mark.slow
def test_one_thread_gives_the_same_bits_in_two_processes():
    assert in_a_process("one") == in_a_process("one")


def test_the_page_says_what_threads_change():
    one, several = published("determinism")
    assert one[0] == "one" and one[2] == "1" and float(one[4]) == float(one[6]) == 0
    assert int(several[2]) >= 1
