"""Moreau's identity, jaxopt's published definitions, and how operators combine."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox import prox


def draw(seed=0, shape=(4, 3)):
    rng = np.random.default_rng(seed)
    return {"w": 2 * rng.normal(size=shape), "b": rng.normal(size=5), "none": None}


def to_jax(tree):
    return jax.tree.map(jnp.asarray, tree)


def assert_close(tree, other, tolerance=1e-12):
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# Moreau: prox_{tR}(x) + t · prox_{R*/t}(x/t) = x. For a norm R* is the indicator of the unit ball of
# the dual norm, and the second term the projection of x on the ball of radius t.


@pytest.mark.parametrize("t", [0.0, 1e-3, 0.8, 3.0, 1e3])
def test_moreau_with_the_ball_of_the_dual_norm(t, x64):
    x = to_jax(draw())
    add = functools.partial(jax.tree.map, jnp.add)
    assert_close(add(prox.l1(x, t), prox.box(x, 1.0, lower=-t, upper=t)), x)
    assert_close(add(prox.l2(x, t), prox.l2_ball(x, 1.0, radius=t)), x)


@pytest.mark.parametrize("t", [0.1, 1.0, 7.0])
def test_moreau_where_the_conjugate_is_known(t, x64):
    x = draw()["w"]
    half_square = prox.squared_l2(jnp.asarray(x / t), 1 / t)  # its own conjugate
    np.testing.assert_allclose(prox.squared_l2(jnp.asarray(x), t) + t * half_square, x, rtol=1e-12)
    # The orthant's indicator has that of the opposite orthant as conjugate.
    negative = prox.box(jnp.asarray(x), t, upper=0.0)
    np.testing.assert_array_equal(prox.nonnegative(jnp.asarray(x), t) + negative, x)
    # Huber's conjugate is ½y² on |y| ≤ δ: a shrinkage, then a projection.
    huber = prox.huber(jnp.asarray(x), t, delta=0.6)
    conjugate = prox.box(prox.squared_l2(jnp.asarray(x / t), 1 / t), t, lower=-0.6, upper=0.6)
    np.testing.assert_allclose(huber + t * conjugate, x, rtol=1e-12)


# The definitions jaxopt's documentation gives (argmin ½‖x − y‖² + scaling · g(y)), solved by hand.


def numpy_lasso(x, lam, scaling):
    return np.where(x > scaling * lam, x - scaling * lam, np.where(-x > scaling * lam, x + scaling * lam, 0))  # fmt: skip


def numpy_elastic_net(x, hyperparams, scaling):
    lam, gamma = hyperparams  # g(y) = lam (‖y‖₁ + gamma ½‖y‖²)
    return numpy_lasso(x, lam, scaling) / (1 + scaling * lam * gamma)


def numpy_group_lasso(x, lam, scaling):
    norm = np.sqrt(np.dot(x.ravel(), x.ravel()))
    return np.zeros_like(x) if norm <= lam * scaling else x * ((norm - lam * scaling) / norm)


@pytest.mark.parametrize(("lam", "scaling"), [(0.0, 1.0), (0.3, 1.0), (1.7, 0.5), (40.0, 2.0)])
def test_jaxopt_definitions(lam, scaling, x64):
    t = lam * scaling
    x = np.asarray(draw()["w"])
    z = jnp.asarray(x)
    assert_close(prox.l1(z, t), numpy_lasso(x, lam, scaling))
    assert_close(prox.l2(z, t), numpy_group_lasso(x, lam, scaling))
    assert_close(prox.squared_l2(z, t), x / (1 + scaling * lam))
    assert_close(prox.nonnegative_l1(z, t), np.where(x > t, x - t, 0))
    for gamma in (
        0.0,
        0.4,
        3.0,
    ):  # lam(‖y‖₁ + gamma ½‖y‖²): weight lam(1 + gamma), ratio 1/(1 + gamma)
        ours = prox.elastic_net(z, t * (1 + gamma), l1_ratio=1 / (1 + gamma))
        assert_close(ours, numpy_elastic_net(x, (lam, gamma), scaling))


# Combinators


def test_by_path_makes_one_group_of_the_selected_leaves():
    tree = {
        "a": {"kernel": jnp.array([3.0, 0.0]), "bias": jnp.array([7.0])},
        "b": [jnp.array(1.0), {"kernel": jnp.array(4.0)}],
        "none": None,
    }
    out = prox.by_path(re.compile("kernel$").search, prox.l2)(tree, 1.0)
    assert jax.tree.structure(out) == jax.tree.structure(tree)
    np.testing.assert_allclose(out["a"]["kernel"], [2.4, 0.0], rtol=1e-6)
    np.testing.assert_allclose(out["b"][1]["kernel"], 3.2, rtol=1e-6)
    assert out["a"]["bias"] is tree["a"]["bias"] and out["b"][0] is tree["b"][0]


def test_by_path_shows_paths_joined_by_slashes():
    seen = []
    tree = {"params": {"Dense_0": {"kernel": jnp.ones(2), "none": None}}, "list": [jnp.ones(1)]}
    prox.by_path(seen.append, prox.l1)(tree, 1.0)
    prox.by_path(seen.append, prox.l1)(jnp.ones(2), 1.0)
    assert seen == ["list/0", "params/Dense_0/kernel", ""]


def test_by_path_with_nothing_or_everything_selected():
    tree = to_jax(draw())
    nothing = prox.by_path(lambda path: False, prox.l2)(tree, 1.0)
    assert_close(nothing, tree, 0)
    assert_close(prox.by_path(lambda path: True, prox.l2)(tree, 1.0), prox.l2(tree, 1.0), 0)
    with pytest.raises(TypeError, match="predicate must be a callable of a path, got 'kernel'"):
        prox.by_path("kernel", prox.l2)  # pyright: ignore[reportArgumentType]
    for wrong in (
        functools.partial(prox.by_path, bool), prox.per_leaf, prox.per_output_channel,
        prox.size_weighted, functools.partial(adamprox.proxgen, 1e-3, weight=0.1),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"prox must be a callable .*, got 1\.0"):
            wrong(1.0)


def test_size_weights_are_those_of_the_group():
    kernel = jnp.ones((3, 3, 2, 4))
    tree = {"kernel": kernel, "bias": jnp.ones(4)}
    weighted = prox.size_weighted(prox.l2)
    # √n/‖x‖ is 1 for a group of ones, whatever its size.
    for granularity in (prox.per_leaf, prox.per_output_channel):
        out = granularity(weighted)(tree, 0.25)
        assert_close(out, jax.tree.map(lambda x: 0.75 * x, tree), 1e-6)
    assert_close(weighted(tree, 0.25), jax.tree.map(lambda x: 0.75 * x, tree), 1e-6)


def test_max_norm_constraint_by_output_channel():
    out = prox.per_output_channel(prox.l2_ball)(jnp.array([[3.0, 0.3], [4.0, 0.4]]), 0.0)
    np.testing.assert_allclose(out, [[0.6, 0.3], [0.8, 0.4]], rtol=1e-6)


def test_projections_are_idempotent_and_stay_inside():
    x = to_jax(draw())
    for project in (
        prox.nonnegative,
        functools.partial(prox.box, lower=-0.5, upper=0.25),
        functools.partial(prox.l2_ball, radius=0.7),
    ):
        once = project(x, 1.0)
        assert_close(project(once, 1.0), once, 1e-6)
    on_sphere = jax.tree.leaves(prox.l2_ball(x, 1.0, radius=0.7))
    assert np.sqrt(sum(np.sum(leaf**2) for leaf in on_sphere)) == pytest.approx(0.7)


@pytest.mark.parametrize(
    "operator",
    [
        prox.nonnegative,
        functools.partial(prox.mcp, scale=0.5),
        prox.by_path(
            lambda path: path == "w", prox.per_output_channel(prox.size_weighted(prox.l2))
        ),
    ],
)
def test_in_a_chain(operator):
    x = to_jax(draw())
    tx = optax.chain(optax.sgd(0.1), adamprox.proximal(operator, 0.2))
    updates, _ = jax.jit(tx.update)(x, tx.init(x), x)
    expected = operator(jax.tree.map(lambda leaf: 0.9 * leaf, x), 0.2)
    assert_close(optax.apply_updates(x, updates), expected, 1e-6)
