"""NaN stays NaN, and states can be donated."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox import prox
from adamprox.histograms import update_histogram


@pytest.mark.parametrize("eps", [0.0, 1e-8])
def test_a_gradient_that_is_not_a_number_is_seen(eps):
    tx = adamprox.adamw(0.1, eps=eps)
    x = jnp.ones(3)
    updates, _ = tx.update(jnp.array([jnp.nan, 1.0, 0.0]), tx.init(x), x)
    assert jnp.isnan(updates[0]) and jnp.all(jnp.isfinite(updates[1:]))


@pytest.mark.parametrize("operator", [prox.l0, prox.mcp])
def test_hard_thresholds_keep_what_is_not_a_number(operator):
    assert jnp.isnan(operator(jnp.array([jnp.nan, 2.0]), 5.0)[0])
    assert jnp.all(jnp.isnan(operator(jnp.ones(3), jnp.array(jnp.nan))))


@pytest.mark.parametrize(
    "tx",
    [
        optax.chain(adamprox.adam_direction(0.1), update_histogram()),
        adamprox.adagrad(1.0),
        adamprox.adagrad_with_restarts(1.0, 3),
    ],
)
def test_parameters_and_state_can_be_donated(tx):
    x = jnp.ones(3)
    step = jax.jit(lambda x, state: (x, state), donate_argnums=(0, 1))
    jax.block_until_ready(step(x, tx.init(x)))


@pytest.mark.parametrize("t", [float("nan"), np.float32("nan"), np.array([1.0, np.nan]), -1.0])
@pytest.mark.parametrize("operator", [prox.l1, prox.l2, prox.squared_l2, prox.l0, prox.mcp])
def test_a_weight_that_is_not_a_number_is_refused_where_it_is_known(operator, t):
    with pytest.raises(ValueError, match="t must be a number >= 0, got"):
        operator(jnp.ones(3), t)
    assert not jnp.any(jnp.isnan(operator(jnp.ones(3), float("inf"))))
