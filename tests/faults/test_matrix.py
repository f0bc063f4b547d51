"""No fault loses work or is silently used, and the published page is of the faults that are tried."""

import pytest

from tests.faults.case import Outcome
from tests.faults.catalogue import TABLES

# Readers inside Orbax that are not waited for when another fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CASES = [
    pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else [])
    for cases in TABLES.values()
    for case in cases
]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_lost(case, tmp_path):
    findings = case.try_in(tmp_path / "case", thorough=False)
    assert findings
    assert [f for f in findings if f.outcome is Outcome.LOST] == []
