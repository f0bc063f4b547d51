"""The page docs/reproduction.md says what the records in results/ say, with no data set at hand."""

import functools
import itertools
import os
import re
import shutil
import subprocess
import sys

import pytest

from adamprox.data.fingerprints import expected
from adamprox.report.claims import select
from adamprox.report.plots import spread_through_training
from adamprox.sweep import Record, Results, run_key
from adamprox.training import TrainingRun
from experiments.alternatives.factorial import Factorial
from experiments.paper.fig02_03_accuracy import WithoutBatchNorm
from experiments.protocol import Records
from tools.evidence import factorial_table
from tools.reproduction import (
    PAGE,
    PAPER,
    PERFORMANCE,
    README,
    REDUCED,
    ROOT,
    RUNS,
    SCALE,
    VERDICTS,
    costs,
    tables,
)
from tools.significance import activations_table, seed_noise_table, statistics_table
from tools.tables import filled

shown = functools.cache(tables)


@pytest.fixture(autouse=True)
def no_data(tmp_path, monkeypatch):
    """A home directory and a data directory in which there is nothing."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.parametrize("page", [PAGE, VERDICTS, README, PERFORMANCE], ids=lambda page: page.name)
def test_the_page_is_what_the_records_say(page):
    text = page.read_text()
    assert filled(text, shown()) == text


def test_no_table_is_empty():
    """A selection that fits no record would leave a heading, and page and tool would agree."""
    for name, table in shown().items():
        assert table.count("\n") >= 2, name


def test_tables_leave_out_what_did_not_finish():
    """Every second record ended without a number: no table is an error, as no claim is."""
    for remainder in range(2):
        records = [
            Record({**run, "final_test_error": None}) if number % 2 == remainder else run
            for number, run in enumerate(REDUCED.records)
        ]
        by_key = Records.by_key(records)
        networks = WithoutBatchNorm(REDUCED.protocol, by_key).rows
        for table in (
            factorial_table(Factorial(REDUCED.protocol, by_key).rows),
            statistics_table(networks),
            seed_noise_table(records),
            activations_table(records),
        ):
            assert table.startswith("| ")


def test_the_text_has_the_numbers_of_the_tables():
    """Every "a ± b" outside the tables is one inside them or in a claim, but for rounding and sign."""
    pattern = re.compile(r"([\d.]*\d) (?:points |%? ?)?± ([\d.]*\d)")
    texts = [
        text for run in RUNS for _, claim in run.claims for text in (claim.measured, claim.note)
    ]
    measured = {pair for text in (*texts, *shown().values()) for pair in pattern.findall(text)}

    def known(pair: tuple[str, str]) -> bool:
        steps = [10.0 ** -len(number.partition(".")[2]) for number in pair]
        return any(
            all(
                abs(float(a) - float(b)) < 0.51 * s
                for a, b, s in zip(pair, found, steps, strict=True)
            )
            for found in measured
        )

    for page in (PAGE, README):
        text = filled(page.read_text(), dict.fromkeys(shown(), ""))
        pairs = set(pattern.findall(" ".join(text.split())))
        assert len(pairs) > 5 and sorted(itertools.filterfalse(known, pairs)) == []


@pytest.mark.parametrize(
    "pattern", [r"(?<![,\d])(\d+) of (\d+)\b(?! epochs|×)", r"interval:? (−?[\d.]+) to (−?[\d.]+)"]
)
def test_shares_and_intervals_in_the_text_are_those_of_claims(pattern):
    texts = (
        text for run in RUNS for _, claim in run.claims for text in (claim.measured, claim.note)
    )
    measured = {pair for text in texts for pair in re.findall(pattern, text)}
    text = filled(PAGE.read_text(), dict.fromkeys(shown(), ""))
    pairs = set(re.findall(pattern, " ".join(text.split())))
    assert pairs and pairs - measured == set()


def test_every_table_has_its_place():
    marked = {
        name
        for page in (PAGE, VERDICTS, README, PERFORMANCE)
        for name in shown()
        if f"<!-- {name} -->" in page.read_text()
    }
    assert marked == set(shown())
    assert "<!-- headline -->" in README.read_text() and "<!-- cost -->" in SCALE.read_text()
    assert "<!-- waiting -->" in PAGE.read_text()


def test_the_parts_of_a_page_are_replaced_and_nothing_else():
    page = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\nkept\n<!-- end -->\n"
    wanted = page.replace("old", "new \\1")
    assert filled(page, {"one": "new \\1", "three": "lost"}) == wanted


def test_the_costs_are_those_of_the_records():
    for page in (SCALE, PAGE):
        assert filled(page.read_text(), costs()) == page.read_text()


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.folder)
def test_committed_records_are_found_under_their_keys_and_unchanged(run):
    results = Results(run.directory / "records")
    paths = set((results.directory / TrainingRun.kind).glob("*.parquet"))
    assert len(paths) == {"reduced": 1085, "paper": 3, "paper_resnet_110": 8}[run.folder]
    cells = {TrainingRun.from_columns(record): record for record in run.records}
    assert {results.path(cell) for cell in cells} == paths  # none is damaged
    for cell, record in cells.items():
        assert run_key(cell) == record["key"] and cell.config().items() <= record.items()
        assert record["data_fingerprint"] == expected(record["dataset"]).fingerprint
        assert cell.accepts(record)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.folder)
def test_the_verdicts_are_what_the_records_give(run):
    studies, records = run.settled
    begun = {name: study for name, study in studies.items() if records.of(study.runs)}
    again = [(name, claim) for name, study in begun.items() for claim in study.claims()]
    assert again and again == run.claims
    drawn = {
        figure.name
        for name, study in begun.items()
        if any(shown.startswith(name.split("_")[0]) for shown in run.figures)
        for figure in study.figures()
    }
    assert set(run.figures) <= drawn
    assert all((PAGE.parent / "figures" / f"{name}.png").is_file() for name in run.figures)


def test_figures_are_drawn_by_a_command_that_finds_records_and_nothing_else(tmp_path):
    out = tmp_path / "paper"
    out.mkdir()
    (out / "records").symlink_to(PAPER.directory / "records")
    command = [sys.executable, "-m", "experiments", "published_runs", "--preset", "paper"]
    options = ["--depth", "20", "--epochs", "100", "--draw", "--out", out]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(tmp_path / "mpl")}
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {*PAPER.figures} <= {path.stem for path in (out / "figures").iterdir()}


@pytest.mark.slow
def test_the_report_leaves_the_tree_as_it_is(tmp_path):
    """Every figure and table, drawn again from the records alone in a copy of the project."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "before"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "MPLCONFIGDIR": str(tmp_path / "../mpl"),
    }
    command = [sys.executable, "-m", "tools.reproduction"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    changed = subprocess.run([*git, "status", "--porcelain"], cwd=tmp_path, capture_output=True)
    assert changed.stdout.decode() == ""


def test_rounding_and_the_spread_of_the_long_run_in_the_text_are_those_of_records():
    text = " ".join(PAGE.read_text().split())
    at = {"learning_rate": 0.01, "weight_decay": 0.0, "seed": 0, "skip_init": False}
    for depth, norm in ((20, False), (110, True)):
        runs = select(REDUCED.records, depth=depth, batch_norm=norm, **at)
        errors = [
            f"{100 * run['final_test_error']:.1f}"
            for name in ("adam_l2", "adamw")
            for run in select(runs, optimizer=name)
        ]
        assert " and ".join(errors) + " %" in text
    (long,) = (run for run in PAPER.records if len(run.epochs) == 300)
    spreads = spread_through_training(long)
    first, second, third, last = (f"{spreads[epoch - 1]:.1f}" for epoch in (50, 100, 200, 300))
    assert f"from {first} at epoch 50 to {second} at 100, {third} at 200 and {last} at 300" in text


@pytest.mark.parametrize(
    ("sentence", "decays", "where"),
    [
        ("between {low:.1f} and {high:.1f} %. ![", (0.0025, 0.025), {"depth": 20}),
        (
            "error of {low:.1f} % or more",
            (0, 0),
            {"depth": 56, "learning_rate": None, "optimizer": None},
        ),
        ("between {low:.1f} and {high:.1f} % for every λ from 0", (0, 0.25), {"depth": 110}),
        ("it is {low:.1f} to {high:.1f} % (one seed)", (2.5, 250), {"depth": 110}),
        (
            "errors of {low:.1f} and {high:.1f} %)",
            (1.25e-4, 2.5e-4),
            {"train_size": 20480, "optimizer": "adamw"},
        ),
        (
            "errors of {low:.0f} to {high:.0f} %)",
            (6.25e-4, 6.25e-3),
            {"train_size": 20480, "optimizer": "adamw"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_ranges_of_errors_in_the_text_are_those_of_records(sentence, decays, where):
    usual = {"optimizer": "adam_l2", "learning_rate": 1e-3, "train_size": 5120, "network": "resnet"}
    usual |= {"batch_norm": False, "skip_init": False, "loss_multiplier": 1.0, "init_scale": 1.0}
    found = {**usual, "seed": 0, "init_seed": 0, **where}
    runs = select(REDUCED.records, **{k: v for k, v in found.items() if v is not None})
    if where.get("optimizer", "") is None:  # Adam, under either name
        runs = [run for run in runs if run["optimizer"] in ("adam_l2", "adamw")]
    low, high = decays
    errors = [100 * run["final_test_error"] for run in runs if low <= run["weight_decay"] <= high]
    expected_text = sentence.format(low=min(errors), high=max(errors))
    assert expected_text in " ".join(PAGE.read_text().split())


def test_gains_without_decay_in_the_text_are_those_of_records():
    at = {"depth": 110, "learning_rate": 1e-3, "weight_decay": 0.0, "seed": 0, "skip_init": False}
    changes = ("", "_short_memory", "_equal_betas_0.95", "_restarted", "_clipped")
    adam, *changed = (
        100 * run["final_test_error"]
        for change in changes
        for run in select(
            REDUCED.records,
            optimizer=f"adam_l2{change}",
            batch_norm=False,
            loss_multiplier=1.0,
            **at,
        )
        if run["init_scale"] == 1.0
    )
    *gains, last = (f"{adam - error:.0f}" for error in changed)
    text = f"they already lower it by {', '.join(gains)} and {last} points"
    assert text in " ".join(PAGE.read_text().split())
