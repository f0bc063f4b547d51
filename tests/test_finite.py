"""`finite` keeps the steps of Optax's optimizers finite in half precision and changes no finite step."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adamprox import finite

OPTIMIZERS = {
    "adabelief": optax.adabelief(0.1),
    "adadelta": optax.adadelta(0.1),
    "adagrad": optax.adagrad(0.1),
    "adam": optax.adam(0.1),
    "adamw": optax.adamw(0.1),
    "lamb": optax.lamb(0.1),
    "lion": optax.lion(0.1),
    "noisy_sgd": optax.noisy_sgd(0.1, key=0),
    "novograd": optax.novograd(0.1),
    "radam": optax.radam(0.1),
    "rmsprop": optax.rmsprop(0.1),
    "sgd": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9)),
}
RUNS, STEPS = 500, 3
MAGNITUDES = [0.0, 0.0, 1e-7, 1e-4, 1.0, 300.0, 6e4]


def gradients(dtype):
    """Gradients of many runs, [step, run, 2, 2], zero to almost the largest float16."""
    rng = np.random.default_rng(0)
    values = rng.choice(MAGNITUDES, (STEPS, RUNS, 2, 2)) * rng.uniform(-1, 1, (STEPS, RUNS, 2, 2))
    return jnp.asarray(values).astype(dtype)


def start(tx, dtype):
    x = {"w": jnp.ones((RUNS, 2, 2), dtype)}
    return x, jax.vmap(tx.init)(x)


def all_finite(tree):
    return all(
        np.isfinite(np.asarray(leaf, np.float64)).all()
        for leaf in jax.tree.leaves(tree)
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    )


@pytest.mark.parametrize(
    "dtype", [jnp.float16, pytest.param(jnp.bfloat16, marks=pytest.mark.slow), jnp.float32]
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_and_states_stay_finite(name, dtype):
    tx = finite(OPTIMIZERS[name])
    step = jax.jit(jax.vmap(tx.update))
    x, state = start(tx, dtype)
    for g in gradients(dtype):
        updates, state = step({"w": g}, state, x)
        assert all_finite((updates, state))


@pytest.mark.slow  # the next test is stricter: it compiles the steps
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_finite_steps_keep_their_bits_without_jit(name):
    tx = OPTIMIZERS[name]
    plain, wrapped = jax.vmap(tx.update), jax.vmap(finite(tx).update)
    x, state = start(tx, jnp.float32)
    for g in gradients(jnp.float32):
        expected = plain({"w": g}, state, x)
        assert all_finite(expected)
        chex.assert_trees_all_equal(wrapped({"w": g}, state, x), expected)
        state = expected[1]
        x = optax.apply_updates(x, expected[0])


# noisy_sgd draws normal numbers, which XLA rounds in another way.
@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"noisy_sgd"}))
def test_finite_steps_keep_their_bits_under_jit(name):
    tx, rng = OPTIMIZERS[name], np.random.default_rng(0)
    plain, wrapped = jax.jit(tx.update), jax.jit(finite(tx).update)
    x = {"w": jnp.asarray(rng.normal(size=(37, 19)), jnp.float32)}
    state = tx.init(x)
    for _ in range(50):
        g = {"w": jnp.asarray(rng.normal(size=(37, 19)) * 10 ** rng.uniform(-3, 3), jnp.float32)}
        expected = plain(g, state, x)
        chex.assert_trees_all_equal(wrapped(g, state, x), expected)
        state = expected[1]
        x = optax.apply_updates(x, expected[0])


def test_adam_in_float16_is_not_finite_without_it():
    x, tx = jnp.ones(2, jnp.float16), optax.adam(0.1)
    assert np.isnan(tx.update(0 * x, tx.init(x))[0]).all()
    assert np.array_equal(finite(tx).update(0 * x, tx.init(x))[0], [0, 0])


def test_a_gradient_that_is_not_finite_passes():
    tx = optax.apply_if_finite(finite(optax.sgd(0.1)), 3)
    x, bad = jnp.ones(2), jnp.array([jnp.inf, 1.0])
    updates, _ = finite(optax.sgd(0.5)).update(bad, optax.sgd(0.5).init(x), x)
    assert np.array_equal(updates, [-np.inf, -0.5])
    updates, state = tx.update(bad, tx.init(x), x)
    assert np.array_equal(updates, [0, 0]) and state.notfinite_count == 1


def test_only_the_bad_entries_change_and_integers_pass():
    def update(updates, state, params=None, **extra_args):
        del params
        return updates / jnp.array([0.0, 1.0]), (state[0] + 1, jnp.array([2.0, extra_args["seen"]]))

    tx = finite(
        optax.GradientTransformationExtraArgs(lambda x: (jnp.int32(0), jnp.zeros(2)), update)
    )
    updates, state = tx.update(jnp.array([1.0, 3.0]), tx.init(None), seen=jnp.nan)
    assert np.array_equal(updates, [0, 3])
    assert state[0] == 1 and np.array_equal(state[1], [2, 0])


def test_an_empty_tree():
    assert finite(optax.sgd(0.1)).update({}, optax.sgd(0.1).init({}))[0] == {}
