"""Every example runs, is short, and does what its page says."""

import importlib.util
import pathlib

import jax
import numpy as np
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


@pytest.mark.slow
def test_quantized_resnet_has_exact_weights():
    """Two epochs of a small network on digits."""
    example = load("quantized_resnet")
    options = dict(example.REDUCED, dataset="digits", image_size=4, train_size=64, epochs=2)
    options |= {"validation_size": 0, "depth": 8, "evaluate_every": 2}
    error, kernels = example.fit("ternary", 0, **options)
    assert 0 <= error <= 1 and len(kernels) == 6
    assert all(example.holds("ternary", kernel) for kernel in kernels)
    assert all(np.any(kernel == 0) for kernel in kernels)
    assert not example.holds("ternary", jax.random.normal(jax.random.key(0), (3, 3, 16, 16)))
    del example.RECIPES["ternary, 2 steps"]
