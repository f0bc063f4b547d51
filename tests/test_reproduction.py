"""The page docs/reproduction.md says what the records in results/ say."""

import shutil

import pytest
from rich.console import Console

from adamprox.data import MissingDataError, load
from adamprox.report.tables import read_claims
from adamprox.sweep import Results
from adamprox.training import TrainingCell
from experiments.catalogue import CATALOGUE
from experiments.presets import protocol
from experiments.reproduction import (
    PAGE,
    PRESET,
    README,
    RUN,
    SCALE,
    cost_table,
    filled,
    tables,
)
from experiments.run import draw


@pytest.fixture
def prepared():
    try:
        load("cifar10")
    except MissingDataError:
        pytest.skip("CIFAR-10 is not prepared here")


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: page.name)
def test_the_page_is_what_the_records_say(page):
    text = page.read_text()
    assert filled(text, tables(RUN)) == text


def test_the_parts_of_a_page_are_replaced_and_nothing_else():
    page = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\nkept\n<!-- end -->\n"
    expected = page.replace("old", "new \\1")
    assert filled(page, {"one": "new \\1", "three": "lost"}) == expected


def test_the_costs_are_those_of_the_records(prepared):
    text = SCALE.read_text()
    records = Results(RUN / "records").every(TrainingCell.kind)
    assert filled(text, {"cost": cost_table(records)}) == text


def test_the_verdicts_are_what_the_records_give(tmp_path, prepared):
    shutil.copytree(RUN / "records", tmp_path / "records")
    experiments = [CATALOGUE["fig03"]]
    draw(experiments, protocol(PRESET), tmp_path, console=Console(quiet=True))
    committed, again = read_claims(RUN), read_claims(tmp_path)
    assert committed and again and again["claims"]
    assert [row for row in committed["claims"] if row[0] == "fig03"] == again["claims"]
