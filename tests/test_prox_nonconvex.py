"""Nonconvex penalties against a fine search, in double precision and over many random entries."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox import prox
from tests.penalties import SEPARABLE

NAMES = ["scad", "scad_small", "log_sum", "log_sum_steep", "l_half"]
COMPILED = {name: jax.jit(SEPARABLE[name][0]) for name in NAMES}
ENTRIES = np.random.default_rng(0).normal(size=1200) * 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("t", [0.005, 0.4, 1.6, 2.7, 3.5, 4.7, 20.0])
def test_never_worse_than_a_fine_search(name, t, x64):
    """The search visits 0, 300 points up to |x| and 300 around the result."""
    penalty = SEPARABLE[name][1]
    z = np.asarray(COMPILED[name](jnp.asarray(ENTRIES), t))
    objective = lambda z, x: (z - x) ** 2 / 2 + t * penalty(z)  # noqa: E731
    whole = ENTRIES[:, None] * np.linspace(0, 1, 301)
    near = z[:, None] + np.linspace(-1, 1, 301) ** 3 * 0.1
    best = np.min(objective(np.hstack([whole, near]), ENTRIES[:, None]), axis=1)
    assert np.all(objective(z, ENTRIES) <= best + 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_agree_with_differences(name, x64):
    operator = jax.jit(SEPARABLE[name][0])
    slope = jax.jit(jax.vmap(jax.grad(operator, (0, 1)), in_axes=(0, None)))
    x, step = jnp.array([0.3, -1.7, 2.9, 3.3, 8.0, -0.02]), 1e-6
    for t in (0.011, 0.9, 3.1):
        slopes = slope(x, t)
        by_x = (operator(x + step, t) - operator(x - step, t)) / (2 * step)
        by_t = (operator(x, t + step) - operator(x, t - step)) / (2 * step)
        np.testing.assert_allclose(slopes[0], by_x, atol=1e-7)
        np.testing.assert_allclose(slopes[1], by_t, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_and_infinite_entries_do_not_shrink(name):
    out = COMPILED[name](jnp.array([jnp.nan, jnp.inf, -jnp.inf, 1.0]), 0.5)
    assert np.isnan(out[0]) and np.array_equal(out[1:3], [np.inf, -np.inf]) and np.isfinite(out[3])


def test_limits_are_simpler_operators(x64):
    x = jnp.linspace(-4, 4, 33)
    np.testing.assert_allclose(prox.scad(x, 0.7, a=1e9), prox.l1(x, 0.7), rtol=1e-8)
    np.testing.assert_allclose(prox.log_sum(x, 0.7e6, eps=1e6), prox.l1(x, 0.7), rtol=1e-5)


@pytest.mark.parametrize(
    ("operator", "keywords", "message"),
    [
        (prox.scad, {"a": 2.0}, "2 < a < inf, got 2.0"),
        (prox.scad, {"scale": 0.0}, "0 < scale < inf, got 0.0"),
        (prox.log_sum, {"eps": 0.0}, "0 < eps < inf, got 0.0"),
    ],
)
def test_bad_parameters_are_named(operator, keywords, message):
    with pytest.raises(ValueError, match=message):
        operator(jnp.ones(2), 1.0, **keywords)


def test_a_schedule_that_undershoots_zero_leaves_l0_the_identity():
    x = jnp.array([0.0, -1e-30, 2.0])
    assert np.array_equal(jax.jit(prox.l0)(x, jnp.float32(-1e-9)), x)


@pytest.mark.parametrize("operator", [prox.scad, prox.log_sum, prox.l_half])
def test_range_under_jit(operator):
    """Entries and weights over sixty powers of ten give finite values no larger than the entries."""
    x = jnp.array([0.0, 1e-30, -1e-15, 1.0, -1e15, 1e30])
    t = jnp.array([0.0, 1e-30, 1e-15, 1.0, 1e15, 1e30])
    out = jax.jit(jax.vmap(operator, in_axes=(None, 0)))(x, t)
    assert np.all(np.abs(out) <= np.abs(x))
    if operator is prox.log_sum:
        for eps in (1e-30, 1e30):
            out = jax.jit(jax.vmap(functools.partial(operator, eps=eps), in_axes=(None, 0)))(x, t)
            assert np.all(np.abs(out) <= np.abs(x))
            assert np.array_equal(out[0], x)
