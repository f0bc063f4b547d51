"""The accelerator benchmark: rows are saved as they come, and one that fails costs no other."""

import json

import pytest

from benchmarks import accelerator


def test_rows_are_saved_as_they_come(tmp_path, monkeypatch, capsys):
    out, seen = tmp_path / "new" / "rows.json", []

    def row(task, steps):
        seen.append(len(json.loads(out.read_text())) if out.exists() else 0)
        if task.dtype == "bfloat16":
            raise RuntimeError("RESOURCE_EXHAUSTED: no memory\nmore")
        rate = 100.0 * task.runs if task.depth else None
        return {**task._asdict(), "images_per_second": rate, "device": "card", "versions": {}}

    monkeypatch.setattr(accelerator, "row", row)
    monkeypatch.setattr(accelerator.importlib.util, "find_spec", lambda name: True)
    assert accelerator.main(["--out", str(out)]) == 0
    rows = json.loads(out.read_text())
    assert seen == sorted(seen) and len(rows) == max(seen) + 1 > 4
    printed = capsys.readouterr().out
    assert "failed: Task(implementation='adamprox'" in printed and "no memory" in printed
    assert accelerator.main(["--show", str(out)]) == 0
    table = capsys.readouterr().out
    assert "| ResNet-20 | float32 | adamprox, at once | 8 | 800 | 8.00 |" in table


def test_no_row_begins_when_the_time_is_over(monkeypatch, capsys):
    monkeypatch.setattr(accelerator, "row", None)
    assert accelerator.main(["--seconds", "-1"]) == 0
    assert "out of time" in capsys.readouterr().out


@pytest.mark.slow
def test_smoke_on_any_machine(tmp_path):
    assert accelerator.main(["--smoke", "--out", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    ours = [r for r in rows if r["implementation"] == "adamprox"]
    assert [(r["runs"], r["dtype"]) for r in ours] == [(2, "bfloat16"), (1, "float32")]
    columns = {"implementation", "way", "network", "depth", "dtype", "runs", "images_per_second"}
    assert all(columns | {"device", "versions"} <= r.keys() for r in rows)
