"""Every experiment at smoke, the command line, and the page."""

import dataclasses
import html.parser
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from adamprox.report import Claim
from adamprox.report.claims import Verdict
from adamprox.report.cost import _forward_flops
from adamprox.report.overview import write_overview
from adamprox.report.tables import read_claims, write_claims
from adamprox.sweep import LostRunsError, Record, Results, run_key
from adamprox.training import TrainingRun
from adamprox.training.sharded_run import ShardedRun
from experiments import __main__ as command
from experiments.__main__ import main
from experiments.claims import learned, loss_scale
from experiments.grid import Grid
from experiments.paper.fig01_quadratics import distance
from experiments.presets import PRESETS, protocol
from experiments.protocol import Network, Records
from experiments.registry import EXPERIMENTS
from experiments.runner import run
from tests.studies import claims, figures, runs

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    """One run of everything, as a user starts it; a second worker would compile all a second time."""
    out = tmp_path_factory.mktemp("smoke") / "run"
    command = [sys.executable, "-m", "experiments", "all", "--preset", "smoke"]
    command += ["--out", str(out), "--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out / "report.html")
    return out


def test_every_experiment_leaves_figures_and_records(smoke_run):
    names = {path.stem for path in (smoke_run / "figures").glob("*.png")}
    assert names == {path.stem for path in (smoke_run / "figures").glob("*.svg")}
    for prefix in PRESETS["smoke"].experiments:
        assert any(name.startswith(prefix) for name in names), prefix
    for experiment in (EXPERIMENTS[name] for name in PRESETS["smoke"].experiments):
        cells = runs(experiment.name, PRESETS["smoke"])
        assert len(Results(smoke_run / "records").read_all(cells)) == len(cells)


def test_a_batch_on_real_shards_gives_the_losses_of_one_device(smoke_run):
    """Of the experiment `distributed`, in a process of its own with two devices."""
    (sharded,) = (r for r in runs("distributed", PRESETS["smoke"]) if isinstance(r, ShardedRun))
    (record,) = Results(smoke_run / "records").read_all([sharded])
    one, two = np.asarray(record["train_losses"])
    np.testing.assert_allclose(two, one, rtol=1e-5)
    assert one[-1] < one[0]


def test_the_page_is_whole_and_alone(smoke_run):
    text = (smoke_run / "report.html").read_text()
    check_whole(text)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    for experiment in (EXPERIMENTS[name] for name in PRESETS["smoke"].experiments):
        assert html.escape(experiment.title) in text


def check_whole(text):
    open_tags = []

    class Checker(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Checker().feed(text)
    assert open_tags == []


def test_running_again_costs_nothing(smoke_run, capsys):
    before = {p: p.stat().st_mtime_ns for p in (smoke_run / "records").rglob("*.parquet")}
    assert main(["fig06", "--preset", "smoke", "--out", str(smoke_run)]) == 0
    assert before == {p: p.stat().st_mtime_ns for p in (smoke_run / "records").rglob("*.parquet")}
    count = len({run_key(cell) for cell in runs("fig06", PRESETS["smoke"])})
    assert f"{count} runs, {count} already done" in capsys.readouterr().err


def test_numbers_and_verdicts_are_there_for_other_programs(smoke_run):
    table = pq.read_table(smoke_run / "tables" / "fig03.parquet").to_pylist()
    cells = runs("fig03", PRESETS["smoke"])
    assert {row["key"] for row in table} == {run_key(cell) for cell in cells}
    lines = (smoke_run / "tables" / "fig03.csv").read_text().splitlines()
    assert len(lines) == len(table) + 1 and "final_test_error" in lines[0]
    found = read_claims(smoke_run)
    assert found and {name for name, _ in found["claims"]} == set(PRESETS["smoke"].experiments)
    assert {c.verdict for n, c in found["claims"] if n == "fig03"} == {Verdict.NOT_TESTED}


def test_a_sweep_that_loses_a_run_draws_the_others(smoke_run, tmp_path):
    shutil.copytree(smoke_run / "records", tmp_path / "records")
    (first, *_) = runs("fig06", PRESETS["smoke"])
    Results(tmp_path / "records").path(first).unlink()

    def runner(wanted, results):
        assert first in wanted
        raise LostRunsError("1 runs raised an exception")

    with pytest.raises(LostRunsError):
        run(
            [EXPERIMENTS["fig06"]],
            PRESETS["smoke"],
            tmp_path,
            runner=runner,
            console=Console(quiet=True),
        )
    assert EXPERIMENTS["fig06"].title in html.unescape((tmp_path / "fig06.html").read_text())


def test_claims_of_other_experiments_stay(tmp_path):
    first = Claim("§1", "It is so.", "1 %", "2 %", Verdict.REPRODUCED)
    write_claims(tmp_path, {"one": [first], "two": [first]}, {"preset": "demo"})
    write_claims(tmp_path, {"two": []}, {"preset": "demo"})
    found = read_claims(tmp_path)
    assert found and found["claims"] == [("one", first)]


def test_claims_of_another_protocol_are_replaced_with_a_warning(tmp_path):
    claim = Claim("§1", "It is so.", "1 %", "2 %", Verdict.REPRODUCED)
    about = {"preset": "demo", "page": "report.html", "finished": "today"}
    write_claims(tmp_path / "run", {"one": [claim], "two": [claim]}, about)
    shorter = about | {"options": "epochs=3"}
    with pytest.warns(UserWarning) as caught:
        write_claims(tmp_path / "run", {"two": [claim], "three": [claim]}, shorter)
    (text,) = (str(warning.message) for warning in caught)
    assert text == "the verdicts of two at demo with epochs=3 replace those at demo"
    write_claims(tmp_path / "run", {"two": [claim]}, shorter)  # again, without a warning
    page = write_overview(tmp_path).read_text()
    assert "Preset demo; the last" in page and "Preset demo with epochs=3; the last" in page


def test_the_overview_names_every_run(smoke_run, capsys):
    assert main(["overview", "--out", str(smoke_run.parent)]) == 0
    page = pathlib.Path(capsys.readouterr().out.strip())
    text = page.read_text()
    check_whole(text)
    links = re.findall(r'href="([^#"]+)"', text)
    assert f"{smoke_run.name}/report.html" in links
    assert all((page.parent / link).is_file() for link in links)


def test_operations_of_a_network_are_counted_by_hand():
    """Networks that differ by one block a stage; from 56 layers equal blocks are compiled as one."""
    cells = [TrainingRun.of(depth=depth) for depth in (8, 14, 56, 62)]
    first, second, third, fourth = (_forward_flops(cell.program) for cell in cells)
    stage = 8 * 8 * 16 * 16  # = 4·4·32·32 = 2·2·64·64: pixels times channels in and out
    assert second - first == fourth - third == 3 * 2 * 2 * 9 * stage


def records_of(name, smoke_run):
    cells = runs(name, PRESETS["smoke"])
    return Results(smoke_run / "records").read_all(cells)


def test_fig01_gradient_descent_changes_and_adamw_does_not(smoke_run):
    (record,) = records_of("fig01", smoke_run)
    assert distance(record, "gd") > 0.1 > 1e-4 > distance(record, "adamw")
    assert record["adamw_0_step_size"] == record["adamw_1_step_size"]


def test_scale_freeness_is_exact_on_real_gradients(smoke_run):
    records = records_of("scale_freeness", smoke_run)
    (claim,) = claims("scale_freeness", PRESETS["smoke"], records)
    assert claim.verdict is Verdict.REPRODUCED
    assert records[0]["epsilons"][0] == 0 and records[0]["adamw"][0] == 0
    assert records[0]["adam_l2"][0] > 1e-3 and records[0]["adamw"][-1] > 1e-3


def synthetic(name, errors):
    """Records of a demo grid whose error is a function of its cell."""
    demo = PRESETS["demo"]
    return demo, [
        {
            **c.config(),
            "key": run_key(c),
            "final_test_error": errors(c),
            "test_examples": 1285,
            "update_histogram": 4 * [[1] * 28],
            "epoch": [1, 2, 3, 4],
        }
        for c in runs(name, demo)
    ]


def bowl(cell, center):
    """Lowest at (2e-3, center), ten points worse a decade away."""
    import math

    distance = abs(math.log10((cell.weight_decay or 1e-6) / center)) + abs(
        math.log2(cell.learning_rate / 2e-3)
    )
    return min(0.05 + 0.1 * distance, 0.9)


def test_fig04_verdicts_on_records_that_obey_and_disobey_the_paper():
    def obeys(cell):
        center = 3e-2 * cell.method.loss_multiplier if cell.optimizer == "adam_l2" else 3e-3
        return bowl(cell, center)

    demo, records = synthetic("fig04", obeys)
    assert [c.verdict for c in claims("fig04", demo, records)] == [Verdict.REPRODUCED] * 12
    demo, records = synthetic("fig04", lambda c: obeys(c) + 0.1 * (c.method.loss_multiplier == 100))
    lowest = [c.verdict for c in claims("fig04", demo, records)][
        6:
    ]  # at x 10 and x 100, three times
    assert lowest == [Verdict.REPRODUCED, Verdict.NOT_REPRODUCED] * 3
    demo, records = synthetic("fig04", lambda cell: bowl(cell, 3e-3 * cell.method.loss_multiplier))
    assert claims("fig04", demo, records)[1].verdict is Verdict.NOT_REPRODUCED
    demo, records = synthetic("fig04", lambda cell: bowl(cell, 3e-3))
    assert claims("fig04", demo, records)[0].verdict is Verdict.NOT_REPRODUCED
    demo, records = synthetic("fig04", lambda cell: 0.1)
    assert claims("fig04", demo, records)[0].verdict is Verdict.NOT_TESTED


def test_an_old_weight_decay_that_no_run_has_is_not_evidence_against_it():
    demo, records = synthetic("fig04", lambda c: bowl(c, 3e-3 * c.method.loss_multiplier))
    records = Records.by_key(map(Record, records))
    row = next(row for row in EXPERIMENTS["fig04"].study(demo, records).rows if row.moves)
    assert loss_scale.best_run(row, "§4.2").verdict is Verdict.REPRODUCED
    old = row.methods[0].best.weight_decay
    for method in row.methods[1:]:
        method.tried = [run for run in method.tried if run.weight_decay != old]
    assert loss_scale.best_run(row, "§4.2").verdict is Verdict.NOT_TESTED


def test_fig04_waits_for_no_repetitions_and_says_nothing_from_a_few_cells():
    demo, records = synthetic(
        "fig04",
        lambda c: bowl(c, ((c.optimizer == "adam_l2" and c.method.loss_multiplier) or 1) * 3e-3),
    )
    repeated = dataclasses.replace(demo, seeds=3)
    known = [c.verdict for c in claims("fig04", repeated, records)]
    assert known[:6] == [c.verdict for c in claims("fig04", demo, records)][:6]
    assert known[6:] == [Verdict.NOT_RUN] * 6  # the lowest errors are compared over seeds
    grid, names = Grid((2e-3,), (0.0, 3e-3)), ("adam_l2", "adamw", "adamprox")
    grids = {name: grid for name in names}
    short = dataclasses.replace(demo, deep=Network(grids=grids), extensions=0)
    found = claims("fig04", short, records)
    assert found[4].measured.startswith("equal in 2 of 2 pairs") and "no pairs" in found[4].measured
    assert found[4].verdict is Verdict.INCONCLUSIVE
    less = [r for r in records if r["loss_multiplier"] == 1 or r["optimizer"] != "adamw"]
    assert claims("fig04", demo, less)[1].verdict is Verdict.NOT_RUN


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [(0.05, Verdict.REPRODUCED), (0.0, Verdict.INCONCLUSIVE), (-0.05, Verdict.NOT_REPRODUCED)],
)
def test_fig03_verdicts(gap, verdict):
    demo, records = synthetic(
        "fig03", lambda c: bowl(c, 3e-3) + (gap if c.optimizer == "adam_l2" else 0)
    )
    assert claims("fig03", demo, records)[0].verdict is verdict


@pytest.mark.parametrize(
    ("gap", "verdict"), [(0.0, Verdict.REPRODUCED), (0.1, Verdict.NOT_REPRODUCED)]
)
def test_fig05_verdicts(gap, verdict):
    demo, records = synthetic(
        "fig05", lambda c: bowl(c, 3e-3) + (gap if c.optimizer == "adamprox" else 0)
    )
    assert claims("fig05", demo, records)[0].verdict is verdict


def test_fig05_says_nothing_from_a_few_cells_or_from_guessing():
    def few(cell):
        return 0.9 if cell.learning_rate > 5e-4 else 0.3

    for error, verdict in ((few, Verdict.INCONCLUSIVE), (lambda cell: 0.89, Verdict.NOT_TESTED)):
        demo, records = synthetic("fig05", error)
        assert claims("fig05", demo, records)[0].verdict is verdict


def test_what_counts_as_learned_depends_on_the_number_of_classes():
    for dataset, error, expected in (
        ("digits", 0.84, True),
        ("cifar10", 0.86, False),
        ("cifar100", 0.98, True),
        ("cifar100", 0.99, False),
        ("cifar10", None, False),
    ):
        assert learned(Record({"dataset": dataset, "final_test_error": error})) is expected


def test_figures_can_be_drawn_when_everything_diverged():
    for name in ("fig03", "fig04", "fig05"):
        demo, records = synthetic(name, lambda c: None)
        assert figures(name, demo, records)
        assert all(c.verdict is Verdict.NOT_TESTED for c in claims(name, demo, records))


def test_adam_l2_is_also_run_where_the_multiplier_moves_it():
    demo = protocol("demo")
    assert demo.weight_decays_of("adam_l2", 1.0) == (0.0, 3e-4, 3e-3, 3e-2, 0.3)
    assert demo.weight_decays_of("adam_l2", 100.0) == (0.0, 3e-4, 3e-3, 3e-2, 0.3, 3.0, 30.0)
    assert demo.weight_decays_of("adamw", 100.0) == (0.0, 3e-4, 3e-3, 3e-2)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nope"], "experiment is unknown, got 'nope'. Names: all, fig01, .*data_size$"),
        (["fig3"], "got 'fig3'; did you mean fig03\\? Names: all, fig01, "),
        (["runn", "fig03"], "got 'runn'; did you mean run\\?"),
        (["run"], "NAME is missing: all or an experiment$"),
        (["draw", "--preset", "smoke"], "NAME is missing: all or an experiment$"),
        (["export", "--out", "x", "--tto", "y"], "unrecognized: --tto; did you mean --to\\?"),
        (["export", "--out", "x"], "arguments are required: --to"),
        (["fig01", "--log-dir", "x"], "log-dir changes nothing in fig01"),
        (["fig01", "--keep-parameters"], "keep-parameters changes nothing in fig01"),
        (["fig03", "--log-dir", "/dev/null", "--dry-run"], "log-dir must be a directory, got /dev"),
        (["fig03", "--presset", "smoke"], "unrecognized: --presset; did you mean --preset\\?"),
        (["fig03", "--learning-rates", "0.1,0.2"], "got '0.1,0.2'; separate values by spaces"),
        (["draw", "all", "--preset", "nope"], "preset must be one of smoke, demo"),
        (["fig01", "--depth", "14"], "depth changes nothing in fig01, got 14"),
        (["fig01", "--preset", "redcued"], "got 'redcued'; did you mean reduced\\?"),
        (["fig09"], r"which fig09 has runs \(smoke, reduced, paper\), got 'demo'$"),
        (
            ["fig09", "--epochs", "2"],
            r"which fig09 has runs \(smoke, reduced, paper\), got 'demo'$",
        ),
        (["published_resnet_44", "--preset", "smoke"], r"has runs \(paper\), got 'smoke'$"),
        (["data_size", "--dry-run"], r"which data_size has runs \(smoke, reduced\), got 'demo'$"),
        (
            ["fig03", "--optimizer", "adamw", "--grid-point", "1e-3,0.3"],
            "optimizer and grid-point must have a run of fig03 in common, got adamw and 0.001,0.3$",
        ),
        (
            [
                "changes_at_depth",
                "--preset",
                "reduced",
                "--learning-rates",
                "1e-3",
                "--epochs",
                "2",
            ],
            r"learning_rates must be left out of changes_at_depth at reduced, .* got \[0.001\]$",
        ),
        (["list", "--depth", "20"], "experiments list: unrecognized: --depth"),
        (["lst"], "did you mean list\\?"),
        (["run", "list"], "experiment must not be a command; run: python -m experiments list$"),
        (["status", "--out", 300 * "a"], "out must be a directory, got aaa.*name too long"),
        (["fig03", "--grid-point", "-1e-3,0"], "grid-point must be one of"),
        (["fig03", "--learning-rates", "-1e-3"], "learning_rate must be .*, got -0.001"),
        (["fig03", "--time-limit", "-5s"], "time-limit must be a number of s, m or h, .* '-5s'"),
        (["draw", "fig03", "--dry-run"], "experiments draw: unrecognized: --dry-run"),
        (["run", "fig3", "--help"], "did you mean fig03"),
        (["fig01", "--draw", "--dry-run"], "dry-run must not be given with --draw"),
        *(
            (["fig03", "--draw", *option], f"{option[0][2:]} must not be given with --draw")
            for option in (
                ["--workers", "0"],
                ["--engine", "ray"],
                ["--log-dir", "logs"],
                ["--keep-parameters"],
                ["--time-limit", "9s"],
                ["--optimizer", "adamw"],
                ["--grid-point", "1e-3,0"],
                ["--network", "ResNet-20"],
            )
        ),
        (["FIG03"], "did you mean fig03"),
        (["fig01", "--engine", "ray", "--address", "somewhere"], "address must be|needs Ray"),
        # Repetitions, which begin after the whole grid, have the next seeds.
        (["fig03", "--seed", "2147483647"], r"seed must be in 0 … 2\^31 − 1001, got 2147483647"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(argv, message, tmp_path, monkeypatch, capsys):
    """Hints, selections and options that exclude others; `tests.faults.bad_arguments` has the rest."""
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert re.search(message, captured.err) and captured.err.count("\n") == 1 and not captured.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["records", "figures", "tables", "fig06.html", "claims.json", "claims.csv"]
)
def test_what_is_in_the_way_is_found_before_anything_is_trained(tmp_path, capsys, name):
    (tmp_path / name).mkdir() if "." in name else (tmp_path / name).touch()
    assert main(["fig06", "--preset", "smoke", "--out", str(tmp_path)]) == 2
    assert "out must be a directory that can be written to" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_default_may_be_given(tmp_path, capsys):
    argv = ["fig03", "--preset", "smoke", "--out", str(tmp_path), "--dry-run"]
    assert main([*argv, "--seed", "0", "--validation-size", "0"]) == 0


@pytest.mark.parametrize("inside_an_import", [False, True])
def test_interrupted_is_one_line_wherever_it_came(tmp_path, monkeypatch, capsys, inside_an_import):
    def interrupted(*_, **__):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            if inside_an_import:
                raise ImportError("initialization failed") from error
            raise

    monkeypatch.setattr(command, "run", interrupted)
    assert command.main(["fig06", "--preset", "smoke", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.strip() == (
        "interrupted; finished runs are kept; repeat the command to continue"
    )


def test_what_nobody_foresaw_keeps_its_traceback(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a mistake in this project")

    monkeypatch.setattr(command, "run", broken)
    with pytest.raises(RuntimeError, match="a mistake"):
        command.main(["fig06", "--preset", "smoke", "--out", str(tmp_path)])


def test_grids_that_are_given_replace_those_of_single_networks():
    """Figure 2 has its own grids at 44 layers; α of the command line holds for every network."""
    own, given = (
        {
            run.learning_rate
            for run in runs("fig02", protocol("reduced", **rates))
            if run.network.depth == 44
        }
        for rates in ({}, {"learning_rates": (2e-3,)})
    )
    assert own == {1e-3, 5e-3} and given == {2e-3}


@pytest.mark.parametrize("preset", ["demo", "reduced"])
@pytest.mark.parametrize("name", ["factorial", "distributed"])
def test_grids_that_are_given_replace_those_of_experiments(name, preset):
    chosen = protocol(preset, learning_rates=(1e-3, 2e-3))
    trained = [run for run in runs(name, chosen) if isinstance(run, TrainingRun)]
    rates = {run.learning_rate for run in trained if not getattr(run.network, "batch_norm", False)}
    assert rates == {1e-3, 2e-3}
    assert protocol(preset).settings == PRESETS[preset].settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"sgd_divergance": {}}}, r"settings .* did you mean sgd_divergence\?"),
        ({"experiments": ("fig3",)}, r"experiments must not name fig3; did you mean fig03\?"),
        ({"deep": Network(grids={"adam_w": Grid((1e-3,), (0.0,))})}, "grids must not name adam_w"),
        (
            {"networks": {"R": Network(batch_norm_grids={"adam": Grid((1e-3,), (0.0,))})}},
            "name adam;",
        ),
    ],
)
def test_a_misspelled_name_in_a_preset_is_refused(change, message, monkeypatch):
    monkeypatch.setitem(PRESETS, "smoke", dataclasses.replace(PRESETS["smoke"], **change))
    with pytest.raises(ValueError, match=message):
        protocol("smoke")
