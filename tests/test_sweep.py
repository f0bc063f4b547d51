"""Sweeps: addresses, atomic records, resuming, interruption."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import jax
import pytest
from rich.console import Console

from adamprox.sweep import LostRunsError, OutOfTimeError, Results, lock, run_key, run_sweep
from adamprox.sweep.local import cores, run_local
from adamprox.sweep.lock import locked
from adamprox.sweep.pace import Pace
from adamprox.sweep.provenance import provenance
from adamprox.training import TrainingRun
from tests.crews import threads
from tests.squares import QUIET, Fatal, Long, Meeting, Pair, Square, table


def test_every_cell_has_one_record_in_order(tmp_path):
    cells = [Square(3.0), Square(1.0), Square(3.0), Square(2.0)]
    records = run_sweep(cells, Results(tmp_path), workers=0, console=QUIET)
    assert [r["square"] for r in records] == [9, 1, 4]
    assert json.loads(records[0]["provenance"])["jax"] and records[0]["list"] == [None, 1.5]
    assert sorted(p.suffix for p in tmp_path.rglob("*.*")) == [".parquet"] * 3


def test_done_cells_are_not_run_again_and_new_ones_are(tmp_path):
    results = Results(tmp_path)
    run_sweep([Square(2.0)], results, workers=0, console=QUIET)
    stamp = results.path(Square(2.0)).stat().st_mtime_ns
    run_sweep([Square(2.0), Square(5.0)], results, workers=0, console=QUIET)
    assert results.path(Square(2.0)).stat().st_mtime_ns == stamp
    assert results.read(Square(5.0)) is not None


def test_what_is_left_of_a_cell_that_has_a_record_is_removed(tmp_path):
    results = Results(tmp_path)
    run_sweep([Square(2.0)], results, workers=0, console=QUIET)
    done, unfinished = results.scratch(Square(2.0)), results.scratch(Square(3.0))
    for scratch in (done, unfinished):  # killed after its record, or before
        scratch.mkdir(parents=True)
        scratch.with_suffix(".lock").touch()
    with results.claim(Square(2.0)):  # another sweep is just removing it
        results.clear_leftovers([Square(2.0)])
        assert done.exists()
    results.clear_leftovers([Square(2.0), Square(3.0)])
    assert sorted(tmp_path.glob("unfinished/*")) == [unfinished, unfinished.with_suffix(".lock")]


def test_any_change_of_configuration_is_another_cell():
    base = TrainingRun()
    others = {"densenet": {"growth_rate": 24}, "mlp": {"width": 64}}
    changes = {
        "image_size": 4, "train_size": 100, "validation_size": 50, "validation_seed": 1, "augment": True,
        "depth": 8, "batch_norm": True, "skip_init": True, "compute_dtype": "bfloat16",
        "init_scale": 0.5, "optimizer": "adamprox", "learning_rate": 2e-3, "weight_decay": 0.0, "loss_multiplier": 2.0,
        "seed": 1, "init_seed": 1, "epochs": 2, "batch_size": 64, "evaluate_every": 2,
        "evaluate_train": True,
    }  # fmt: skip
    more = {"dataset", "network", "statistics_groups", "growth_rate", "width"}
    assert {*changes, *more} == TrainingRun.defaults().keys()
    cells = [base, *(base.with_options(**{k: v}) for k, v in changes.items())]
    for network, options in others.items():
        other = TrainingRun.of(network=network)
        cells += [other, other.with_options(**options)]
    cells += [
        base.with_options(dataset="cifar10"),
        base.with_options(batch_norm=True, statistics_groups=2),
    ]
    assert len(set(map(run_key, cells))) == len(cells)


def test_a_new_option_leaves_old_records_alone(tmp_path):
    """A record is still found when its cells have got an option whose default is what they did."""
    old, results = Square(3.0), Results(tmp_path)
    run_sweep([old], results, workers=0, console=QUIET)
    younger = dataclasses.make_dataclass(
        "Square", [("option", int, 7)], bases=(Square,), frozen=True
    )
    record = results.read(younger(3.0))
    assert record is not None and record["square"] == 9 and record["option"] == 7
    assert results.read(younger(3.0, option=8)) is None


def test_a_changed_default_is_not_mistaken_for_the_old_one(tmp_path):
    results = Results(tmp_path)
    run_sweep([Square(3.0)], results, workers=0, console=QUIET)
    changed = dataclasses.make_dataclass(
        "Square", [("seconds", float, 9.0)], bases=(Square,), frozen=True
    )
    assert results.read(changed(3.0)) is None


def test_a_device_takes_several_cells_at_once_if_they_fit(tmp_path):
    cells = [Pair(float(n)) for n in (1, 2, 3, 4, 5)]
    records = run_sweep(cells, Results(tmp_path), workers=0, console=QUIET)
    assert [r["square"] for r in records] == [1, 4, 9, 16, 25]
    assert [r.get("beside") for r in records] == [2, 2, 2, 2, 1]


def test_a_change_of_the_code_makes_new_cells(monkeypatch):
    before = run_key(Square(1.0))
    monkeypatch.setattr(Square, "version", 2)
    assert run_key(Square(1.0)) != before


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        Results(tmp_path).write(Square(2.0), {"square": 4.0}, provenance())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_long_cells_of_one_program_are_shared_once_their_times_are_known(tmp_path, monkeypatch):
    crews = threads(monkeypatch)
    cells = [Square(float(n), 0.2) for n in range(0, 16, 2)]
    run_sweep(cells, Results(tmp_path), workers=2, console=QUIET)
    first, second, *others = [worker for worker, _ in crews[0].given]
    assert first is second and len({first, *others}) == 2


def test_another_worker_compiles_only_what_it_would_not_come_too_late_for():
    pace = Pace()
    pace.note("slow to compile", 20.0, compiled=True)
    assert not pace.pays("slow to compile", 11, 1)  # nobody knows what the next will take
    for seconds in (2.0, 0.1):  # the second broke off, it says nothing of the others
        pace.note("slow to compile", seconds, compiled=False)
    assert [pace.pays("slow to compile", waiting, 1) for waiting in (10, 11)] == [False, True]
    assert [pace.pays("slow to compile", waiting, 2) for waiting in (20, 21)] == [False, True]


@dataclasses.dataclass(frozen=True)
class Placed(Meeting):
    """A run that records the cores of its process."""

    def run(self, scratch=None):
        return {**super().run(scratch), "cores": cores()}


def test_workers_are_processes_with_a_core_each_unless_it_is_in_use(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "met").mkdir()
    cells = [Placed(float(n), folder=str(tmp_path / "met")) for n in range(8)]
    first, *others = every = cores()
    with contextlib.ExitStack() as stack:
        for core in others:
            stack.enter_context(locked(tmp_path / f"adamprox-{os.getuid()}" / f"core-{core}.lock"))
        records = run_sweep(cells, Results(tmp_path / "out"), workers=2, console=QUIET)
    assert [r["square"] for r in records] == [n * n for n in range(8)]
    processes = {r["process"]: r["cores"] for r in records}
    placed = [first] if hasattr(os, "sched_setaffinity") else every
    assert os.getpid() not in processes and sorted(processes.values()) == [placed, every]


def test_a_killed_worker_and_an_exception_cost_only_their_cells(tmp_path, caplog):
    """The killed one is run again; the exception comes from its process with its traceback."""
    cells = [Fatal(0.0, deaths=1), Broken(1.0), *(Square(float(n)) for n in range(2, 6))]
    results = Results(tmp_path)
    with pytest.raises(LostRunsError, match=r"^1 runs raised an exception .*number=1\.0.*: boom$"):
        run_sweep(cells, results, workers=2, console=QUIET)
    assert [r["square"] for r in results.read_all(cells)] == [0, 4, 9, 16, 25]
    assert "in run" in caplog.text and "Traceback" in caplog.text
    assert [path.suffix for path in (tmp_path / "unfinished").iterdir()] == [".failed"]


class Mortal(Fatal):
    """A cell that ends a worker of `tests.crews`."""

    @staticmethod
    def kill():
        raise BrokenProcessPool


def test_a_cell_that_kills_every_worker_is_named_when_the_others_are_done(tmp_path, monkeypatch):
    threads(monkeypatch)
    cells = [Mortal(0.0, deaths=99), Mortal(1.0, deaths=2), Mortal(2.0), Mortal(3.0, deaths=1)]
    results = Results(tmp_path)
    with pytest.raises(LostRunsError, match=r"^1 runs killed .* 3 times .*number=0\.0"):
        run_sweep(cells, results, workers=1, console=QUIET)
    assert [r["square"] for r in results.read_all(cells)] == [1, 4, 9]
    assert len(list(results.scratch(cells[0]).iterdir())) == 3
    assert results.failed() == {run_key(cells[0])}


def test_workers_that_cannot_start_end_the_sweep(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from adamprox.sweep import Results, run_sweep, scheduler\n"
        "from tests.squares import QUIET, Square\n"
        "scheduler._TRIES = 1  # each takes seconds\n"
        f"run_sweep([Square(1.0)], Results({str(tmp_path)!r}), workers=1, console=QUIET)\n"
    )
    root = pathlib.Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "worker processes end right after they start" in done.stderr.splitlines()[-1]


@dataclasses.dataclass(frozen=True)
class Noted(Square):
    """A cell that notes in a file that it was run."""

    notes: str = ""

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        with open(self.notes, "a") as file:
            file.write(f"{self.number:g}\n")
        return super().run(scratch)


@pytest.mark.parametrize("workers", [0, 1])
def test_two_sweeps_into_one_directory_share_the_cells(tmp_path, workers, monkeypatch):
    threads(monkeypatch)
    notes = tmp_path / "notes"
    cells = [Noted(float(n), 0.05, str(notes)) for n in range(12)]

    def sweep(_):
        console = Console(quiet=True)  # its own, as two processes have
        return run_sweep(cells, Results(tmp_path), workers=workers, console=console)

    with ThreadPoolExecutor(2) as pool:
        tables = list(pool.map(sweep, range(2)))
    assert tables[0] == tables[1] and [r["number"] for r in tables[0]] == list(range(12))
    assert sorted(map(int, notes.read_text().split())) == list(range(12))


def test_the_claim_of_a_killed_process_ends_with_it(tmp_path):
    """As long as it lives the cell is its own; nothing is left of the claim afterwards."""
    shutil.copy(lock.__file__, tmp_path)  # which loads without JAX
    script = (
        "import sys, time; from lock import locked\n"
        "with locked(sys.argv[1]) as ours: print(ours, flush=True); time.sleep(99)"
    )
    path = Results(tmp_path).scratch(Square(1.0)).with_suffix(".lock")
    command = [sys.executable, "-c", script, path]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"True\n"
        with Results(tmp_path).claim(Square(1.0)) as ours:
            assert not ours
        process.kill()
        process.wait()
        with Results(tmp_path).claim(Square(1.0)) as ours:
            assert ours
    assert list((tmp_path / "unfinished").iterdir()) == []


@pytest.mark.slow
def test_ten_killed_workers_leave_no_trace(tmp_path):
    cells = [Square(float(n), 0.05) for n in range(40)]
    expected = run_sweep(cells, Results(tmp_path / "whole"), workers=0, console=QUIET)
    results, finished = Results(tmp_path / "killed"), []
    for record in run_local(cells, results, 2):
        finished.append(record["key"])
        if len(finished) <= 20 and len(finished) % 2:
            os.kill(record["process"], signal.SIGKILL)
    assert len(finished) == len(set(finished)) == 40
    assert table(results.read_all(cells)) == table(expected)


@pytest.mark.slow
def test_a_sweep_killed_ten_times_ends_as_one_that_was_not(tmp_path):
    root = pathlib.Path(__file__).parents[1]
    command = [sys.executable, pathlib.Path(__file__).with_name("interrupted_sweep.py"), tmp_path]
    files = lambda: sorted(tmp_path.rglob("*.parquet"))  # noqa: E731
    for _ in range(10):
        before = len(files())
        with subprocess.Popen(command, cwd=root) as process:
            deadline = time.monotonic() + 60
            while len(files()) < before + 2 and time.monotonic() < deadline:
                time.sleep(0.02)
            process.kill()
    assert 20 <= len(files()) <= 30
    assert subprocess.run(command, cwd=root, timeout=100).returncode == 0
    cells = [Square(float(n), 0.2) for n in range(30)]
    expected = run_sweep(cells, Results(tmp_path / "whole"), workers=2, console=QUIET)
    assert table(Results(tmp_path).read_all(cells)) == table(expected)
    assert len(files()) == 2 * 30


def test_a_record_that_another_sweep_wrote_is_no_reason_to_wait(tmp_path, caplog, monkeypatch):
    crews, run, results = threads(monkeypatch), Square(1.0), Results(tmp_path)
    results.write(run, run.run(), {})
    assert len(list(run_local([run], results, 1))) == 1
    assert "waiting for" not in caplog.text and not crews[0].given


@pytest.mark.slow  # eight devices; test_many_devices.py divides groups in every run
def test_groups_are_divided_over_all_devices(run_with_devices, tmp_path):
    run_with_devices(8, pathlib.Path(__file__).with_name("sweep_on_devices.py"), tmp_path)


@pytest.mark.parametrize("workers", [-1, 1.5, "2", True])
def test_numbers_of_workers_are_checked(tmp_path, workers):
    with pytest.raises(ValueError, match="workers must be a whole number >= 0 or None, got"):
        run_sweep([Square(1.0)], Results(tmp_path), workers=workers, console=QUIET)
    assert not list(tmp_path.iterdir())


@dataclasses.dataclass(frozen=True)
class Broken(Square):
    """A cell that raises."""

    def run(self, scratch=None):
        raise RuntimeError("boom")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_raises_is_named_at_the_end(tmp_path, caplog, workers, monkeypatch):
    threads(monkeypatch)
    runs, results = [Broken(7.0), Square(1.0), Broken(8.0), Square(2.0)], Results(tmp_path)
    with pytest.raises(LostRunsError, match=r"2 runs raised an exception .*number=7.*: boom.*=8"):
        run_sweep(runs, results, workers=workers, console=QUIET)
    assert [record["square"] for record in results.read_all(runs)] == [1, 4]
    assert "in run" in caplog.text and "Traceback" in caplog.text


def test_workers_store_unfinished_runs_before_the_deadline(tmp_path, monkeypatch):
    """The other worker ends its run; a run that waits does not begin."""
    crews, results = threads(monkeypatch), Results(tmp_path)
    runs, began = [Long(float(n)) for n in (1, 2, 3)], time.monotonic()
    with pytest.raises(OutOfTimeError):
        run_sweep(runs, results, workers=2, console=QUIET, deadline=began + 100)
    assert time.monotonic() - began < 60
    assert [record["square"] for record in results.read_all(runs)] == [1]
    assert [run for _, run in crews[0].given] == runs[:2]
    (state,) = tmp_path.rglob("state")
    assert 30 < float(state.read_text()) < 95


def test_workers_stop_in_time(tmp_path, monkeypatch):
    threads(monkeypatch)
    cells, results = [Square(float(n), 0.1) for n in range(40)], Results(tmp_path)
    with pytest.raises(OutOfTimeError):
        run_sweep(cells, results, workers=1, console=QUIET, deadline=time.monotonic() + 0.5)
    assert len(results.read_all(cells)) < 40


@pytest.mark.parametrize("kind", [Square, Pair])
def test_no_run_begins_after_the_deadline(tmp_path, kind):
    with pytest.raises(OutOfTimeError):
        run_sweep([kind(1.0)], Results(tmp_path), workers=0, console=QUIET, deadline=0.0)
    assert not list(tmp_path.rglob("*.parquet"))


@dataclasses.dataclass(frozen=True)
class BrokenPair(Pair):
    """Squares that a device takes by twos, of which 5 raises."""

    @staticmethod
    def run_together(cells, scratch, deadline):
        for cell in cells:
            if cell.number == 5:
                raise RuntimeError("boom")
            yield cell, {"square": cell.number**2, "beside": len(cells)}


def test_a_run_that_raises_costs_its_group_no_other_run(tmp_path):
    runs, results = [BrokenPair(float(n)) for n in (3, 1, 5, 7, 9, 11)], Results(tmp_path)
    with pytest.raises(LostRunsError, match=r"1 runs raised an exception .*number=5"):
        run_sweep(runs, results, workers=0, console=QUIET)
    assert [record["number"] for record in results.read_all(runs)] == [3, 1, 7, 9, 11]
    assert not list((tmp_path / "unfinished").glob("group-*"))


class BrokenEnd(Pair):
    """A run whose group raises after its last record."""

    @classmethod
    def run_together(cls, cells, scratch, deadline):
        yield from super().run_together(cells, scratch, deadline)
        raise RuntimeError("boom")


def test_an_error_after_the_last_record_of_a_group_is_shown(tmp_path, caplog):
    runs = [BrokenEnd(1.0), BrokenEnd(3.0)]
    assert len(run_sweep(runs, Results(tmp_path), workers=0, console=QUIET)) == 2
    assert "after the last record of a group: RuntimeError: boom" in caplog.text


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_ends_the_sweep(tmp_path, workers, monkeypatch):
    threads(monkeypatch)
    results = Results(tmp_path)
    with pytest.raises(OSError, match="no space left"):
        run_sweep([NoSpace(1.0), Square(2.0)], results, workers=workers, console=QUIET)
    assert results.read(Square(2.0)) is None


@dataclasses.dataclass(frozen=True)
class NoSpace(Square):
    """A run whose checkpoint does not fit on the disk."""

    def run(self, scratch=None):
        raise OSError("no space left")


def test_workers_stay_off_the_cores_of_another_sweep(tmp_path, monkeypatch):
    crews = threads(monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder, (first, *others) = tmp_path / f"adamprox-{os.getuid()}", cores()
    folder.mkdir()

    def place(number):
        run_sweep([Square(number)], Results(tmp_path), workers=1, console=QUIET)
        return crews[-1].places

    assert place(1.0) == [first]
    with contextlib.ExitStack() as stack:
        assert stack.enter_context(locked(folder / f"core-{first}.lock"))
        assert place(2.0) == (others[:1] or [None])
        for core in others:
            assert stack.enter_context(locked(folder / f"core-{core}.lock"))
        assert place(3.0) == [None]  # all are in use: the operating system decides
    folder.rmdir()
    folder.write_text("in the way")
    assert place(4.0) == [None]


def test_a_script_on_standard_input_has_workers(tmp_path):
    script = (
        "from adamprox.sweep import Results, run_sweep\n"
        "from tests.squares import QUIET, Square\n"
        f"records = run_sweep([Square(3.0)], Results({str(tmp_path)!r}), workers=1, console=QUIET)\n"
        "print(records[0]['square'], __file__)\n"
    )
    root = pathlib.Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-"], input=script, cwd=root, capture_output=True, text=True, timeout=200
    )
    assert done.stdout == "9.0 <stdin>\n", done.stderr


def test_engines_have_names(tmp_path):
    with pytest.raises(ValueError, match="engine must be one of local, ray, got 'slurm'"):
        run_sweep([Square(1.0)], Results(tmp_path), engine="slurm", console=QUIET)
    with pytest.raises(ValueError, match=r"address needs the engine ray.*'auto'"):
        run_sweep([Square(1.0)], Results(tmp_path), address="auto", console=QUIET)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_interrupted_sweeps_keep_what_is_done_and_go_on(tmp_path, engine):
    """Ctrl-C as a terminal sends it: to the whole process group."""
    script = pathlib.Path(__file__).with_name("interrupted_sweep.py")
    if engine == "ray":
        pytest.importorskip("ray")
    command = [sys.executable, str(script), str(tmp_path), engine]
    root = pathlib.Path(__file__).parents[1]
    process = subprocess.Popen(command, start_new_session=True, cwd=root)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.rglob("*.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    done = len(list(tmp_path.rglob("*.parquet")))
    assert 2 <= done < 30  # and perhaps a temporary file, of a worker stopped while it wrote
    cells = [Square(float(n), 0.2) for n in range(30)]
    results = Results(tmp_path)
    assert sum(results.read(cell) is not None for cell in cells) == done


def test_provenance_names_versions_commit_and_machine():
    found = provenance()
    assert {"jax", "optax", "flax", "python", "commit", "cpu", "device", "finished"} <= set(found)
    assert found["device"] == jax.local_devices()[0].device_kind


def test_a_terminal_is_shown_what_is_finished(tmp_path):
    console, seen = Console(file=io.StringIO(), force_terminal=True), []

    def view(cells, records):
        seen.append((len(cells), len(records)))
        return "the view"

    cells = [Square(float(n)) for n in range(3)]
    run_sweep(cells[:1], Results(tmp_path), workers=0, view=view, console=QUIET)
    run_sweep(cells, Results(tmp_path), workers=0, view=view, console=console)
    assert seen[-2:] == [(3, 2), (3, 3)] and "the view" in console.file.getvalue()
