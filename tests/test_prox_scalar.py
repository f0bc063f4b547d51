"""Separable operators against brute force on a grid, and the limits of their parameters."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox import prox
from tests.penalties import (
    IGNORE_T,
    INFINITY,
    NEED_AN_ORDER,
    REGULARIZERS,
    SEPARABLE,
    smallest_at_zero,
)

COMPLEX_TOO = [name for name in SEPARABLE if name not in NEED_AN_ORDER]
GRID = np.linspace(-6, 6, 24_001)  # steps of 0.0005; 0, the bounds and the knees lie on it
GRID[12_000] = 0
XS = np.linspace(-5.5, 5.5, 111)  # odd multiples of 0.05 and tenths, ties included


@pytest.fixture(scope="module")
def squares():
    """½(z − x)² for every z of GRID and x of XS."""
    return (GRID[None] - XS[:, None]) ** 2 / 2


@pytest.mark.parametrize("name", SEPARABLE)
def test_no_point_of_a_grid_is_better(name, squares, x64):
    operator, penalty = SEPARABLE[name]
    on_grid = penalty(GRID)
    # Below, at and above γ of each MCP; the last one sends most of the line to zero.
    for t in (0.0, 0.3, 1.0, 1.25, 2.0, 3.0, 4.5, 50.0):
        zs = np.asarray(operator(jnp.asarray(XS), t))
        value = (zs - XS) ** 2 / 2 + t * penalty(zs) if t else (zs - XS) ** 2 / 2
        with np.errstate(invalid="ignore"):
            cost = t * on_grid if t else np.where(np.isinf(on_grid), INFINITY, 0)
        best = np.min(squares + cost, axis=1)
        assert np.all(value <= best + 1e-12), t  # no grid point is better
        assert np.all(value >= best - 1e-5), t  # and the regularizer above is the one minimized


@pytest.mark.parametrize("t", [0.5, 3.0, 4.0])
def test_mcp_at_its_knees_is_continuous_or_takes_zero(t, x64):
    knee = 3.0 if t < 3 else np.sqrt(3 * t)
    below, at, above = np.asarray(prox.mcp(jnp.array([knee * (1 - 1e-9), knee, knee + 1e-9]), t))
    assert above == knee + 1e-9
    if t < 3:
        np.testing.assert_allclose([below, at], knee, rtol=1e-8)
    else:
        assert below == 0
        assert at == 0 or t == 4  # √12 is not a floating-point number


def test_l0_takes_zero_at_a_tie():
    out = prox.l0(jnp.array([2.0, -2.0, 2.0000002, 0.0]), 2.0)
    assert np.array_equal(out, jnp.array([0.0, 0.0, 2.0000002, 0.0]))


def test_limits_of_a_parameter_are_simpler_operators(x64):
    x = jnp.linspace(-4, 4, 33)
    for t in (0.3, 2.0):
        np.testing.assert_array_equal(prox.elastic_net(x, t, 1.0), prox.l1(x, t))
        np.testing.assert_array_equal(prox.elastic_net(x, t, 0.0), prox.squared_l2(x, t))
        np.testing.assert_array_equal(prox.huber(x, t, 1e9), prox.squared_l2(x, t))
        np.testing.assert_allclose(prox.mcp(x, t, 1e9), prox.l1(x, t), rtol=1e-8)
        np.testing.assert_array_equal(prox.sparse_group(x, t, 1.0), prox.l1(x, t))
        np.testing.assert_allclose(prox.sparse_group(x, t, 0.0), prox.l2(x, t), rtol=1e-15)


@pytest.mark.parametrize("name", COMPLEX_TOO)
@pytest.mark.parametrize("t", [0.0, 0.7, 4.0])
def test_a_complex_entry_keeps_its_phase(name, t):
    operator, _ = SEPARABLE[name]
    magnitudes, phase = jnp.array([0.0, 0.2, 0.9, 2.0, 5.0]), 0.6 + 0.8j
    out = operator(magnitudes * phase, t)
    np.testing.assert_allclose(out, operator(magnitudes, t) * phase, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", NEED_AN_ORDER)
def test_operators_that_need_an_order_refuse_complex_leaves(name):
    with pytest.raises(TypeError, match=rf"prox\.{name} is .* real arrays, got complex64 at 'a/b'"):
        getattr(prox, name)({"a": {"b": jnp.array([1j])}, "c": jnp.ones(2)}, 1.0)


@pytest.mark.parametrize(
    ("operator", "parameters", "message"),
    [
        (prox.elastic_net, {"l1_ratio": 1.5}, "0 <= l1_ratio <= 1, got 1.5"),
        (prox.elastic_net, {"l1_ratio": np.nan}, "0 <= l1_ratio <= 1, got nan"),
        (prox.sparse_group, {"l1_ratio": -0.1}, "0 <= l1_ratio <= 1, got -0.1"),
        (prox.huber, {"delta": 0}, "0 < delta < inf, got 0"),
        (prox.mcp, {"gamma": 1.0}, "1 < gamma < inf, got 1.0"),
        (prox.mcp, {"scale": -1.0}, "0 < scale < inf, got -1.0"),
        (prox.l2_ball, {"radius": -1.0}, "0 <= radius, got -1.0"),
        (prox.box, {"lower": 2.0, "upper": 1.0}, "lower <= upper, got lower=2.0 and upper=1.0"),
    ],
)
def test_bad_parameters_are_named(operator, parameters, message):
    with pytest.raises(ValueError, match=message):
        operator(jnp.ones(2), 1.0, **parameters)


PENALTIES = [name for name in SEPARABLE if name not in IGNORE_T]


@pytest.mark.parametrize("name", [*PENALTIES, "l2", "sparse_group"])
def test_a_negative_weight_is_named(name):
    operator = SEPARABLE[name][0] if name in SEPARABLE else getattr(prox, name)
    for t in (-1, -0.5, np.float32(-1), np.array(-1.0)):
        with pytest.raises(ValueError, match="t must be a number >= 0, got -"):
            operator(jnp.ones(2), t)


@pytest.mark.parametrize("name", [*SEPARABLE, "l2", "l2_ball", "sparse_group"])
def test_integer_leaves_are_refused(name):
    operator = SEPARABLE[name][0] if name in SEPARABLE else getattr(prox, name)
    with pytest.raises(TypeError, match="needs leaves of real or complex numbers, got int32"):
        operator({"a": jnp.arange(3)}, 1.0)


def test_parameters_may_be_traced():
    x = jnp.array([-3.0, 0.4, 2.0])
    for operator, values in (
        (prox.elastic_net, [0.0, 0.4, 1.0]),
        (prox.sparse_group, [0.0, 0.4, 1.0]),
        (prox.huber, [0.1, 1.0]),
        (prox.mcp, [1.5, 3.0]),
        (prox.l2_ball, [0.0, 1.0, 9.0]),
        (prox.box, [-4.0, 0.0]),
    ):
        batched = jax.jit(jax.vmap(operator, in_axes=(None, None, 0)))(x, 0.5, jnp.array(values))
        one_by_one = [operator(x, 0.5, value) for value in values]
        np.testing.assert_allclose(batched, one_by_one, rtol=1e-6, err_msg=str(operator))


PLANE = 3 * np.random.default_rng(0).normal(size=(200, 2))
ALL = SEPARABLE | REGULARIZERS
EVERY = {name: operator for name, (operator, *_) in ALL.items()} | {
    "l2_ball": functools.partial(prox.l2_ball, radius=1e30),
    "sized": prox.per_leaf(prox.size_weighted(prox.l2)),
}


@pytest.mark.parametrize("name", EVERY)
def test_identity_at_zero_weight_dtype_kept_and_none_skipped(name):
    for dtype in ("float16", "bfloat16", "float32", "complex64"):
        if dtype == "complex64" and name in NEED_AN_ORDER:
            continue
        x = jnp.asarray([0.1, 1.5, 0.0, 2.0], dtype)
        out = EVERY[name]({"x": x, "none": None}, 0.0)
        assert out["x"].dtype == x.dtype and out["none"] is None
        assert np.array_equal(out["x"], x)
    assert EVERY[name]({}, 1.0) == {} and EVERY[name](jnp.zeros((0, 2)), 1.0).shape == (0, 2)


@pytest.mark.parametrize("name", EVERY)
def test_finite_for_any_weight_at_any_scale(name):
    """Values for t up to ∞, gradients in x and in t, at zero too, under jit with t traced."""
    operator = EVERY[name]
    t = jnp.array([0.0, 1e-30, 1.0, 3.0, 1e30, np.inf])
    value = jax.jit(jax.vmap(operator, in_axes=(None, 0)))
    slope = jax.jit(
        jax.vmap(
            jax.grad(lambda x, t, scale: jnp.sum(operator(x, t) / (1 + scale)), (0, 1)),
            in_axes=(None, 0, None),
        )
    )
    for scale in (0.0, 1e-25, 1.0, 1e25):
        x = scale * jnp.array([3.0, -4.0])
        out = value(x, t)
        assert np.all(np.isfinite(out))
        points = PLANE if name in REGULARIZERS else GRID[::100]
        shrinks = name not in ALL or smallest_at_zero(ALL[name][1], points)
        assert not shrinks or np.all(np.abs(out) <= np.abs(x))
        by_x, by_t = slope(x, t, scale)
        assert np.all(np.isfinite(by_x))
        assert np.all(np.isfinite(by_t[:-1]))


@pytest.mark.parametrize("name", COMPLEX_TOO)
def test_gradients_are_finite_at_a_complex_zero(name):
    operator, _ = SEPARABLE[name]
    gradient = jax.grad(lambda z: jnp.sum(jnp.abs(operator(z, 0.5) + 1) ** 2))(jnp.zeros(3) * 1j)
    assert np.all(np.isfinite(gradient))


def test_half_precision_is_computed_in_float32():
    x = jnp.array([1.0, 3.0], "float16")
    for name, operator in EVERY.items():
        wide = operator(x.astype("float32"), 0.37).astype("float16")
        assert np.array_equal(operator(x, 0.37), wide), name
    # 300² is out of range of float16.
    np.testing.assert_allclose(prox.l2(jnp.array([300.0, 400.0], "float16"), 5.0), [297, 396])
