"""Commands in odd surroundings: terminals, paths with markup, writers at once, workers that cannot start."""

import csv
import dataclasses
import io
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
from multiprocessing import resource_tracker

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adamprox.data.__main__ import main as data
from adamprox.files import write_atomically
from adamprox.report import Claim
from adamprox.report.claims import Verdict
from adamprox.report.overview import write_overview
from adamprox.report.tables import _csv, read_claims, write_claims
from adamprox.scale_free.__main__ import main as scale_free
from adamprox.sweep import LostRunsError, OutOfTimeError, Results, local, run_sweep
from adamprox.sweep.lock import locked
from experiments.__main__ import main
from experiments.arguments import parse
from experiments.doctor import OK, Check
from experiments.presets import PRESETS
from experiments.registry import COMMANDS, EXPERIMENTS, description
from tests.cifar_archives import good
from tests.crews import threads
from tests.squares import QUIET, Square
from tests.studies import runs

ROOT = pathlib.Path(__file__).parents[1]
CLAIM = Claim("§1", "It is so.", "1 %", "2 %", Verdict.REPRODUCED)
ODD = ("[/red]", ":smile:", "\udcff")
MORE = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("[bold", "[link=x]", "{x}", "é", "%s", "a  b")
]


@pytest.mark.parametrize("name", [*ODD, *MORE])
def test_a_path_is_shown_as_it_is(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "500")
    out = tmp_path / name.replace("/", "")
    (cell,) = runs("fig01", PRESETS["smoke"])
    write_atomically(Results(out / "records").path(cell), b"damaged")
    assert main(["fig01", "--preset", "smoke", "--out", str(out), "--workers", "0"]) == 0
    shown = str(out).encode(errors="backslashreplace").decode()
    printed = capsys.readouterr()
    assert f"{shown}/records/quadratics" in printed.err and f"{shown}/fig01.html" in printed.out
    assert data(["list", "--data-dir", str(out)]) == 0
    assert f"in {shown}" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["[/red]", "[bold", "[/]", "\\[", ":smile:", "é\x1b[31m"])
def test_odd_values_are_refused_in_one_line(tmp_path, capsys, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    commands = [
        [text],
        ["fig01", "--preset", text],
        ["fig01", "--epochs", text],
        ["fig01", f"--{text}", "1"],
    ]
    for argv in commands:
        assert main(argv) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert data(["prepare", text]) == 2 and data(["prepare", "cifar10", "--archive", text]) == 2
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.parametrize("argv", [["list"], ["--help"], ["all", "--preset", "smoke", "--dry-run"]])
def test_a_terminal_that_knows_only_ascii(argv, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.__main__.PRESETS", {"smoke": PRESETS["smoke"]})  # seconds less
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    assert main(argv) == 0
    screen.flush()
    printed = screen.buffer.getvalue()
    assert len(printed) > 200 and ("--dry-run" not in argv or b"runs, about" in printed)
    assert not list(tmp_path.iterdir())


def test_the_doctor_and_the_scorecard_on_a_terminal_that_knows_only_ascii(monkeypatch, tmp_path):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr("experiments.doctor.examine", lambda *_: [Check("α", OK, "β é", "γ")])
    monkeypatch.setattr("adamprox.scale_free.__main__.scorecard", lambda report: [])
    assert main(["doctor"]) == 0
    assert scale_free(["--out", str(tmp_path / "[x].md")]) == 0
    screen.flush()
    assert b"\\xe9" in screen.buffer.getvalue() and b"[x].md" in screen.buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
)
def test_a_process_of_an_ascii_locale_ends(locale, tmp_path):
    out = os.fsencode(tmp_path) + b"/\xc3\xa9\xff"
    command = [sys.executable, "-m", "experiments", "fig01", "--preset", "smoke", "--out", out]
    done = subprocess.run(
        command, env=os.environ | locale, cwd=ROOT, capture_output=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert os.path.exists(out + b"/fig01.html")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=4), min_size=2, max_size=2))
def test_no_text_of_a_table_is_a_formula(row):
    columns = ["first", "=second"]
    header, back = csv.reader(io.StringIO(_csv(columns, [dict(zip(columns, row, strict=True))])))
    assert header == ["first", "'=second"]
    assert not any(re.match(r"[=+\-@\t\r]", cell) for cell in back)
    assert [cell.removeprefix("'") for cell in back] == [cell.removeprefix("'") for cell in row]


def test_numbers_of_a_table_stay_numbers():
    assert _csv(["a"], [{"a": -1.5}, {"a": "-1.5"}]) == "a\r\n-1.5\r\n'-1.5\r\n"


def test_claims_written_at_once_are_all_there(tmp_path):
    names = [f"experiment {n}" for n in range(12)]
    errors = []

    def write(name):
        try:
            write_claims(tmp_path, {name: [CLAIM]}, {"preset": name})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_claims(tmp_path)
    assert not errors and found is not None
    assert sorted(name for name, _ in found["claims"]) == sorted(names)
    assert found["about"] == {name: {"preset": name} for name in names}
    assert sorted(os.listdir(tmp_path)) == ["claims.csv", "claims.json"]


def test_every_claim_of_an_overview_has_its_own_preset(tmp_path):
    for name, preset in (("fig01", "smoke"), ("theorem3", "demo"), ("fig03", "demo")):
        page = "report.html" if preset == "demo" else f"{name}.html"
        about = {"preset": preset, "page": page, "finished": "today"}
        write_claims(tmp_path / "run", {name: [CLAIM._replace(statement=name)]}, about)
    text = write_overview(tmp_path).read_text()
    smoke, demo = re.split("Preset smoke|Preset demo", text)[1:]
    assert "fig01" in smoke and "theorem3" not in smoke and "theorem3" in demo and "fig03" in demo
    assert re.findall(r'href="([^#"]+)"', text) == ["run/fig01.html", "run/report.html"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "run/claims.csv").read_text())))
    assert [(row["experiment"], row["preset"]) for row in rows] == [("fig01", "smoke"), ("theorem3", "demo"), ("fig03", "demo")]  # fmt: skip


def test_a_dry_run_asks_for_no_room_to_write(tmp_path, monkeypatch, capsys):
    def refuse(directory):
        raise AssertionError("a dry run writes nothing")

    monkeypatch.setattr("adamprox.output.reason_not_writable", refuse)
    assert main(["fig01", "--preset", "smoke", "--dry-run", "--out", str(tmp_path)]) == 0
    assert main(["fig01", "--preset", "smoke", "--dry-run", "--out", "/proc/x"]) == 0
    assert "1 runs, about" in capsys.readouterr().out


MODULES = ["experiments", "adamprox.data", "adamprox.scale_free", "tools.reproduction"]


@pytest.mark.parametrize("module", MODULES)
def test_a_reader_that_has_ended_is_no_error(module):
    """As in ``python -m experiments --help | head``."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment, cwd=ROOT)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_there_are_no_more_workers_than_cores(tmp_path, monkeypatch, caplog):
    crews = threads(monkeypatch)
    monkeypatch.setattr(local, "cores", lambda: [0, 1])
    cells = [Square(float(n)) for n in range(4)]
    run_sweep(cells, Results(tmp_path), workers=10_000, console=QUIET)
    assert crews[0].size == 2 and "10000 workers are too many: 2 cores" in caplog.text


def test_an_interpreter_that_cannot_run_is_named(tmp_path, monkeypatch):
    resource_tracker.ensure_running()  # with this interpreter
    context = local.multiprocessing.get_context("spawn")
    before = context.get_executable() if hasattr(context, "get_executable") else sys.executable
    context.set_executable("/bin/false")
    try:
        with pytest.raises(LostRunsError, match=re.escape(sys.executable)):
            run_sweep([Square(1.0)], Results(tmp_path), workers=1, console=QUIET)
    finally:
        context.set_executable(before)


@pytest.mark.parametrize("name", ["\udcff", "a#b", "é", "[x]"])
def test_an_overview_has_runs_of_any_name(tmp_path, name):
    (tmp_path / "good").mkdir()
    for folder, page in ((tmp_path / "good", "\ud800.html"), (tmp_path / name, "fig01.html")):
        write_claims(folder, {"fig01": [CLAIM]}, {"preset": "demo", "page": page})
    text = write_overview(tmp_path).read_text()
    assert len(re.findall(r'href="[^#]', text)) == 2
    assert ('href="a%23b/fig01.html"' in text) == (name == "a#b")


def test_a_lock_that_is_never_free_ends_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("adamprox.report.tables._PATIENCE", 0.2)
    with locked(tmp_path / ".claims.lock"), pytest.raises(TimeoutError, match=r"claims\.lock"):
        write_claims(tmp_path, {"one": [CLAIM]}, {})


def test_a_lock_is_no_link(tmp_path, capsys):
    target = tmp_path / "target"
    target.write_text("kept")
    (tmp_path / ".claims.lock").symlink_to(target)
    write_claims(tmp_path, {"one": [CLAIM]}, {})
    assert target.read_text() == "kept" and read_claims(tmp_path)
    (tmp_path / ".claims.lock").mkdir()
    assert main(["fig01", "--preset", "smoke", "--out", str(tmp_path)]) == 2
    assert ".claims.lock: is a directory" in capsys.readouterr().err
    assert not (tmp_path / "records").exists()


def test_a_data_dir_of_bytes_is_refused_before_any_work(tmp_path, capsys):
    archive = good(tmp_path / "a.tar.gz")
    argv = ["prepare", "cifar10", "--archive", str(archive), "--data-dir", str(tmp_path / "\udcff")]
    assert data(argv) == 2
    assert "must be a path in UTF-8" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["a.tar.gz"]


def test_out_of_time_is_a_line_and_an_exit_code_of_its_own(tmp_path, monkeypatch, capsys):
    def stop(cells, results, *, deadline, **options):
        assert 100 < deadline - time.monotonic() < 150
        raise OutOfTimeError

    monkeypatch.setattr("experiments.__main__.run_sweep", stop)
    command = ["fig01", "--preset", "smoke", "--out", str(tmp_path), "--time-limit"]
    assert main([*command, "2.5m"]) == 75
    assert (
        capsys.readouterr().err.splitlines()[-1].startswith("out of time; finished runs are kept")
    )
    for wrong in ("12", "-1m", "1d", "nan", "1e3s", "m", "9" * 30 + "s", "١m"):
        assert main([*command[:-1], f"--time-limit={wrong}"]) == 2
        assert "--time-limit must be a number of s, m or h" in capsys.readouterr().err


def test_a_command_describes_its_options_and_an_experiment(capsys):
    for command in COMMANDS:
        assert main([command, "--help"]) == 0
        assert f"usage: python -m experiments {command}" in capsys.readouterr().out
    assert main(["run", "fig07", "--help"]) == 0
    text = capsys.readouterr().out
    assert "Updates of ResNet-20" in text and "AdamW's updates spread less" in text
    assert re.search(r"demo +27 runs, about \d+ s of one core", text) and "--workers" in text
    assert main(["fig07", "--help"]) == 0
    assert capsys.readouterr().out == text


def test_every_experiment_has_a_description():
    smoke = [PRESETS["smoke"]]  # tracing the networks of other presets takes half a minute
    assert all(len(description(each, smoke)) >= 4 for each in EXPERIMENTS.values())
    # Six networks of the preset are one; its runs are listed once, as by --dry-run.
    assert re.search(r"smoke +6 runs", "".join(description(EXPERIMENTS["fig03"], smoke)))


def test_list_has_one_line_for_each_experiment_with_every_preset_at_which_it_has_runs(capsys):
    assert main(["list"]) == 0
    *lines, note = capsys.readouterr().out.splitlines()
    assert note.startswith("Presets in parentheses: `all` does not include the experiment there")
    shown = dict(line.split()[:2] for line in lines)
    assert list(shown) == list(EXPERIMENTS)
    assert shown["fig02"] == "smoke,(demo),reduced,paper" and shown["fig03"].count("(") == 0
    assert shown["published_resnet_44"] == "(paper)"
    for name, presets in shown.items():
        found = [preset for preset, its in PRESETS.items() if runs(name, its)]
        assert presets.replace("(", "").replace(")", "").split(",") == found
        listed = [p for p in presets.split(",") if not p.startswith("(")]
        assert listed == [p for p in found if name in PRESETS[p].experiments]
    assert main(["list", "--preset", "demo"]) == 0
    demo = [line.split()[0] for line in capsys.readouterr().out.splitlines()[:-1]]
    assert demo == [name for name, presets in shown.items() if "demo" in presets]


def test_a_repeated_list_option_adds_values():
    both = ["--optimizer", "adamw", "--optimizer", "adam_l2"]
    rates = ["--learning-rates", "1", "2", "--learning-rates", "3"]
    given = parse(["fig03", "--preset", "smoke", *both, *rates, "--grid-point", "1e-3,0"])
    assert given.optimizer == ["adamw", "adam_l2"] and given.grid_point == [(1e-3, 0.0)]
    assert given.learning_rates == [1, 2, 3] and given.weight_decays is None
    command = ["compare", "--optimizer", "m:f", "--against", "sgd", "--against", "adamw"]
    assert parse(command).against == ["sgd", "adamw"]


def test_claims_of_a_description_are_those_of_the_largest_preset():
    smoke = PRESETS["smoke"]
    own = {**smoke.settings["sgd_divergence"], "rates": (1e-3, 1e-2, 1e-1)}
    larger = dataclasses.replace(smoke, preset="larger", settings={"sgd_divergence": own})
    text = "".join(description(EXPERIMENTS["sgd_divergence"], [smoke, larger]))
    assert "at any of 3 learning rates" in text


def test_a_dry_run_lists_grids_and_needs_no_data(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    argv = ["run", "fig03", "--preset", "reduced", "--depth", "20", "--dry-run"]
    assert main(argv) == 0 and main(argv[1:]) == 0
    first, second = capsys.readouterr().out.split("18 runs: adamprox;")[:2]
    assert "24 runs: adam_l2; α 5e-4, 1e-3, 5e-3; λ 0, 5e-4, 2.5e-3, 5e-3, 0.025, 0.05" in first
    assert "60 runs, about" in second and not any(tmp_path.iterdir())


def test_a_run_ends_with_its_headline_and_the_counts_of_verdicts(tmp_path, capsys):
    for argv in (["fig01", "--workers", "0"], ["draw", "fig01"], ["run", "fig01", "--draw"]):
        assert main([*argv, "--preset", "smoke", "--out", str(tmp_path)]) == 0
        printed = capsys.readouterr()
        assert printed.err.splitlines()[-1] == "claims: 1 reproduced; the report is at"
        assert printed.out == f"{tmp_path / 'fig01.html'}\n"


def test_output_ends_quietly_when_its_reader_ends(monkeypatch, capsys):
    def broken(*_):
        raise BrokenPipeError

    monkeypatch.setattr("experiments.__main__.listing", broken)
    assert main(["list"]) == 1 and not capsys.readouterr().err
