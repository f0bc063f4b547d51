"""Operators that keep the largest magnitudes: counts, ties, and no better choice."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox import prox

VECTORS = np.random.default_rng(0).normal(size=(1000, 8))
VECTORS[::4] = np.round(VECTORS[::4])  # ties, zeros
OPERATORS = {
    "top_k": functools.partial(prox.top_k, k=3),
    "top_share": functools.partial(prox.top_share, share=0.4),
    "n_m": functools.partial(prox.n_m, n=1, m=4, axis=-1),
}


def kept_by_choice(name):
    """Masks of all sets of entries that the operator may keep."""
    if name == "n_m":
        choices = itertools.product(range(4), range(4, 8))
    else:
        choices = itertools.combinations(range(8), 3)
    return np.array([[i in choice for i in range(8)] for choice in choices])


@pytest.mark.parametrize("name", OPERATORS)
def test_no_choice_of_entries_is_nearer(name, x64):
    operator = OPERATORS[name]
    z = np.asarray(jax.jit(jax.vmap(operator, in_axes=(0, None)))(jnp.asarray(VECTORS), 0.0))
    best = np.min(np.sum(np.square(VECTORS[:, None] * ~kept_by_choice(name)), axis=-1), axis=1)
    np.testing.assert_allclose(np.sum((z - VECTORS) ** 2, axis=-1), best, rtol=1e-12, atol=1e-12)
    assert np.all((z == VECTORS) | (z == 0))
    assert np.array_equal(jax.vmap(operator, in_axes=(0, None))(jnp.asarray(z), np.inf), z)


def test_exactly_k_of_equal_entries_are_kept():
    tree = {"a": jnp.ones((3, 5)), "b": -jnp.ones((4,), "bfloat16"), "none": None}
    for k in range(21):
        out = prox.top_k(tree, 1.0, k=k)
        assert sum(int((x != 0).sum()) for x in jax.tree.leaves(out)) == min(k, 19)
        assert out["b"].dtype == jnp.bfloat16
    kept = jax.vmap(lambda k: prox.top_k(tree, 1.0, k=k)["a"])(jnp.arange(21))
    assert np.array_equal((kept != 0).sum((1, 2)), np.minimum(np.arange(21), 15))


def test_a_share_is_rounded_to_entries_and_may_be_traced():
    x = jnp.arange(1.0, 11.0)
    for share, count in ((0.0, 0), (0.25, 2), (0.3, 3), (0.96, 10), (1.0, 10)):
        assert int((prox.top_share(x, 1.0, share=share) > 0).sum()) == count
        traced = jax.jit(lambda share: prox.top_share(x, 1.0, share=share))(share)
        assert int((traced > 0).sum()) == count


def test_two_of_four_along_the_input_of_kernels():
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 8, 5))
    out = prox.n_m({"kernel": kernel, "bias": jnp.ones(5), "none": None}, 1.0)
    blocks = out["kernel"].reshape(3, 3, 2, 4, 5)
    assert np.all((blocks != 0).sum(axis=3) == 2)
    assert np.all(out["bias"] == 1) and out["none"] is None
    first = prox.n_m(kernel.swapaxes(0, 2), 1.0, axis=0)
    assert np.array_equal(first, out["kernel"].swapaxes(0, 2))
    with pytest.raises(ValueError, match=r"m=4 does not divide axis -2 of .* shape \(6, 2\)"):
        prox.n_m(jnp.ones((6, 2)), 1.0)


@pytest.mark.parametrize("name", OPERATORS)
def test_extremes(name):
    operator = OPERATORS[name]
    assert operator({}, 1.0) == {} and operator(jnp.zeros((0, 8)), 1.0).shape == (0, 8)
    assert operator(jnp.zeros((4, 0)), 1.0).shape == (4, 0)
    x = jnp.array([1e-30, 3e38, -1e30, 2.0, jnp.inf, jnp.nan, 0.0, 1e-20])
    out = operator(x, 1.0)
    assert np.isinf(out[4]) or np.isnan(out[5])
    assert np.isnan(out[5]) and not np.any(np.isnan(np.delete(out, 5)))
    gradient = jax.grad(lambda x: jnp.sum(operator(x, 1.0)))(jnp.zeros(8))
    assert int(gradient.sum()) == {"top_k": 3, "top_share": 3, "n_m": 2}[name]
    half = operator(jnp.arange(8, dtype="float16"), 1.0)
    assert half.dtype == jnp.float16
    z = operator(jnp.array([1j, 2, 0, 3 + 4j, 0, 0, 0, 0]), 1.0)
    assert z[3] == 3 + 4j
    with pytest.raises(TypeError, match="real or complex numbers, got int32"):
        operator(jnp.arange(8), 1.0)


@pytest.mark.parametrize(
    ("operator", "keywords", "message"),
    [
        (prox.top_k, {"k": -1}, "k must be an integer >= 0, got -1"),
        (prox.top_k, {"k": 2.5}, "k must be an integer >= 0, got 2.5"),
        (prox.top_share, {"share": 1.5}, "0 <= share <= 1, got 1.5"),
        (prox.n_m, {"n": 5}, "n must be an integer with 0 <= n <= m = 4, got 5"),
        (prox.n_m, {"m": 0}, "m must be a positive integer, got 0"),
    ],
)
def test_bad_parameters_are_named(operator, keywords, message):
    with pytest.raises(ValueError, match=message):
        operator(jnp.ones(4), 1.0, **keywords)
