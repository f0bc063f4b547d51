"""`proximal` inside Optax's wrappers: each row of docs/composition.md, right or wrong."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import adamprox
from adamprox import prox

THRESHOLD = 0.3
SGD = optax.sgd(0.5)
SPARSE = optax.chain(SGD, adamprox.proximal(prox.l1, THRESHOLD))
X = jnp.array([1.0, -1.0, 0.4, 2.0])
# The first two coordinates are driven into the dead zone, the others out of it.
GRADIENT = jnp.array([1.6, -2.2, -3.0, 0.1])
AFTER = jnp.array([0.0, 0.0, 1.6, 1.65])


def steps(tx, x=X, count=1, gradient=GRADIENT):
    state = tx.init(x)
    for _ in range(count):
        updates, state = tx.update(gradient, state, x)
        x = optax.apply_updates(x, updates)
    return x


def zeros_of(x):
    return np.flatnonzero(np.asarray(x) == 0).tolist()


def test_alone():
    np.testing.assert_allclose(steps(SPARSE), AFTER, rtol=1e-6)


def test_multi_steps_around_the_chain():
    wrapped = optax.MultiSteps(SPARSE, 3).gradient_transformation()
    assert np.array_equal(steps(wrapped, count=2), X)
    np.testing.assert_allclose(steps(wrapped, count=3), AFTER, rtol=1e-6)


def test_multi_steps_before_proximal_shrinks_too_often():
    base = optax.MultiSteps(SGD, 3).gradient_transformation()
    wrong = optax.chain(base, adamprox.proximal(prox.l1, THRESHOLD))
    assert not np.array_equal(steps(wrong, count=1), X)


def test_apply_if_finite_skips_the_whole_step():
    wrapped = optax.apply_if_finite(SPARSE, 5)
    np.testing.assert_allclose(steps(wrapped), AFTER, rtol=1e-6)
    assert np.array_equal(steps(wrapped, gradient=GRADIENT.at[0].set(jnp.nan)), X)


@pytest.mark.parametrize("outside", [True, False])
def test_masked_and_partition_give_the_prox_their_part_alone(outside):
    params = {"a": jnp.array([3.0, 4.0]), "b": jnp.array([1000.0])}
    still = jax.tree.map(jnp.zeros_like, params)
    group = adamprox.proximal(prox.l2, 1.0)
    if outside:
        tx = optax.masked(group, {"a": True, "b": False})
    else:
        tx = optax.partition({"l2": group, "none": optax.identity()}, {"a": "l2", "b": "none"})
    updates, _ = tx.update(still, tx.init(params), params)
    np.testing.assert_allclose(updates["a"], [-0.6, -0.8], rtol=1e-6)
    assert updates["b"] == 0


def test_inject_hyperparams_needs_prox_to_be_static():
    make = optax.inject_hyperparams(adamprox.proximal, static_args=("prox",))
    tx = optax.chain(SGD, make(prox=prox.l1, weight=THRESHOLD))
    np.testing.assert_allclose(steps(tx), AFTER, rtol=1e-6)
    with pytest.raises(TypeError):
        steps(optax.chain(SGD, optax.inject_hyperparams(adamprox.proximal)(prox.l1, THRESHOLD)))


def test_a_mask_that_became_a_bool_is_a_warning():
    mask = lambda tree: jax.tree.map(lambda x: jnp.ndim(x) > 0, tree)  # noqa: E731
    good = optax.inject_hyperparams(adamprox.adamprox, static_args=("mask",))
    assert jnp.all(jnp.abs(steps(good(0.0, weight_decay=0.05, mask=mask))) < jnp.abs(X))
    for chosen, kept in (
        (mask, 1.0),
        (lambda tree: jax.tree.map(lambda x: x.ndim < 1, tree), 1 / 1.05),
    ):
        lost = optax.inject_hyperparams(adamprox.adamprox)(0.0, weight_decay=0.05, mask=chosen)
        with pytest.warns(UserWarning, match=r"mask is (True|False) for every parameter"):
            np.testing.assert_allclose(steps(lost), kept * X, rtol=1e-6)
    with pytest.raises(TypeError, match="mask must be a pytree of booleans or a callable, got 'b'"):
        adamprox.proximal(prox.l1, 0.1, mask="b")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="mask must be a pytree of booleans or a callable"):
        adamprox.fista(0.1, prox.l1, 0.1, mask="b")  # pyright: ignore[reportArgumentType]


def test_schedule_free_moves_another_point():
    tx = optax.contrib.schedule_free(SPARSE, learning_rate=0.5, b1=0.9)
    assert zeros_of(steps(tx, count=3)) == []


def test_lookahead_mixes_zeros_away():
    params = optax.LookaheadParams.init_synced(X)
    tx = optax.lookahead(SPARSE, sync_period=2, slow_step_size=0.5)
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(GRADIENT, state, params)
        params = optax.apply_updates(params, updates)
    assert zeros_of(params.slow) == []


def test_averages_of_parameters_are_sparse_only_when_all_of_them_are():
    ema = optax.incremental_update(steps(SPARSE), X, 0.1)
    assert zeros_of(ema) == [] and zeros_of(steps(SPARSE)) == [0, 1]


@pytest.mark.parametrize("clip", [optax.clip(0.5), optax.clip_by_global_norm(1.0)])
def test_clipping_goes_before(clip):
    gradient = GRADIENT * 100
    clipped = clip.update(gradient, clip.init(X), X)[0]
    before = optax.chain(clip, SPARSE)
    np.testing.assert_allclose(
        steps(before, gradient=gradient), steps(SPARSE, gradient=clipped), rtol=1e-6
    )


AFTER_PROXIMAL = {
    "clip": optax.clip(0.5),
    "clip_by_global_norm": optax.clip_by_global_norm(0.5),
    "scale_by_learning_rate": optax.scale(0.5),
    "ema": optax.ema(0.9),
    "add_decayed_weights": optax.add_decayed_weights(-0.01),
}


@pytest.mark.parametrize("name", AFTER_PROXIMAL)
def test_whatever_comes_after_proximal_loses_the_zeros(name):
    wrong = optax.chain(SPARSE, AFTER_PROXIMAL[name])
    assert zeros_of(steps(SPARSE)) == [0, 1] and zeros_of(steps(wrong)) != [0, 1]


def test_the_metric_of_adam_is_not_scale_free_and_ours_is():
    """Coordinates scaled by powers of two: M = ηI gives the same bits, Adam's metric does not."""
    gradient = jnp.array([0.3, -0.2, 0.5, 0.1])
    scales = jnp.asarray(np.exp2([-6.0, 0.0, 4.0, 9.0]), jnp.float32)
    ours = adamprox.adamprox_l1(0.1, eps=0.0, weight_decay=0.02)
    theirs = adamprox.proxgen(0.1, prox.l1, 0.02, eps=0.0)
    same = [
        np.array_equal(
            steps(tx, count=5, gradient=gradient), steps(tx, count=5, gradient=gradient * scales)
        )
        for tx in (ours, theirs)
    ]
    assert same == [True, False]


def test_proxgen_against_its_formula_and_its_fixed_point(x64):
    """Where the gradient of the loss is −λ sign(x), x minimizes loss + λ‖x‖₁ and stays."""
    alpha, lam, x = 0.1, 0.2, np.array([1.0, -2.0, 0.05])
    gradient = np.array([0.5, 1.0, 2.0])
    tx = adamprox.proxgen(alpha, prox.l1, lam, eps=1e-8)
    m, v, expected = np.zeros(3), np.zeros(3), x
    for t in range(1, 6):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        root = np.sqrt(v / (1 - 0.999**t)) + 1e-8
        z = expected - alpha * m / (1 - 0.9**t) / root
        expected = np.sign(z) * np.maximum(np.abs(z) - lam * alpha / root, 0)
    actual = steps(tx, jnp.asarray(x), 5, jnp.asarray(gradient))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-14)
    at_rest = steps(tx, jnp.asarray(x), 1, -lam * jnp.sign(jnp.asarray(x)))
    np.testing.assert_allclose(at_rest, x, rtol=0, atol=1e-7)


def test_proxgen_without_a_gradient():
    """0/0 is 0 where nothing pulls; where something does, R alone is minimized."""
    x, still = jnp.array([1.0, -2.0]), jnp.zeros(2)
    at_rest = [
        adamprox.proxgen(0.1, prox.l1, 0.0, eps=0.0),
        adamprox.proxgen(0.1, prox.l1, 1.0, eps=0.0, schedule=lambda t: jnp.where(t < 9, 0.0, 1.0)),
        adamprox.proxgen(0.0, prox.squared_l2, jnp.array(1.0), eps=0.0),
    ]
    for tx in at_rest:
        assert np.array_equal(steps(tx, x, 2, still), x)
    pulled = adamprox.proxgen(0.1, prox.l1, lambda t: 1e-6, eps=0.0)
    assert np.array_equal(steps(pulled, x, 1, still), still)
    tx = adamprox.proxgen(0.1, prox.l1, 0.01, eps=0.0)
    updates, _ = tx.update({"a": x, "b": None}, tx.init({"a": x, "b": x}), {"a": x, "b": x})
    assert updates["b"] is None


def test_every_row_of_the_table_names_a_test_of_this_file():
    table = (pathlib.Path(__file__).parents[1] / "docs" / "composition.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", table))
    here = {name for name in globals() if name.startswith("test_")}
    assert len(named) >= 10 and named <= here
