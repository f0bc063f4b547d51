"""Latent weights against a transcription, and the hardening schedule."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox import hardening, prox, straight_through

TERNARY = functools.partial(prox.fit_levels, count=3)
STEPS = 200


def run(tx, x, gradient, steps=STEPS):
    def step(carry, _):
        x, state = carry
        updates, state = tx.update(gradient(x), state, x)
        x = optax.apply_updates(x, updates)
        return (x, state), x

    return jax.jit(lambda x: jax.lax.scan(step, (x, tx.init(x)), length=steps))(x)[1]


def test_equals_the_algorithm(x64):
    """w ← w + u, x ← prox(w) with the derivative at x, and dual averaging with β = 1."""
    operator = functools.partial(prox.parq, levels=(-1.0, 0.0, 0.5, 2.0))
    anneal = hardening(20, 150)
    target = np.linspace(-3, 3, 8)
    x = w = np.full(8, 0.1)
    path = []
    parq = jax.jit(operator)
    for step in range(STEPS):
        w = w - 0.05 * (x - target)
        x = np.asarray(parq(w, anneal(step)))
        path.append(x)
    tx = optax.chain(optax.sgd(0.05), straight_through(operator, anneal))
    gradient = lambda x: x - target  # noqa: E731
    found = run(tx, jnp.full(8, 0.1), gradient)
    # Later the slope 1/(1 − t) amplifies the last bit.
    np.testing.assert_allclose(found[:120], path[:120], rtol=0, atol=1e-12)
    assert set(np.unique(found[150:])) <= {-1.0, 0.0, 0.5, 2.0}
    # The sum of weights 0.01 is the whole weight: steps of RDA with a constant divisor.
    summed = adamprox.dual_averaging(prox.l1, 0.01, beta=jnp.ones_like)
    latent = straight_through(prox.l1, lambda count: 0.01 * (count + 1))
    paths = [
        run(optax.chain(optax.sgd(0.05), tx), jnp.ones(8), gradient) for tx in (summed, latent)
    ]
    np.testing.assert_allclose(*paths, rtol=0, atol=1e-12)


def test_short_steps_add_up_that_proximal_loses():
    signs = functools.partial(prox.quantize, levels=(-1.0, 1.0))
    gradient = lambda x: x + 2.0  # noqa: E731
    lost, kept = (
        run(optax.chain(optax.sgd(0.05), last(signs, 1.0)), jnp.ones(3), gradient)
        for last in (adamprox.proximal, straight_through)
    )
    assert np.all(lost == 1.0) and np.all(kept[0] == 1.0) and np.all(kept[-1] == -1.0)


def test_masks_missing_leaves_and_dtypes():
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(9, 4)), jnp.bfloat16)
    params = {"kernel": kernel, "bias": jnp.zeros(4), "frozen": jnp.ones((2, 2))}
    given = {"kernel": kernel / 64, "bias": jnp.full(4, 0.25), "frozen": None}
    mask = {"kernel": True, "bias": False, "frozen": True}
    tx = straight_through(functools.partial(prox.quantize, levels=TERNARY), 1.0, mask=mask)
    state = tx.init(params)
    updates, after = jax.jit(tx.update)(given, state, params)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    latent = after.inner_state.latent
    assert latent["kernel"].dtype == jnp.float32 and latent["bias"] == optax.MaskedNode()
    assert np.array_equal(latent["kernel"], (kernel.astype("float32") * 65 / 64))
    assert updates["kernel"].dtype == jnp.bfloat16 and updates["frozen"] is None
    assert np.array_equal(updates["bias"], given["bias"])
    assert np.array_equal(latent["frozen"], params["frozen"])


def test_any_base_optimizer_and_the_check_of_chains():
    operator = functools.partial(prox.quantize, levels=TERNARY)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(12, 3)), jnp.float32)
    last = straight_through(operator, 1.0)
    for base in (optax.sgd(0.1, 0.9), optax.adamw(0.1)):
        final = np.asarray(run(optax.chain(base, last), x, lambda x: x - 1.0, 3))[-1]
        fitted = np.asarray(operator(jnp.asarray(final), 1.0))
        np.testing.assert_allclose(final, fitted, rtol=1e-5, atol=1e-6)
        assert all(np.unique(column).size <= 3 for column in fitted.T)
    assert not adamprox.check_chain(optax.chain(optax.sgd(0.1), last), x)
    (message,) = adamprox.check_chain(optax.chain(optax.sgd(0.1), last, optax.scale(0.5)), x)
    assert "multiplies its result by 0.5" in message


def test_hardening_rises_along_a_sigmoid():
    schedule = jax.jit(jax.vmap(hardening(100, 200)))
    t = np.asarray(schedule(jnp.arange(300)))
    assert np.all(t[:101] == 0) and np.all(np.diff(t[100:200]) > 0) and np.all(t[200:] == np.inf)
    np.testing.assert_allclose(t[101:200] + t[199:100:-1], 1, atol=1e-6)
    for steepness in (0.01, 1e-7, 1e-30):
        linear = hardening(0, 10, steepness=steepness)
        reached = np.asarray([linear(n) for n in range(10)])
        np.testing.assert_allclose(reached, np.arange(10) / 10, atol=1e-5)


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="prox must be a callable"):
        straight_through(0.1, 0.1)  # pyright: ignore
    with pytest.raises(ValueError, match="weight must be a number >= 0"):
        straight_through(prox.n_m, -0.1)
    with pytest.raises(ValueError, match="params must be passed"):
        tx = straight_through(prox.n_m, 1.0)
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    with pytest.raises(ValueError, match="0 <= start < stop, got 5 and 5"):
        hardening(5, 5)
    with pytest.raises(ValueError, match="steepness must be a number"):
        hardening(0, 5, steepness=0.0)
