"""Callbacks, TensorBoard scalars, final parameters and exported tables."""

import csv
import sys
import types

import pyarrow.parquet as pq
import pytest

from adamprox.data import fingerprints
from adamprox.histograms import log2_spread
from adamprox.report.export import export
from adamprox.sweep import Results
from adamprox.training import TrainingRun
from adamprox.training.checkpoints import digest, orbax
from adamprox.training.monitoring import outputs
from experiments.__main__ import main
from tests.faults.strangers import store

RUN = TrainingRun.of(
    network="mlp", depth=2, train_size=64, batch_size=32, epochs=3, evaluate_every=2
)


def test_a_callback_gets_every_epoch():
    calls = []
    record = RUN.run(callback=lambda step, metrics: calls.append((step, metrics)))
    assert [step for step, _ in calls] == [2, 4, 6]
    assert [metrics["train_loss"] for _, metrics in calls] == record["train_loss"]
    assert [metrics.get("test_error") for _, metrics in calls] == record["test_error"]
    assert set(calls[0][1]) == {"train_loss", "train_error"}


def test_steps_are_those_of_the_images_that_are_there(monkeypatch):
    # The sizes by which another archive is announced can differ from its own.
    announced = fingerprints.COMMITTED["digits"]._replace(train=5000)
    monkeypatch.setitem(fingerprints.COMMITTED, "digits", announced)
    calls, run = [], RUN.with_options(train_size=None, epochs=1)
    run.run(callback=lambda step, _: calls.append(step))
    assert calls == [512 // run.images.batch_size]


def test_a_diverged_run_reports_its_last_step():
    calls = []
    run = RUN.with_options(optimizer="sgd", learning_rate=1e5, weight_decay=1e5)
    record = run.run(callback=lambda step, _: calls.append(step))
    assert calls[-1] == record["diverged_step"] > 0


def test_scalars_of_every_epoch(tmp_path, monkeypatch):
    written = {}

    class SummaryWriter:
        def __init__(self, folder):
            self.values = written[folder] = []

        def add_scalar(self, tag, value, step):
            self.values.append((tag, value, step))

        def close(self):
            self.values.append("closed")

    fake = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "tensorboardX", fake)
    with outputs(tmp_path / "logs"):
        record = RUN.run()
    ((folder, values),) = written.items()
    assert folder.startswith(f"{tmp_path}/logs/adamw,0.001,0.0001,0_") and values[-1] == "closed"
    assert ("train_loss", record["train_loss"][0], 2) in values
    assert ("test_error", record["test_error"][-1], 6) in values
    RUN.run()
    assert len(written) == 1  # not outside of the context


def test_scalars_need_a_writer(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    argv = ["fig05", "--preset", "smoke", "--out", str(tmp_path / "out")]
    assert main([*argv, "--log-dir", str(tmp_path)]) == 2
    assert "log-dir needs tensorboardX, which is not installed" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_final_parameters_are_kept_and_restored(tmp_path):
    with outputs(parameters=tmp_path / "parameters"):
        record = RUN.run()
    (path,) = (tmp_path / "parameters").iterdir()
    with orbax().StandardCheckpointer() as checkpointer:
        assert digest(checkpointer.restore(path)) == record["parameters_digest"]


def test_parameters_that_cannot_be_kept_do_not_end_a_run(tmp_path):
    place = tmp_path / "file"
    with outputs(parameters=place), pytest.warns(UserWarning, match="cannot be saved"):
        place.touch()
        assert RUN.run()["epoch"] == [1, 2, 3]


@pytest.mark.parametrize("option", ["--keep-parameters", "--log-dir"])
def test_places_that_cannot_be_written_to_are_refused_before_training(tmp_path, capsys, option):
    out = tmp_path / "out"
    argv = ["fig05", "--preset", "smoke", "--out", str(out), "--workers", "0", option]
    if option == "--log-dir":
        argv.append("/proc/logs")
    else:
        out.mkdir()
        (out / "parameters").touch()
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "can be written to" in error
    assert not (out / "records").exists()


def test_finished_runs_without_parameters_are_counted(tmp_path, capsys):
    argv = ["fig05", "--preset", "smoke", "--out", str(tmp_path), "--workers", "0"]
    one, line = ["--grid-point", "1e-3,0"], "finished runs have no kept parameters"
    assert main([*argv, *one, "--optimizer", "adamw"]) == 0
    count = len(list(Results(tmp_path / "records").each(TrainingRun.kind)))
    assert main([*argv, *one, "--keep-parameters"]) == 0
    assert f"{count} {line}" in " ".join(capsys.readouterr().err.split())
    for key in (r.key for r in Results(tmp_path / "records").each(TrainingRun.kind)):
        (tmp_path / "parameters" / key).mkdir(exist_ok=True)
    assert main([*argv, *one, "--keep-parameters"]) == 0
    assert line not in " ".join(capsys.readouterr().err.split())


def test_exported_tables_hold_what_the_records_hold(tmp_path, capsys):
    results = Results(tmp_path / "out" / "records")
    runs = [RUN, RUN.with_options(optimizer="sgd", learning_rate=1e5, weight_decay=1e5)]
    records = [results.write(run, run.run(), {"commit": "=1+1"}) for run in runs]
    for name, row in {"00": {}, "01": {"dataset": ["digits"], "data_fingerprint": 1}}.items():
        others = results.directory / "training" / f"{name}.parquet"
        store(others, [{"key": name, "kind": "training", **row}])
    assert len(list(results.each("training"))) == len(runs) + 2
    (results.directory / "training" / "02.parquet").write_bytes(b"damaged")
    tables = tmp_path / "tables"
    with pytest.warns(UserWarning, match="left out") as caught:
        assert main(["export", "--out", str(tmp_path / "out"), "--to", str(tables)]) == 0
    damaged, others = (str(warning.message) for warning in caught)
    assert "02.parquet is damaged" in damaged and others.startswith("2 records are of another")
    names = ["runs.parquet", "runs.csv", "epochs.parquet", "epochs.csv"]
    assert capsys.readouterr().out.split() == [str(tables / name) for name in names]
    assert pq.read_table(tables / "runs.parquet").num_rows == len(runs)
    by_key = {row["key"]: row for row in pq.read_table(tables / "runs.parquet").to_pylist()}
    epochs = pq.read_table(tables / "epochs.parquet").to_pylist()
    for record in records:
        row = by_key[record.key]
        assert (row["final_test_error"], row["seconds"]) == (record.error, record.seconds)
        assert row["commit"] == "=1+1" and row["jax"] == "unknown"
        own = [each for each in epochs if each["key"] == record.key]
        assert [each["epoch"] for each in own] == record.epochs
        assert [each["test_error"] for each in own] == record["test_error"]
        counts = [[each[f"updates_{27 - k}"] for k in range(28)] for each in own]
        assert counts == record["update_histogram"]
        spreads = [float(log2_spread(each)) for each in counts]
        assert [each["update_spread"] for each in own] == pytest.approx(spreads, nan_ok=True)
    with (tables / "runs.csv").open(newline="") as file:
        assert {row["commit"] for row in csv.DictReader(file)} == {"'=1+1"}
    with pytest.warns(UserWarning, match="left out"):
        assert export(str(tmp_path / "out"), str(tables)) == [tables / name for name in names]
    assert main(["export", "--out", str(tmp_path / "none"), "--to", str(tables)]) == 2
    with pytest.warns(UserWarning, match="left out"):
        argv = ["export", "--out", str(tmp_path / "out"), "--to", str(tables / "runs.csv")]
        assert main(argv) == 2
    assert "to must be a directory that can be written to" in capsys.readouterr().err
