"""Every example runs, is short, and does what its page says."""

import importlib.util
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_listed(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60
    page = EXAMPLES.parent / "docs" / "examples.md"
    assert f"examples/{path.name}" in page.read_text(encoding="utf-8")


def test_flax_nnx():
    assert load("flax_nnx").main(steps=100) < 0.1


def test_equinox_mlp():
    pytest.importorskip("equinox")
    error, units = load("equinox_mlp").main()
    assert error < 0.1 and 10 < units < 64


def test_orbax_checkpoint():
    assert load("orbax_checkpoint").main()


def test_sharding(run_with_devices):
    run_with_devices(2, EXAMPLES / "sharding.py")


def test_muon_group_sparsity():
    share, units, _, error = load("muon_group_sparsity").main(steps=300)
    assert share >= 0.6 and units < 200 and error < 0.1
