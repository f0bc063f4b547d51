"""ResNets: parameter counts, initialization, and the convolution against ``lax.conv``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox.models import ResNet
from adamprox.models.convolution import _cpu_conv, _lax_conv


# DESIGN: published parameter counts of the ResNets on CIFAR-10.
@pytest.mark.parametrize(
    ("depth", "with_norm", "without"),
    [
        (20, 269722, 268346),
        (44, 658586, 655418),
        (56, 853018, 848954),
        (110, 1727962, 1719866),
        (218, 3477850, 3461690),
    ],
)
def test_parameter_counts(depth, with_norm, without):
    for batch_norm, expected in ((True, with_norm), (False, without)):
        model = ResNet(depth, batch_norm=batch_norm)
        images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
        variables = jax.eval_shape(
            lambda i, m=model: m.init(jax.random.key(0), i, train=False), images
        )
        assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == expected


def test_initialization_moments():
    model = ResNet(20, batch_norm=False)
    params = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False)["params"]
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


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "shape",
    [(48, 8, 8, 3, 16), (32, 4, 4, 16, 16), (5, 2, 2, 8, 4), (3, 1, 2, 4, 6), (16, 7, 5, 3, 2)],
)
def test_convolution_and_its_gradients(shape, stride):
    n, h, w, c, o = shape
    keys = jax.random.split(jax.random.key(0), 3)
    x, kernel = jax.random.normal(keys[0], (n, h, w, c)), jax.random.normal(keys[1], (3, 3, c, o))
    expected, expected_vjp = jax.vjp(lambda x, k: _lax_conv(x, k, stride), x, kernel)
    actual, actual_vjp = jax.vjp(lambda x, k: _cpu_conv(x, k, stride), x, kernel)
    dy = jax.random.normal(keys[2], expected.shape)
    for a, e in zip((actual, *actual_vjp(dy)), (expected, *expected_vjp(dy)), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-5 * float(jnp.max(jnp.abs(e))))


def test_compiled_gradients_equal_eager_ones():
    model = ResNet(8, batch_norm=True)
    images = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))
    variables = model.init(jax.random.key(1), images, train=False)

    def loss(params):
        logits, _ = model.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
        )
        return jnp.mean(jnp.sin(logits))

    eager, compiled = (
        jax.grad(loss)(variables["params"]),
        jax.jit(jax.grad(loss))(variables["params"]),
    )
    for e, c in zip(jax.tree.leaves(eager), jax.tree.leaves(compiled), strict=True):
        np.testing.assert_allclose(c, e, rtol=0, atol=1e-4 * float(jnp.max(jnp.abs(e))) + 1e-7)


def test_batch_norm_follows_the_statistics():
    model = ResNet(8, batch_norm=True)
    images = 5 + jax.random.normal(jax.random.key(0), (8, 8, 8, 1))
    variables = model.init(jax.random.key(1), images, train=False)
    _, updated = model.apply(variables, images, train=True, mutable=["batch_stats"])
    before, after = variables["batch_stats"]["BatchNorm_0"], updated["batch_stats"]["BatchNorm_0"]
    first = jax.nn.relu(0) + _lax_conv(images, variables["params"]["Conv3x3_0"]["kernel"], 1)
    expected = 0.9 * before["mean"] + 0.1 * first.mean((0, 1, 2))
    np.testing.assert_allclose(after["mean"], expected, rtol=1e-4, atol=1e-5)
