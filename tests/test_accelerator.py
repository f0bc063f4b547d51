"""The accelerator benchmark: rows are saved as they come, and one that fails costs no other."""

import json
import sys

import pytest

from benchmarks import accelerator, engines, gpu_kernels


def test_rows_are_saved_as_they_come(tmp_path, monkeypatch, capsys):
    out, seen = tmp_path / "new" / "rows.json", []

    def row(task, steps, started):
        seen.append(len(json.loads(out.read_text())) if out.exists() else 0)
        if task.dtype == "bfloat16":
            raise RuntimeError("RESOURCE_EXHAUSTED: no memory\nmore")
        rate = 100.0 * task.runs if task.depth else None
        return {**task._asdict(), "images_per_second": rate, "device": "card", "started": started}

    monkeypatch.setattr(accelerator, "row", row)
    monkeypatch.setattr(accelerator.importlib.util, "find_spec", lambda name: True)
    assert accelerator.main(["--out", str(out)]) == 0
    rows = json.loads(out.read_text())
    assert seen == sorted(seen) and len(rows) == max(seen) + 1 > 4
    printed = capsys.readouterr().out
    assert "failed: Task(implementation='adamprox'" in printed and "no memory" in printed
    assert accelerator.main(["--show", str(out)]) == 0
    table = capsys.readouterr().out
    assert "| ResNet-20 | float32 | adamprox, batched | 8 | 800 | 8.00 |" in table
    assert len({row["started"] for row in rows}) == 1


def test_ratios_are_within_one_benchmark():
    """Two cards differ in speed."""
    row = {"depth": 20, "dtype": "float32", "way": "at once", "runs": 8, "device": "card"}
    ours, torch = row | {"implementation": "adamprox"}, row | {"implementation": "torch"}
    rows = [
        implementation | {"images_per_second": rate, "started": started}
        for implementation, rate, started in (
            (ours, 300, 1),
            (torch, 100, 1),
            (ours, 300, 2),
            (torch, 200, 2),
        )
    ]
    table = accelerator.markdown(rows)
    assert "| 300 | 3.00 | 1 |" in table and "| 300 | 1.50 | 2 |" in table


def test_no_row_begins_when_the_time_is_over(monkeypatch, capsys):
    monkeypatch.setattr(accelerator, "row", None)
    assert accelerator.main(["--seconds", "1e-9"]) == 0
    assert "out of time" in capsys.readouterr().out


def test_bad_files_are_a_line_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(accelerator, "row", None)
    (tmp_path / "rows.json").write_text('[{"depth": 20}]')
    (tmp_path / "empty.json").write_text("[]")
    wrong = [
        ["--show", str(tmp_path / "none.json")],
        ["--show", str(tmp_path)],
        ["--show", str(tmp_path / "rows.json")],
        ["--out", str(tmp_path)],
        ["--out", str(tmp_path / "rows.json" / "x.json")],
        ["--seconds", "nan"],
        ["--seconds", "-1"],
        ["--show", str(tmp_path / "none.json"), "--smoke"],
        ["--show", str(tmp_path / "empty.json")],
    ]
    for arguments in wrong:
        with pytest.raises(SystemExit, match="2"):
            accelerator.main(arguments)
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and f"{arguments[0][2:]} must be" in error


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--workers", "0"], "workers must be a positive integer, got 0"),
        (["--depth", "9"], "depth must be 6n + 2 (8, 14, 20, 26, 32, 44, 56, …), got 9"),
        ([], "engine ray needs Ray, which is not installed; run: pip install 'adamprox[ray]'"),
    ],
)
def test_engines_that_cannot_be_measured_are_a_line_before_any_work(
    options, line, monkeypatch, capsys
):
    monkeypatch.setattr(engines, "sweep", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit, match="2"):
        engines.main(options)
    assert capsys.readouterr().err == f"python -m benchmarks.engines: {line}\n"


@pytest.mark.slow
def test_smoke_on_any_machine(tmp_path):
    assert accelerator.main(["--smoke", "--out", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    ours = [r for r in rows if r["implementation"] == "adamprox"]
    assert [(r["runs"], r["dtype"]) for r in ours] == [(2, "bfloat16"), (1, "float32")]
    columns = {"implementation", "way", "network", "depth", "dtype", "runs", "images_per_second"}
    assert all(columns | {"device", "versions"} <= r.keys() for r in rows)


HLO = """HloModule jit_epoch, is_scheduled=true

%small (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %p = (s32[], f32[4]) parameter(0)
  ROOT %copy.1 = f32[4]{0} copy(%p)
}

%body.clone (q: (s32[], /*index=1*/f32[4])) -> (s32[], f32[4]) {
  %q = (s32[], f32[4]) parameter(0)
  %a = f32[4]{0} get-tuple-element(%q), index=1
  %conv = (f32[4]{0}, u8[0]{0}) custom-call(%a, %a), custom_call_target="__cudnn$convForward"
  %b = f32[4]{0} get-tuple-element(%conv), index=0
  %c = (f32[4]{0}, /*index=1*/f32[4]{0}) fusion(%b), kind=kLoop, calls=%small
  %d = f32[4]{0} fusion(%b), kind=kLoop, calls=%small
  %e = f32[4]{0} copy(%d)
  ROOT %t = (s32[], f32[4]{0}) tuple(%q, %e)
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %w = (s32[], f32[4]{0}) while(%x), condition=%small, body=%body.clone
  %v = (s32[], f32[4]{0}) while(%x), condition=%small, body=%small
  ROOT %y = f32[4]{0} copy(%w)
}
"""


def test_kernels_are_counted_in_the_largest_loop():
    found = gpu_kernels.kernels_of_a_step(HLO)
    assert found == {"custom-call cudnn$convForward": 1, "fusion Loop": 2, "copy": 1}


@pytest.mark.parametrize(
    ("argument", "value", "reason"),
    [
        ("--depth", "9", "depth must be 6n + 2 (8, 14, 20, 26, 32, 44, 56, …), got 9"),
        ("--dtype", "int8", "compute_dtype must be one of float32, bfloat16, got int8"),
        ("--runs", "0", "runs must be >= 1, got 0"),
    ],
)
def test_kernels_of_what_does_not_exist(argument, value, reason, capsys):
    with pytest.raises(SystemExit, match="2"):
        gpu_kernels.main([argument, value])
    assert capsys.readouterr().err == f"python -m benchmarks.gpu_kernels: {reason}\n"
