"""Both networks against a float64 oracle, through weights in the reference's layout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox.models import DenseNet, ResNet, from_reference, to_reference
from tests.network_oracle import Oracle


def _state_dict(model, channels=2):
    """Random weights in the reference's layout, every entry away from its initial value."""
    images = jax.ShapeDtypeStruct((1, 8, 8, channels), jnp.float32)
    shapes = jax.eval_shape(lambda i: model.init(jax.random.key(0), i, train=False), images)
    zeros = to_reference(model, jax.tree.map(lambda s: np.zeros(s.shape), shapes))
    rng = np.random.default_rng(0)

    def draw(name, shape):
        if name.endswith(("running_var", "bn1.weight", "bn2.weight", "bn.weight")):
            return rng.uniform(0.5, 1.5, shape)
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 10
        return rng.normal(0, np.sqrt(2 / fan_in), shape)

    return {name: draw(name, zero.shape) for name, zero in zeros.items()}


def _compare(model, size, train, atol):
    weights = _state_dict(model)
    images = np.random.default_rng(1).normal(size=(4, *size, 2))
    oracle = Oracle(weights, model.batch_norm, train)
    forward = oracle.resnet if isinstance(model, ResNet) else oracle.densenet
    expected = forward(images.transpose(0, 3, 1, 2), model.depth)
    variables = from_reference(model, weights)
    apply = jax.jit(lambda v, i: model.apply(v, i, train=train, mutable=["batch_stats"]))
    logits, updated = apply(variables, jnp.asarray(images))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=atol * scale)
    after = to_reference(model, {"params": variables["params"], **updated})
    for name, value in oracle.statistics.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(after[name], value, rtol=0, atol=atol * scale, err_msg=name)
    assert bool(oracle.statistics) == (train and model.batch_norm)


NETWORKS = {
    "ResNet-14": lambda **kwargs: ResNet(14, num_classes=5, **kwargs),
    "DenseNet-16": lambda **kwargs: DenseNet(16, growth_rate=3, num_classes=5, **kwargs),
}


# Odd sizes: a 9×11 image is 5×6 after a stride and 4×5 after a pooling. Without BatchNorm training
# and evaluation are the same program.
@pytest.mark.parametrize(
    ("batch_norm", "train"),
    [(False, True), (True, False), pytest.param(True, True, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("network", NETWORKS)
def test_forward_pass_in_float32(network, batch_norm, train):
    _compare(NETWORKS[network](batch_norm=batch_norm), (9, 11), train, 1e-5)


# BatchNorm's variance is E[x²] − E[x]², which costs a digit or two against the oracle's.
@pytest.mark.parametrize("network", NETWORKS)
def test_forward_pass_in_float64(network, x64):
    _compare(NETWORKS[network](batch_norm=True, dtype=jnp.float64), (8, 8), True, 1e-12)


def test_forward_pass_with_skip_init():
    _compare(ResNet(14, num_classes=5, batch_norm=False, skip_init=True), (8, 8), True, 1e-5)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_forward_pass_of_repeated_blocks(backend, monkeypatch):
    monkeypatch.setattr("adamprox.models.resnet._REPEAT_FROM", 3)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    _compare(ResNet(20, num_classes=5), (8, 8), True, 1e-5)


# Central differences of the oracle, a random direction for every entry of the state dict.
@pytest.mark.parametrize("network", NETWORKS)
def test_compiled_gradients_are_the_oracle_s_slopes(network):
    model = NETWORKS[network](batch_norm=True)
    weights = _state_dict(model)
    # Without the factor one unit's input is 0 up to rounding, where ReLU has no slope.
    images = 1.01 * np.random.default_rng(1).normal(size=(4, 8, 8, 2))
    variables = from_reference(model, weights)
    factors = np.linspace(-1, 1, 5)

    def loss(params):
        every = {**variables, "params": params}
        logits, _ = model.apply(every, jnp.asarray(images), train=True, mutable=["batch_stats"])
        return jnp.mean(logits * factors)

    def oracle_loss(weights):
        oracle = Oracle(weights, batch_norm=True, train=True)
        forward = oracle.resnet if isinstance(model, ResNet) else oracle.densenet
        return np.mean(forward(images.transpose(0, 3, 1, 2), model.depth) * factors)

    gradient = to_reference(model, {"params": jax.jit(jax.grad(loss))(variables["params"])})
    rng, step = np.random.default_rng(2), 1e-7
    for name, value in gradient.items():
        direction = rng.normal(size=value.shape)
        up, down = ({**weights, name: weights[name] + s * direction} for s in (step, -step))
        slope = (oracle_loss(up) - oracle_loss(down)) / (2 * step)
        tolerance = 1e-3 * np.linalg.norm(value) + 1e-6
        assert abs(np.sum(value * direction) - slope) < tolerance, name


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", [False, True])
def test_forward_pass_of_deep_networks(batch_norm):
    _compare(ResNet(110, batch_norm=batch_norm), (8, 8), batch_norm, 1e-4)
    _compare(DenseNet(100, batch_norm=batch_norm), (8, 8), batch_norm, 1e-4)


@pytest.mark.parametrize("model", [ResNet(14, skip_init=True), DenseNet(16, growth_rate=3)])
def test_round_trip(model):
    weights = {name: w.astype(np.float32) for name, w in _state_dict(model).items()}
    again = to_reference(model, from_reference(model, weights))
    assert list(sorted(again)) == sorted(weights)
    for name, value in weights.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)
        assert again[name].dtype == np.float32


# The names that PyTorch lists for these networks.
def test_names_of_the_reference():
    names = {name for name in _state_dict(ResNet(8)) if not name.startswith("layer")}
    norm = {"weight", "bias", "running_mean", "running_var"}
    assert names == {"conv1.weight", "linear.weight", "linear.bias"} | {f"bn1.{n}" for n in norm}
    assert {n for n in _state_dict(ResNet(14)) if n.startswith("layer3.1.")} == {
        f"layer3.1.{n}"
        for n in ("conv1.weight", "conv2.weight", *(f"bn{i}.{n}" for i in (1, 2) for n in norm))
    }
    names = set(_state_dict(DenseNet(16, growth_rate=3, batch_norm=False)))
    layers = [f"dense{b}.{i}.conv{c}" for b in (1, 2, 3) for i in (0, 1) for c in (1, 2)]
    layers += ["conv1", "trans1.conv1", "trans2.conv1", "fc"]
    assert names == {f"{layer}.weight" for layer in layers} | {"fc.bias"}


def test_counters_of_pytorch_are_ignored():
    model = ResNet(8)
    weights = _state_dict(model)
    expected = from_reference(model, weights)
    actual = from_reference(model, {**weights, "bn1.num_batches_tracked": np.array(7)})
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def _wrong(change):
    weights = _state_dict(ResNet(8))
    change(weights)
    return weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("layer2.0.bn1.bias"), "layer2.0.bn1.bias is missing from the state dict"),
        (lambda w: w.pop("conv1.weight"), "conv1.weight is missing from the state dict"),
        (
            lambda w: w.update({"layer2.0.shortcut.weight": np.zeros(3)}),
            "layer2.0.shortcut.weight is in the state dict but not in the ResNet",
        ),
        (
            lambda w: w.update({"layer1.0.conv2.weight": np.zeros((3, 3, 16, 16))}),
            r"layer1.0.conv2.weight must have shape \(16, 16, 3, 3\), got \(3, 3, 16, 16\)",
        ),
        (
            lambda w: w.update({"linear.weight": np.zeros((64, 10))}),
            r"linear.weight must have shape \(10, 64\), got \(64, 10\)",
        ),
        (
            lambda w: w.update({"conv1.weight": np.zeros(16)}),
            r"conv1.weight must have shape \(16, 3, 3, 3\), got \(16,\)",
        ),
    ],
)
def test_wrong_state_dicts_are_refused(change, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        from_reference(ResNet(8), _wrong(change))
