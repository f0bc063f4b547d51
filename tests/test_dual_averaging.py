"""Regularized dual averaging against Xiao's algorithm, and its zeros under noisy gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox import dual_averaging, prox

STEPS, SIZE, ALPHA, LAM = 1000, 8, 0.1, 0.3


def test_equals_the_algorithm_of_xiao(x64):
    """w_{t+1} = −(√t/γ) sign(ḡ) max(|ḡ| − λ, 0), the ℓ1 case with β_t = γ√t and γ = 1/α."""
    target = np.linspace(-1, 1, SIZE)
    noise = np.random.default_rng(0).standard_normal((STEPS, SIZE))
    w, mean = np.zeros(SIZE), np.zeros(SIZE)
    for t, e in enumerate(noise, start=1):
        mean += (w - target + e - mean) / t
        w = -np.sqrt(t) * ALPHA * np.sign(mean) * np.maximum(np.abs(mean) - LAM, 0)
    tx = optax.chain(optax.sgd(ALPHA), dual_averaging(prox.l1, ALPHA * LAM, jnp.sqrt))

    def step(carry, e):
        x, state = carry
        updates, state = tx.update(x - target + e, state, x)
        return (optax.apply_updates(x, updates), state), None

    x = jnp.zeros(SIZE)
    (x, _), _ = jax.lax.scan(step, (x, tx.init(x)), jnp.asarray(noise))
    np.testing.assert_allclose(x, w, rtol=0, atol=1e-12)
    assert np.array_equal(x == 0, w == 0) and 0 < np.sum(w == 0) < SIZE


@pytest.mark.parametrize(
    "make, size, lam",
    [(optax.sgd, 0.05, 0.1), (optax.lion, 0.01, 0.9), (adamprox.adam_direction, 0.01, 0.15)],
)
def test_keeps_zeros_and_error_in_the_noise_of_batches(make, size, lam):
    """Twenty of a hundred features matter; batches of 16 of 1,000 examples.

    At least 95 % of the other eighty are zero, as many as with full batches; `proximal` loses them.
    The error on new examples is at most that of the plain optimizer.
    """
    rng = np.random.default_rng(0)
    truth = np.repeat([1.0, 0.0], [20, 80])
    a = rng.standard_normal((5000, 100))
    b = a @ truth + rng.standard_normal(5000)
    (a, held_out), (b, targets) = (np.split(x.astype(np.float32), [1000]) for x in (a, b))
    batches = jnp.asarray(rng.integers(0, 1000, (STEPS, 16)))

    def result(*last, full=False):
        tx = optax.chain(make(size), *last)

        def step(carry, batch):
            x, state = carry
            rows, wanted = (jnp.asarray(v) if full else jnp.asarray(v)[batch] for v in (a, b))
            updates, state = tx.update(rows.T @ (rows @ x - wanted) / len(rows), state, x)
            return (optax.apply_updates(x, updates), state), None

        x = jnp.zeros(100)
        x = np.asarray(jax.lax.scan(step, (x, tx.init(x)), batches)[0][0])
        assert np.all(x[:20] != 0)
        return np.sum(x[20:] == 0), np.mean((held_out @ x - targets) ** 2)

    averaged = dual_averaging(prox.l1, lam * size)
    zeros, error = result(averaged)
    assert zeros >= 76 and zeros >= 0.95 * result(averaged, full=True)[0]
    assert zeros > result(adamprox.proximal(prox.l1, lam * size))[0]
    assert error <= 1.05 * result()[1]


def test_masks_missing_leaves_and_dtypes():
    params = {"w": jnp.zeros(3, jnp.bfloat16), "b": jnp.zeros(2), "frozen": jnp.ones(2)}
    given = {"w": jnp.full(3, 0.25, jnp.bfloat16), "b": jnp.full(2, 0.25), "frozen": None}
    tx = dual_averaging(prox.l1, 0.5, mask={"w": True, "b": False, "frozen": True})
    state = tx.init(params)
    for _ in range(2):
        updates, after = jax.jit(tx.update)(given, state, params)
        assert jax.tree.structure(after) == jax.tree.structure(state)
        state = after
    assert updates["w"].dtype == jnp.bfloat16 and jnp.all(updates["w"] == 0)
    assert jnp.all(updates["b"] == 0.25) and updates["frozen"] is None


@pytest.mark.parametrize(
    "static, beta", [(("prox",), 1.0), (("prox",), 2.0), (("prox", "beta"), jnp.sqrt)]
)
def test_hyperparameters_can_be_injected(static, beta):
    x = jnp.zeros(3)
    plain = dual_averaging(prox.l1, 0.05, beta)
    tx = optax.inject_hyperparams(dual_averaging, static_args=static)(prox.l1, 0.05, beta)
    u = jnp.array([0.3, -0.02, 1.0])
    injected, expected = tx.init(x), plain.init(x)
    for _ in range(3):
        ours, injected = jax.jit(tx.update)(u, injected, x)
        theirs, expected = plain.update(u, expected, x)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_bad_arguments():
    for beta in (0, -1.0, np.inf, np.nan, "x", None):
        with pytest.raises(ValueError, match="beta must be a number > 0 or a callable of the step"):
            dual_averaging(prox.l1, 0.1, beta)  # pyright: ignore
    with pytest.raises(TypeError, match="prox must be a callable"):
        dual_averaging(0.1, 0.1)  # pyright: ignore
    with pytest.raises(ValueError, match="weight must be a number >= 0"):
        dual_averaging(prox.l1, -0.1)
    with pytest.raises(ValueError, match="params must be passed"):
        tx = dual_averaging(prox.l1, 0.1)
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
