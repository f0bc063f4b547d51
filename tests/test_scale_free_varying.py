"""Invariance to a gradient scale that varies in time, and the text of a certificate."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox.scale_free import Verdict

EXACT, TOLERANCE, FIRST, NO, NOT_TESTED = Verdict
SHARES = optax.stateless(lambda g, p: jax.tree.map(lambda x: -0.01 * x / (abs(x) + 1e-8), g))
ANSWERS = {
    "equal": (optax.adam(0.01, b1=0.95, b2=0.95, eps=0.0), FIRST),
    "nearly equal": (optax.adam(0.01, b1=0.9, b2=0.91), NO),  # a linear term of 0.06 ρ
    "the largest of the past": (optax.amsgrad(0.01, b1=0.9, b2=0.9), NO),  # linear for ρ < 0 alone
    "normalized with an ε": (SHARES, TOLERANCE),
    "coarse state": (optax.adam(0.01, b1=0.9, b2=0.9, mu_dtype=jnp.bfloat16), NOT_TESTED),
}


@functools.cache
def certificate(name):
    return adamprox.scale_freeness(ANSWERS[name][0])


@pytest.mark.parametrize("name", ANSWERS)
def test_known_answers(name):
    found, verdict = certificate(name).time_varying, ANSWERS[name][1]
    assert found.verdict is verdict, found
    if verdict is FIRST:
        assert 1.9 < found.order < 2.1 and 1e-4 < found.deviation < 1e-3
    if verdict is NO:
        assert found.order < 1.4
    assert math.isnan(found.order) == (verdict is NOT_TESTED)


def test_scales_far_from_one_and_more_steps_change_no_answer():
    tx = optax.adam(0.01, b1=0.9, b2=0.9, eps=0.0)
    found = adamprox.scale_freeness(tx, gradient_scale=1e-12, steps=40).time_varying
    assert found.verdict is FIRST and 1.9 < found.order < 2.1
    small = optax.adam(0.01, b1=0.9, b2=0.9, eps=1e-8)
    assert adamprox.scale_freeness(small, gradient_scale=1e-8).time_varying.verdict is NO


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.95, 0.95), (0.0, 0.9), (0.99, 0.9)])
@pytest.mark.parametrize("steps", [2, 12, 400])
def test_linear_term_is_the_difference_of_mean_ages(betas, steps):
    """The claim of `time_varying`, in float64: m̂/√v̂ = 1 + ρ (a₂ − a₁) + O(ρ²)."""
    ages = np.arange(steps)[::-1]
    weights = [beta**ages / (beta**ages).sum() for beta in betas]

    def direction(rate):
        gradients = np.exp(-rate * ages)
        return weights[0] @ gradients / np.sqrt(weights[1] @ gradients**2)

    slope = (direction(1e-6) - direction(-1e-6)) / 2e-6
    expected = (weights[1] - weights[0]) @ ages
    assert abs(slope - expected) < 1e-6 * (1 + abs(expected))
    assert (abs(expected) < 1e-9) == (betas[0] == betas[1])


def test_prints_two_lines_and_details_on_request():
    result = certificate("equal")
    first, second = repr(result).splitlines()
    assert str(result) == repr(result) and first.startswith("scale-free: exact; no bit")
    assert "one factor per step: to first order (order 2.0, deviation 5e-04)" in second
    assert "largest deviation: 0.0e+00" in second
    details = result.details()
    assert "  2^-40: 0.00e+00" in details and "misuse: ()" in details
    assert details.count("\n") > 45


def test_a_change_after_proximal_is_misuse():
    sparse = adamprox.proximal(adamprox.prox.l1, 1e-3)
    result = adamprox.scale_freeness(optax.chain(optax.sgd(0.01), sparse, optax.scale(0.5)))
    (message,) = result.misuse
    assert "multiplies its result by 0.5" in message
    assert repr(result).splitlines()[2] == f"misuse: {message}"
    assert certificate("equal").misuse == ()
