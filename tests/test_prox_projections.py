"""Projections and penalties of whole trees: optimality proved by duality on random vectors."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax.projections
import pytest

from adamprox import prox

VECTORS = np.random.default_rng(0).normal(size=(1000, 7))
VECTORS *= np.random.default_rng(1).choice([0.1, 1, 10], size=(1000, 1))  # in and out of the sets
VECTORS[::10] = np.round(VECTORS[::10])  # ties, zeros


SETS = {
    "simplex": (
        functools.partial(prox.simplex, total=1.5),
        lambda z: np.maximum(np.max(-z, axis=-1), np.abs(np.sum(z, axis=-1) - 1.5)),
        lambda g: 1.5 * np.max(g, axis=-1),
    ),
    "l1_ball": (
        functools.partial(prox.l1_ball, radius=1.5),
        lambda z: np.sum(np.abs(z), axis=-1) - 1.5,
        lambda g: 1.5 * np.max(np.abs(g), axis=-1),
    ),
    "linf_ball": (
        functools.partial(prox.linf_ball, radius=1.5),
        lambda z: np.max(np.abs(z), axis=-1) - 1.5,
        lambda g: 1.5 * np.sum(np.abs(g), axis=-1),
    ),
}
"""The operator, the violation of its set by a vector, and the support function of the set."""

OPTAX = {
    "simplex": lambda x: optax.projections.projection_simplex(x, 1.5),
    "l1_ball": lambda x: optax.projections.projection_l1_ball(x, 1.5),
    "linf_ball": lambda x: optax.projections.projection_linf_ball(x, 1.5),
}


@pytest.mark.parametrize("name", SETS)
def test_projections_minimize_the_distance(name, x64):
    """z is the projection of x exactly if it is in the set and sup ⟨x − z, y − z⟩ ≤ 0 over it."""
    operator, violation, support = SETS[name]
    z = np.asarray(jax.jit(jax.vmap(operator, in_axes=(0, None)))(jnp.asarray(VECTORS), 0.0))
    assert np.all(violation(z) <= 1e-12)
    gap = support(VECTORS - z) - np.sum((VECTORS - z) * z, axis=-1)
    assert np.all(gap <= 1e-9)
    theirs = jax.vmap(OPTAX[name])(jnp.asarray(VECTORS))
    np.testing.assert_allclose(z, theirs, rtol=0, atol=1e-10)
    again = jax.vmap(operator, in_axes=(0, None))(jnp.asarray(z), 1e30)
    np.testing.assert_allclose(again, z, rtol=0, atol=1e-14)
    moved = np.linalg.norm(z[1:] - z[:-1], axis=-1)
    assert np.all(moved <= np.linalg.norm(VECTORS[1:] - VECTORS[:-1], axis=-1) + 1e-12)


@pytest.mark.parametrize("name", SETS)
def test_projections_stay_in_range(name):
    keyword = "total" if name == "simplex" else "radius"
    operator = jax.jit(lambda x, size: getattr(prox, name)(x, jnp.inf, **{keyword: size}))
    slope = jax.jit(jax.grad(lambda x, size: jnp.sum(operator(x, size)), (0, 1)))
    scales = (0.0, 1e-30, 1.0, 1e30, 3e38)
    for scale, size in itertools.product(scales, (0.0, 1e-30, 1.0, 1e30)):
        x = jnp.array([1.0, -1.0, 0.5, 0.0]) * scale
        z = np.asarray(operator(x, size), float)
        assert np.all(np.isfinite(z))
        total = np.max(np.abs(z)) if name == "linf_ball" else np.sum(np.abs(z))
        assert total <= size * (1 + 1e-6) or np.array_equal(z, x)
        assert all(np.all(np.isfinite(part)) for part in slope(x, size))


@pytest.mark.parametrize("name", SETS)
def test_projections_treat_trees_as_one_vector(name):
    operator = SETS[name][0]
    tree = {"a": jnp.array([[2.0, -1.0]], "bfloat16"), "b": jnp.zeros((0, 3)), "none": None}
    out = operator({**tree, "c": jnp.array(3.0)}, 1.0)
    assert out["a"].dtype == jnp.bfloat16 and out["c"].dtype == jnp.float32
    assert out["b"].shape == (0, 3) and out["none"] is None
    flat = operator(jnp.array([2.0, -1.0, 3.0]), 1.0)
    np.testing.assert_allclose(np.ravel(out["a"]).astype(float), flat[:2], rtol=4e-3)
    np.testing.assert_allclose(out["c"], flat[2], rtol=1e-6)
    assert operator({}, 1.0) == {} and operator(jnp.zeros((0,)), 1.0).shape == (0,)
    assert np.all(np.isnan(operator(jnp.array([jnp.nan, 1.0]), 1.0))) or name == "linf_ball"


def test_projections_of_complex_entries_keep_their_phase():
    z = jnp.array([3 + 4j, 0.6 + 0.8j, 0j])
    np.testing.assert_allclose(prox.l1_ball(z, 0.0, radius=2.0), [1.2 + 1.6j, 0, 0], rtol=1e-6)
    out = prox.linf_ball(z, 0.0, radius=2.0)
    np.testing.assert_allclose(out, [1.2 + 1.6j, 0.6 + 0.8j, 0], rtol=1e-6)


def test_the_derivative_of_a_projection_is_the_projection_on_its_face(x64):
    slope = jax.jacobian(lambda x: prox.simplex(x, 0.0))(jnp.array([1.0, 0.5, -3.0]))
    np.testing.assert_allclose(slope, [[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 0]], atol=1e-15)
    slope = jax.jacobian(lambda x: prox.l1_ball(x, 0.0))(jnp.array([1.0, -0.5, 0.1]))
    np.testing.assert_allclose(slope, [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 0]], atol=1e-15)
