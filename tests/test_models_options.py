"""DenseNet's initialization and limits; SkipInit, option A and bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox.models import DenseNet, ResNet
from adamprox.models.densenet import _average_pool
from adamprox.models.resnet import _shortcut


def _init(model, shape=(1, 8, 8, 3)):
    init = jax.jit(lambda: model.init(jax.random.key(0), jnp.zeros(shape), train=False))
    return init()


@pytest.mark.slow
def test_initialization_moments_of_a_densenet():
    params = _init(DenseNet(16, growth_rate=12))["params"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name, leaf = jax.tree_util.keystr(path), np.asarray(leaf, np.float64)
        if "Conv" in name:
            # N(0, 2/(k²·out)). Four standard errors of a normal's variance, √(2/n) relative, and
            # of its fourth moment, √(96/n): kurtosis 3 tells a plain normal from a truncated one.
            fan_out = leaf.shape[0] * leaf.shape[1] * leaf.shape[3]
            assert abs(leaf.var() * fan_out / 2 - 1) < 4 * np.sqrt(2 / leaf.size), name
            assert abs(leaf.mean()) < 4 * np.sqrt(2 / fan_out / leaf.size), name
            assert abs((leaf**4).mean() / leaf.var() ** 2 - 3) < 4 * np.sqrt(96 / leaf.size), name
        elif "Dense" in name:
            # U(±b): variance b²/3, the largest of n within a few b/n of b.
            bound = params["Dense_0"]["kernel"].shape[0] ** -0.5
            assert bound * (1 - 10 / leaf.size) < np.abs(leaf).max() <= bound, name
            assert abs(leaf.var() * 3 / bound**2 - 1) < 4 * np.sqrt(0.8 / leaf.size), name
        else:
            assert np.all(leaf == (1 if "scale" in name else 0)), name


def test_channels_of_a_densenet():
    # k = 3, n = 2: stem 6; 6 + 2k = 12, halved 6; 12 again, 6; 12. With n = 1 and k = 3 the first
    # transition halves 9 to 4: rounded down.
    params = jax.eval_shape(lambda: _init(DenseNet(16, growth_rate=3)))["params"]
    assert params["Transition_0"]["Conv1x1_0"]["kernel"].shape == (1, 1, 12, 6)
    assert params["Dense_0"]["kernel"].shape == (12, 100)
    params = jax.eval_shape(lambda: _init(DenseNet(10, growth_rate=3)))["params"]
    assert params["Transition_0"]["Conv1x1_0"]["kernel"].shape == (1, 1, 9, 4)
    assert params["Dense_0"]["kernel"].shape == (6, 100)


def test_average_pool_drops_an_odd_row():
    x = jnp.arange(15.0).reshape(1, 5, 3, 1)
    # Means of 0, 1, 3, 4 and of 6, 7, 9, 10.
    np.testing.assert_array_equal(_average_pool(x)[0, :, :, 0], [[2.0], [8.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 101}, r"depth must be 6n \+ 4 .*, got 101"),
        ({"depth": 4}, r"depth must be 6n \+ 4 .*, got 4"),
        ({"depth": 100.0}, r"depth must be 6n \+ 4 .*, got 100.0"),
        ({"growth_rate": 0}, "growth_rate must be a positive integer, got 0"),
        ({"growth_rate": 12.0}, "growth_rate must be a positive integer, got 12.0"),
        ({"num_classes": -1}, "num_classes must be a positive integer, got -1"),
    ],
)
def test_impossible_densenets_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        DenseNet(**arguments)


def test_too_small_images_are_refused():
    model = DenseNet(10, growth_rate=2)
    with pytest.raises(ValueError, match=r"^images must be at least 4×4, got 4×3"):
        jax.eval_shape(lambda: _init(model, (1, 4, 3, 1)))


def test_option_a_shortcut():
    x = jax.random.normal(jax.random.key(0), (2, 5, 4, 16))
    y = _shortcut(x, 32, 2)
    assert y.shape == (2, 3, 2, 32)
    np.testing.assert_array_equal(y[..., 8:24], x[:, ::2, ::2])
    assert not y[..., :8].any() and not y[..., 24:].any()
    np.testing.assert_array_equal(_shortcut(x, 16, 1), x)


def test_skip_init_silences_every_branch():
    model = ResNet(8, batch_norm=False, skip_init=True)
    params = _init(model)["params"]
    images = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))

    @jax.jit
    def run(params):
        loss = lambda p: jnp.sum(jnp.sin(model.apply({"params": p}, images, train=True)))  # noqa: E731
        return model.apply({"params": params}, images, train=True), jax.grad(loss)(params)

    logits, gradient = run(params)
    louder = {n: jax.tree.map(lambda w: 2 * w, p) if "Block" in n else p for n, p in params.items()}
    np.testing.assert_array_equal(run(louder)[0], logits)
    for name, block in gradient.items():
        if "Block" in name:
            assert block["SkipInit_0"]["alpha"] != 0
            assert not block["Conv3x3_0"]["kernel"].any() and not block["Conv3x3_1"]["kernel"].any()


HALVES = pytest.mark.parametrize(
    ("network", "arguments"),
    [
        (ResNet, {"depth": 8}),
        pytest.param(DenseNet, {"depth": 10, "growth_rate": 6}, marks=pytest.mark.slow),
    ],
)


def _forward(model, variables):
    """The logits and statistics of fixed images, as a function of the parameters."""
    images = jax.random.normal(jax.random.key(1), (8, 8, 8, 3))
    return lambda params: model.apply(
        {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
    )


def _gradient(model, variables):
    forward = _forward(model, variables)
    loss = lambda params: jnp.mean(forward(params)[0] * jnp.arange(model.num_classes))  # noqa: E731
    return jax.grad(loss)


def _assert_close_but_different(actual, expected):
    """bfloat16 keeps 8 bits: a rounding is up to 0.4 %, and relus of a random network flip."""
    actual, expected = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
        for tree in (actual, expected)
    )
    assert 0 < np.linalg.norm(actual - expected) < 0.1 * np.linalg.norm(expected)


@HALVES
def test_bfloat16_leaves_float32(network, arguments):
    half = network(**arguments, dtype=jnp.bfloat16)
    variables = _init(half)
    params = variables["params"]
    found = (jax.eval_shape(f(half, variables), params) for f in (_forward, _gradient))
    for leaf in jax.tree.leaves((variables, *found)):
        assert leaf.dtype == jnp.float32
    assert "bf16" in str(jax.make_jaxpr(_forward(half, variables))(params))


@pytest.mark.slow
@HALVES
@pytest.mark.parametrize("of", [_forward, _gradient])
def test_results_in_bfloat16_are_close(network, arguments, of):
    model, half = network(**arguments), network(**arguments, dtype=jnp.bfloat16)
    variables = _init(model)
    actual, expected = (jax.jit(of(m, variables))(variables["params"]) for m in (half, model))
    _assert_close_but_different(actual, expected)
