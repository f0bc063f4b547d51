"""The page docs/reproduction.md says what the records in results/ say."""

import functools

import numpy as np
import pytest

from adamprox.data import MissingDataError, load, loading
from adamprox.data.dataset import Dataset, Split
from adamprox.sweep import Results
from adamprox.training import specs
from experiments.reproduction import PAGE, README, REDUCED, RUNS, SCALE, VERDICTS, tables
from experiments.run import settled
from experiments.tables import cost_table, filled


@pytest.fixture
def prepared():
    try:
        load("cifar10")
    except MissingDataError:
        pytest.skip("CIFAR-10 is not prepared here")


@pytest.mark.parametrize("page", [PAGE, VERDICTS, README], ids=lambda page: page.name)
def test_the_page_is_what_the_records_say(page):
    text = page.read_text()
    assert filled(text, tables()) == text


def test_every_table_has_its_place():
    marked = {
        name
        for page in (PAGE, VERDICTS, README)
        for name in tables()
        if f"<!-- {name} -->" in page.read_text()
    }
    assert marked == set(tables())
    assert "<!-- headline -->" in README.read_text() and "<!-- cost -->" in SCALE.read_text()


def test_the_parts_of_a_page_are_replaced_and_nothing_else():
    page = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\nkept\n<!-- end -->\n"
    expected = page.replace("old", "new \\1")
    assert filled(page, {"one": "new \\1", "three": "lost"}) == expected


def test_the_costs_are_those_of_the_records(prepared):
    text = SCALE.read_text()
    assert filled(text, {"cost": cost_table(REDUCED.records)}) == text


def blank(name: str, fingerprint: str) -> Dataset:
    """As large as a CIFAR and with a given fingerprint, but without pictures."""
    train, test = (
        Split(np.zeros((n, 32, 32, 3), np.uint8), np.zeros(n, np.int32)) for n in (50_000, 10_000)
    )
    channel = np.ones(3, np.float32)
    data = Dataset(name, train, test, int(name.removeprefix("cifar")), channel, channel)
    data.__dict__["fingerprint"] = fingerprint  # where functools keeps what it has computed
    return data


@pytest.fixture
def blank_images(monkeypatch):
    """Data sets that have the fingerprints of the records: prepared or not, no image is looked at."""
    known = {r["dataset"]: r["data_fingerprint"] for run in RUNS for r in run.records}
    found = functools.cache(lambda name, _: blank(name, known[name]))
    monkeypatch.setattr(loading, "is_prepared", lambda _: True)
    monkeypatch.setattr(loading, "_prepared", found)
    specs._load.cache_clear()
    yield
    specs._load.cache_clear()


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.preset)
def test_the_verdicts_are_what_the_records_give(run, blank_images):
    results = Results(run.directory / "records")
    cells = settled(run.experiments, run.protocol, results.read_all)
    begun = [(e, records) for e in run.experiments if (records := results.read_all(cells[e.name]))]
    again = [(e.name, claim) for e, records in begun for claim in e.claims(run.protocol, records)]
    assert again and again == run.claims
    drawn = {
        f"{figure.name}.png"
        for e, records in begun
        if any(name.startswith(e.name.split("_")[0]) for name in run.figures)
        for figure in e.figures(run.protocol, records)
    }
    assert set(run.figures) <= drawn
    assert all((PAGE.parent / "figures" / shown).is_file() for shown in run.figures.values())
