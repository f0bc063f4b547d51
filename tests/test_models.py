"""Networks: parameter counts, initialization, gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox.models import MLP, DenseNet, ResNet
from adamprox.models.convolution import _lax_conv


def _count(model):
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(lambda i: model.init(jax.random.key(0), i, train=False), images)
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


# Published parameter counts: ResNets on CIFAR-10, DenseNet-BC-100 (k = 12) on both data sets.
@pytest.mark.parametrize(
    ("network", "with_norm", "without"),
    [
        (functools.partial(ResNet, 20), 269722, 268346),
        pytest.param(functools.partial(ResNet, 44), 658586, 655418, marks=pytest.mark.slow),
        (functools.partial(ResNet, 56), 853018, 848954),
        (functools.partial(ResNet, 110), 1727962, 1719866),
        pytest.param(functools.partial(ResNet, 218), 3477850, 3461690, marks=pytest.mark.slow),
        (DenseNet, 800032, 776044),
        pytest.param(
            functools.partial(DenseNet, num_classes=10), 769162, 745174, marks=pytest.mark.slow
        ),
    ],
)
def test_parameter_counts(network, with_norm, without):
    assert _count(network(batch_norm=True)) == with_norm
    assert _count(network(batch_norm=False)) == without


@pytest.mark.parametrize("depth", [20, 56])
def test_intermediates_of_every_block_are_captured(depth):
    model, images = ResNet(depth, batch_norm=False), jnp.zeros((1, 8, 8, 3))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))

    def apply(variables):
        options = {"mutable": ["intermediates"], "capture_intermediates": True}
        return model.apply(variables, images, train=False, **options)[1]["intermediates"]

    blocks = [name for name in jax.eval_shape(apply, variables) if name.startswith("BasicBlock")]
    assert len(blocks) == (depth - 2) // 2


@pytest.mark.parametrize("model", [ResNet(8), DenseNet(10, 4), MLP(2)])
def test_an_empty_batch_has_no_logits(model):
    def logits(images):
        variables = model.init(jax.random.key(0), jnp.zeros((2, 8, 8, 3)), train=False)
        return model.apply(variables, images, train=False)

    empty = jax.eval_shape(logits, jnp.zeros((0, 8, 8, 3)))
    assert empty.shape == (0, model.num_classes)


@pytest.mark.parametrize("make", [lambda c: ResNet(8, c), lambda c: MLP(num_classes=c)])
@pytest.mark.parametrize("classes", [0, -1, "10", 10.0, True])
def test_numbers_of_classes_are_checked(make, classes):
    with pytest.raises(ValueError, match="num_classes must be a positive integer, got"):
        make(classes)


def test_skip_init_adds_one_parameter_a_block():
    # 268,346 without, and nine blocks.
    assert _count(ResNet(20, batch_norm=False, skip_init=True)) == 268346 + 9


def test_initialization_moments():
    variables, _ = _setup(ResNet(8, batch_norm=False), 8)
    params = variables["params"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        fan_in = np.prod(leaf.shape[:-1])
        if path[-1].key == "kernel":
            # Variance within 4 standard errors of a normal sample's, 2/n relative; kurtosis 3 tells
            # a plain normal from a truncated one.
            assert abs(leaf.var() * fan_in / 2 - 1) < 4 * np.sqrt(2 / leaf.size)
            if leaf.size > 10_000:
                assert abs((leaf**4).mean() / leaf.var() ** 2 - 3) < 0.2
        else:
            assert leaf.shape == (10,) and jnp.all(jnp.abs(leaf) <= 1 / 8) and leaf.std() > 0.03


@pytest.mark.parametrize("depth", [21, 2, 0, -4, 20.0, "20"])
def test_impossible_depths_are_refused(depth):
    with pytest.raises(ValueError, match="depth must be 6n"):
        ResNet(depth)


def _gradient(model, variables, images):
    rest = {name: value for name, value in variables.items() if name != "params"}

    def loss(params):
        logits, updated = model.apply(
            {"params": params, **rest}, images, train=True, mutable=list(rest)
        )
        return jnp.mean(jnp.sin(logits)), updated

    return lambda: jax.grad(loss, has_aux=True)(variables["params"])


def _setup(model, size, count=4):
    images = jax.random.normal(jax.random.key(0), (count, size, size, 1))
    init = jax.jit(lambda: model.init(jax.random.key(1), images, train=False))
    return init(), images


def _assert_close(actual, expected, rtol):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=rtol * float(jnp.max(jnp.abs(e))) + 1e-7)


# Wrong results of compiled code are not unheard of: XLA's fusions have had such bugs.
# (The suite holds compiled gradients against the oracle in test_models_reference; this is slow, one
# operation at a time.)
@pytest.mark.slow
def test_compiled_gradients_equal_eager_ones():
    gradient = _gradient(ResNet(8), *_setup(ResNet(8), 8))
    _assert_close(jax.jit(gradient)(), gradient(), 1e-4)


# Without BatchNorm the gradients of deep ResNets overflow: see the SkipInit variant for those.
@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        *(ResNet(depth, batch_norm=norm) for depth in (20, 44, 56) for norm in (True, False)),
        *(ResNet(depth) for depth in (110, 218)),
        *(ResNet(depth, batch_norm=False, skip_init=True) for depth in (110, 218)),
        *(DenseNet(100, batch_norm=norm) for norm in (True, False)),
    ],
    ids=str,
)
def test_compiled_gradients_of_the_paper_s_networks(model):
    gradient = _gradient(model, *_setup(model, 8, count=8))
    _assert_close(jax.jit(gradient)(), gradient(), 1e-2)


@pytest.mark.slow  # two gradients to compile; their forward pass is in test_models_reference.py
def test_repeated_blocks_are_the_blocks(monkeypatch):
    model = ResNet(20, batch_norm=False)
    variables, images = _setup(model, 8)
    one_by_one = jax.jit(_gradient(model, variables, images))()
    monkeypatch.setattr("adamprox.models.resnet._REPEAT_FROM", 3)
    jaxpr = str(jax.make_jaxpr(_gradient(model, variables, images))())
    assert "length=2" in jaxpr
    _assert_close(jax.jit(_gradient(model, variables, images))(), one_by_one, 1e-4)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # which has no loop
    assert "length=2" not in str(jax.make_jaxpr(_gradient(model, variables, images))())
    monkeypatch.undo()
    jax.tree.map(np.testing.assert_array_equal, _setup(model, 8)[0], variables)


def test_batch_norm_follows_the_statistics():
    model = ResNet(8, batch_norm=True)
    variables, images = _setup(model, 8, count=8)
    images = 5 + images
    apply = jax.jit(lambda: model.apply(variables, images, train=True, mutable=["batch_stats"]))
    _, updated = apply()
    before, after = variables["batch_stats"]["BatchNorm_0"], updated["batch_stats"]["BatchNorm_0"]
    first = jax.nn.relu(0) + _lax_conv(images, variables["params"]["Conv3x3_0"]["kernel"], 1)
    expected = 0.9 * before["mean"] + 0.1 * first.mean((0, 1, 2))
    np.testing.assert_allclose(after["mean"], expected, rtol=1e-4, atol=1e-5)
