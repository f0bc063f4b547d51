"""Proximal operators against brute force and their defining properties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adamprox import prox
from tests.penalties import PROJECTIONS, REGULARIZERS


def in_x64(test):
    """Double precision inside a Hypothesis test, where fixtures cannot be used."""

    @functools.wraps(test)
    def wrapped(*args, **kwargs):
        with jax.enable_x64(True):
            return test(*args, **kwargs)

    return wrapped


vectors = hnp.arrays(np.float64, 3, elements=st.floats(-5, 5).map(lambda v: round(v, 3)))
thresholds = st.floats(0, 4)


@pytest.mark.parametrize("name", REGULARIZERS)
@given(x=vectors, t=thresholds)
@in_x64
def test_nothing_nearby_is_better(name, x, t):
    """The prox minimizes ½‖z − x‖² + t R(z): no perturbation of any size lowers it."""
    operator, regularizer = REGULARIZERS[name]
    z = np.asarray(operator(jnp.asarray(x), t))
    objective = lambda z: 0.5 * np.sum((z - x) ** 2) + t * regularizer(z)  # noqa: E731
    rng = np.random.default_rng(0)
    others = [z + size * rng.normal(size=3) for size in (1e-4, 1e-2, 1) for _ in range(20)]
    assert all(objective(z) <= objective(other) + 1e-12 for other in [*others, x, 0 * x])


@pytest.mark.parametrize("name", [*REGULARIZERS, *PROJECTIONS])
@given(x=vectors, y=vectors, t=thresholds)
@in_x64
def test_nonexpansive(name, x, y, t):
    operator = PROJECTIONS[name] if name in PROJECTIONS else REGULARIZERS[name][0]
    gap = np.linalg.norm(operator(jnp.asarray(x), t) - operator(jnp.asarray(y), t))
    assert gap <= np.linalg.norm(x - y) + 1e-12


def test_l2_norm_is_over_the_whole_tree_and_per_leaf_is_not():
    tree = {"a": jnp.array([3.0, 0.0]), "b": jnp.array(4.0)}
    np.testing.assert_allclose(prox.l2(tree, 1.0)["a"], [2.4, 0], rtol=1e-6)
    np.testing.assert_allclose(prox.per_leaf(prox.l2)(tree, 1.0)["a"], [2.0, 0], rtol=1e-6)
    assert np.all(prox.l2(tree, 5.0)["a"] == 0) and prox.l2(tree, 5.0)["b"] == 0


def test_l2_far_out_of_range_of_squares():
    np.testing.assert_allclose(prox.l2(jnp.array([3e30, 4e30]), 1e30), [2.4e30, 3.2e30], rtol=1e-6)
    np.testing.assert_allclose(
        prox.l2(jnp.array([3e-30, 4e-30]), 1e-30), [2.4e-30, 3.2e-30], rtol=1e-6
    )


def test_complex_entries_keep_their_phase():
    z = jnp.array([3 + 4j, 0.3 + 0.4j, 0j])
    np.testing.assert_allclose(prox.l1(z, 1.0), [2.4 + 3.2j, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(prox.l2(z[:1], 1.0), [2.4 + 3.2j], rtol=1e-6)


def test_per_output_channel_groups_by_the_last_axis():
    kernel = jnp.ones((3, 3, 2, 2)).at[..., 1].set(0.01)
    out = prox.per_output_channel(prox.l2)({"kernel": kernel, "scalar": jnp.array(2.0)}, 1.0)
    assert np.all(out["kernel"][..., 1] == 0)
    np.testing.assert_allclose(out["kernel"][..., 0], 1 - 1 / np.sqrt(18), rtol=1e-6)
    np.testing.assert_allclose(out["scalar"], 1.0)


def test_per_output_channel_groups_by_another_axis():
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 2, 4))
    tree = {"kernel": kernel, "bias": jnp.ones(4), "scalar": jnp.array(2.0), "none": None}
    last = prox.per_output_channel(prox.l2)(tree, 0.5)
    stored_first = {**tree, "kernel": kernel.transpose(3, 2, 0, 1)}
    first = prox.per_output_channel(prox.l2, axis=0)(stored_first, 0.5)
    np.testing.assert_allclose(first["kernel"].transpose(2, 3, 1, 0), last["kernel"], rtol=1e-6)
    assert np.array_equal(first["bias"], last["bias"]) and first["scalar"] == last["scalar"]
    with pytest.raises(ValueError, match=r"a leaf of shape \(4,\) has no axis 1"):
        prox.per_output_channel(prox.l2, axis=1)(tree, 0.5)


def test_under_jit_and_vmap_with_traced_weights():
    x, t = jnp.array([3.0, 4.0]), jnp.array([0.0, 1.0, 9.0])
    out = jax.jit(jax.vmap(prox.l2, in_axes=(None, 0)))(x, t)
    np.testing.assert_allclose(out, [[3, 4], [2.4, 3.2], [0, 0]], rtol=1e-6)


def test_empty_trees():
    assert prox.l2({}, 1.0) == {} and prox.l1((), 1.0) == ()
    assert prox.l2(jnp.zeros((0,)), 1.0).shape == (0,)
