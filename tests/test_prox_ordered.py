"""Sorted ℓ1 and total variation: optimality by duality, derivatives, range."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox import prox
from tests.penalties import falling_weights

VECTORS = np.random.default_rng(0).normal(size=(1000, 12))
VECTORS[::5] = np.round(VECTORS[::5])  # ties, zeros
WEIGHTS = falling_weights(12)
OPERATORS = {
    "slope": functools.partial(prox.slope, weights=WEIGHTS),
    "total_variation": prox.total_variation,
}


def descending(z):
    return -np.sort(-np.abs(z), axis=-1)


DUALITY = {
    "slope": (
        lambda g: np.max(np.cumsum(descending(g), axis=-1) / np.cumsum(WEIGHTS), axis=-1),
        lambda z: descending(z) @ WEIGHTS,
    ),
    "total_variation": (
        lambda g: np.max(np.abs(np.cumsum(g, axis=-1)), axis=-1),
        lambda z: np.sum(np.abs(np.diff(z)), axis=-1),
    ),
}
"""The dual norm and the penalty."""


ON_ALL = {name: jax.jit(jax.vmap(call, in_axes=(0, None))) for name, call in OPERATORS.items()}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 4.0, 1e30])
def test_the_objective_is_minimized(name, t, x64):
    """z is the minimizer exactly if the dual norm of x − z is ≤ t and ⟨x − z, z⟩ = tR(z)."""
    dual_norm, penalty = DUALITY[name]
    z = np.asarray(ON_ALL[name](jnp.asarray(VECTORS), t))
    assert np.all(dual_norm(VECTORS - z) <= t + 1e-12)
    if name == "total_variation":
        np.testing.assert_allclose(z.sum(-1), VECTORS.sum(-1), atol=1e-12)
    paid = t * penalty(z) if t < 1e30 else 0
    assert np.all(np.abs(np.sum((VECTORS - z) * z, axis=-1) - paid) <= 1e-9)
    assert t > 0 or np.array_equal(z, VECTORS)
    moved = np.linalg.norm(z[1:] - z[:-1], axis=-1)
    assert np.all(moved <= np.linalg.norm(VECTORS[1:] - VECTORS[:-1], axis=-1) + 1e-12)
    if t == 1e30:
        mean = VECTORS.mean(-1, keepdims=True) if name == "total_variation" else 0
        np.testing.assert_allclose(z, mean + 0 * VECTORS, atol=1e-12)


@pytest.mark.parametrize("name", OPERATORS)
def test_derivatives_agree_with_differences(name, x64):
    operator, step = OPERATORS[name], 1e-6
    x, direction = jnp.asarray(VECTORS[1]), jnp.asarray(VECTORS[2])

    @jax.jit
    def both(t):
        by_x, by_t = jax.grad(lambda x, t: jnp.sum(operator(x, t) ** 2), (0, 1))(x, t)
        squares = lambda h: jnp.sum(operator(x + h * direction, t + h) ** 2)  # noqa: E731
        return by_x @ direction + by_t, (squares(step) - squares(-step)) / (2 * step)

    for t in (0.1, 0.4, 0.9):
        np.testing.assert_allclose(*both(t), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", OPERATORS)
def test_range(name):
    x = jnp.array([1e-30, 3e-30, -1e-20, 0.0, 1.0, 1e5, -1e15, 1e20, 1e25, -1e28, 1e30, 2e30])
    run = jax.jit(OPERATORS[name])
    slopes = jax.jit(jax.grad(lambda x, t: jnp.sum(OPERATORS[name](x, t)), (0, 1)))
    for scale in (0.0, 1e-30, 1.0, 1e30):
        for vector in (x, scale * jnp.arange(12.0)):
            for t in (0.0, 1e-30, 1.0, 1e30, np.inf):
                assert np.all(np.isfinite(run(vector, t)))
                assert np.isinf(t) or all(np.all(np.isfinite(s)) for s in slopes(vector, t))
            assert np.array_equal(run(vector, 0.0), vector)
    assert np.array_equal(run(x, 1.0)[-4:], x[-4:])


def test_slope_takes_the_tree_as_one_vector():
    tree = {"a": jnp.array([[3.0, -2.5]], "bfloat16"), "b": jnp.array([0.5]), "none": None}
    call = jax.jit(prox.slope)
    out = call({**tree, "e": jnp.zeros((0, 2))}, 1.0, weights=jnp.array([2.0, 1.0, 1.0]))
    assert np.array_equal(out["a"], jnp.array([[1.25, -1.25]], "bfloat16"))
    assert np.array_equal(out["b"], [0]) and out["none"] is None and out["e"].shape == (0, 2)
    assert prox.slope({}, 1.0, weights=np.zeros(0)) == {}
    z = jnp.array([3 + 4j, 0.3j])
    np.testing.assert_allclose(call(z, 1.0, weights=np.ones(2)), prox.l1(z, 1.0), rtol=1e-6)
    assert np.all(np.isnan(call(jnp.array([jnp.nan, 1.0]), 1.0, weights=np.ones(2))))


def test_slope_checks_weights_in_a_list():
    x = jnp.array([3.0, 1.0])
    np.testing.assert_allclose(prox.slope(x, 1.0, weights=[2.0, 1.0]), [1.0, 0.0])
    for weights in ([-1.0, -2.0], [1.0, 2.0], (np.nan, 0.0)):
        with pytest.raises(ValueError, match="weights must be >= 0 and not increase"):
            prox.slope(x, 1.0, weights=weights)


def test_slope_with_equal_weights_is_l1(x64):
    x = jnp.asarray(VECTORS[0])
    np.testing.assert_allclose(
        jax.jit(prox.slope)(x, 0.5, weights=np.ones(12)), prox.l1(x, 0.5), atol=1e-15
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"must have shape \(2,\), got \(3,\)"),
        (np.array([1.0, 2.0]), "not increase"),
        (np.array([1.0, -1.0]), "must be >= 0"),
        (np.array([np.nan, 1.0]), "must be >= 0"),
    ],
)
def test_bad_weights_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        prox.slope(jnp.ones(2), 1.0, weights=weights)
    with pytest.raises(ValueError, match="t must be a number >= 0"):
        prox.slope(jnp.ones(2), -1.0, weights=np.ones(2))


def test_total_variation_treats_every_line_of_every_leaf():
    x = jax.random.normal(jax.random.key(0), (3, 5, 4)).astype("bfloat16")
    x = x.at[0, 0].mul(1e20)
    tree = {"x": x, "scalar": jnp.array(2.0), "empty": jnp.zeros((2, 0)), "none": None}
    out = jax.jit(functools.partial(prox.total_variation, axis=1))(tree, 0.3)
    line = jax.jit(jax.vmap(lambda x: prox.total_variation(x, 0.3), in_axes=1, out_axes=1))
    assert np.array_equal(out["x"], jnp.stack([line(matrix) for matrix in x]))
    assert out["x"].dtype == jnp.bfloat16 and out["scalar"] == 2 and out["none"] is None
    assert out["empty"].shape == (2, 0) and prox.total_variation({}, 1.0) == {}
    broken = prox.total_variation(jnp.array([[1.0, jnp.nan], [1.0, 4.0]]), 1.0)
    assert np.all(np.isnan(broken[0])) and np.array_equal(broken[1], [2, 3])
