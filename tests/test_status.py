"""The progress of a sweep, as another process sees it."""

import datetime
import json
import re

import pytest

from adamprox.report.cost import cost_in_seconds
from adamprox.sweep import Results, run_sweep
from adamprox.sweep.lock import is_locked, locked
from adamprox.sweep.progress import announce, retract
from adamprox.training import TrainingRun
from experiments.__main__ import main
from tests.squares import QUIET, Square

RUNS = [TrainingRun.of(network="mlp", depth=2, train_size=64, epochs=2, seed=s) for s in range(4)]


@pytest.fixture(scope="module")
def columns():
    """Columns of the record of the first run."""
    return RUNS[0].run()


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_status_of_a_sweep_that_another_process_executes(tmp_path, capsys, columns):
    results = Results(tmp_path / "demo" / "records")
    announce(RUNS, results)
    path = results.directory / "sweep.json"
    listed = json.loads(path.read_text())
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=100)
    path.write_text(json.dumps(listed | {"started": before.isoformat()}))
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    results.write(RUNS[0], columns | {"seconds": 50.0}, {"finished": now})
    results.fail(RUNS[1], "out of memory")
    with results.claim(RUNS[2]):
        files = tree(tmp_path)
        assert main(["status", "--out", str(tmp_path)]) == 0
        assert tree(tmp_path) == files
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path / 'demo'}: 4 runs: 1 finished, 1 running, 1 failed, 1 left"
    # Two runs of 50 s are left; 50 s of training took a bit more than 100 s.
    assert re.fullmatch(r"  0\.0[12]\d* epochs/s, about [3-9] min left", second)
    assert main(["status", "--out", str(tmp_path / "demo")]) == 0
    assert "no process trains" in capsys.readouterr().out
    results.write(RUNS[1], columns, {"finished": now})
    assert not results.failed()


def test_the_time_of_another_dtype_is_not_used(tmp_path, columns):
    run = RUNS[0].with_options(compute_dtype="bfloat16")
    record = Results(tmp_path).write(run, columns | {"seconds": 1e6}, {})
    assert cost_in_seconds([run], [record]) > 1e5 > cost_in_seconds(RUNS[:1], [record])


def test_status_of_finished_old_and_missing_sweeps(tmp_path, capsys):
    results = Results(tmp_path / "records")
    run_sweep([Square(1.0), Square(2.0)], results, workers=0, console=QUIET)
    assert main(["status", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: 2 runs finished\n"
    assert not (results.directory / "sweep.json").exists()
    for damage in ('{"started": 1, "runs": []}', "[", '{"runs": [{}]}'):
        (results.directory / "sweep.json").write_text(damage)
        assert main(["status", "--out", str(tmp_path)]) == 0
        assert capsys.readouterr().out == f"{tmp_path}: 2 runs finished\n"
    results.path(Square(2.0)).write_bytes(b"damaged")
    assert main(["status", "--out", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path}: 1 runs finished"
    assert (
        second == f"  {results.path(Square(2.0))} is damaged or belongs to another run: not counted"
    )
    assert main(["status", "--out", str(tmp_path / "none")]) == 2
    assert "out must hold records" in capsys.readouterr().err


def test_status_of_runs_that_another_version_of_the_package_trains(tmp_path, capsys):
    results = Results(tmp_path / "records")
    announce(RUNS, results)
    path = results.directory / "sweep.json"
    text = path.read_text()
    for damage in ('{"optimizer": "newer", ', '{"network": ["newer"], '):
        path.write_text(text.replace('{"network": "mlp", ', damage))
        with results.claim(RUNS[2]):
            assert main(["status", "--out", str(tmp_path)]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first == f"{tmp_path}: 4 runs: 0 finished, 1 running, 0 failed, 3 left"
        assert second == "  another version of the package trains these runs; time left unknown"


def test_status_of_times_without_a_zone(tmp_path, capsys, columns):
    results = Results(tmp_path / "records")
    announce(RUNS, results)
    path = results.directory / "sweep.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"started": "2026-01-01T00:00:00"}))
    results.write(RUNS[0], columns, {"finished": "2026-01-02T00:00:00"})
    with results.claim(RUNS[2]):
        assert main(["status", "--out", str(tmp_path)]) == 0
    assert "epochs/s" in capsys.readouterr().out


def test_a_sweep_deletes_its_own_list_only(tmp_path):
    results = Results(tmp_path)
    first = announce(RUNS[:2], results)
    second = announce(RUNS, results)
    retract(results, first)
    assert (tmp_path / "sweep.json").exists()
    retract(results, second)
    assert not (tmp_path / "sweep.json").exists()


def test_a_lock_is_seen_only_while_it_is_held(tmp_path):
    path = tmp_path / "lock"
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path) and is_locked(path)
    path.touch()  # as a killed process leaves it
    assert not is_locked(path)
    with locked(path) as ours:
        assert ours
