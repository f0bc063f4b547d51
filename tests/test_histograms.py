"""Histograms of updates against NumPy, and as a transformation that changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import adamprox
from adamprox.histograms import NUM_BINS, log2_histogram, log2_quantile, log2_spread


def reference(values, scale=1.0):
    """Bins by np.frexp, whose exponent is exact: |x| = m · 2^e with ½ ≤ m < 1."""
    exponents = np.frexp(np.abs(np.asarray(values, np.float32)) / np.float32(scale))[1] - 1
    exponents = np.where(np.asarray(values) == 0, -99, exponents)
    exponents = np.where(np.isinf(values), 99, exponents)
    return np.bincount(np.clip(exponents, -27, 0) + 27, minlength=NUM_BINS)


@given(
    hnp.arrays(
        np.float32,
        st.sampled_from((0, 1, 30)),
        elements=st.floats(-8, 8, width=32, allow_subnormal=False),
    )
)
def test_counts_match_numpy(values):
    assert np.array_equal(log2_histogram({"a": jnp.asarray(values)}), reference(values))


def test_edges_and_extremes():
    powers = np.exp2(np.arange(-30.0, 3)).astype(np.float32)
    below = np.nextafter(powers, np.float32(0))
    for values in (powers, below, np.array([0, np.inf, 1e-38, 3e38], np.float32)):
        assert np.array_equal(log2_histogram(jnp.asarray(values)), reference(values))


def test_quantiles_of_a_uniform_histogram():
    counts = jnp.ones(NUM_BINS)
    np.testing.assert_allclose(log2_quantile(counts, 0.5), -13.0, atol=1e-5)
    np.testing.assert_allclose(log2_spread(counts), 0.8 * NUM_BINS, rtol=1e-6)
    assert np.isnan(log2_spread(jnp.zeros(NUM_BINS)))


def test_records_every_so_many_steps_and_changes_nothing():
    alpha, lam, x = 0.1, 0.01, jnp.linspace(0.5, 1, 20)
    recorder = adamprox.update_histogram(adamprox.decay_weights(lam), scale=alpha, every=3)
    recorded = optax.chain(adamprox.adam_direction(alpha), recorder)
    plain = adamprox.adamw(alpha, weight_decay=lam)
    a, b = recorded.init(x), plain.init(x)
    for step in range(5):
        gradient = x * (step + 1) ** 3
        u, a = jax.jit(recorded.update)(gradient, a, x)
        v, b = jax.jit(plain.update)(gradient, b, x)
        np.testing.assert_allclose(u, v, rtol=1e-6)
        state = optax.tree.get(a, "UpdateHistogramState")
        if step % 3 == 0:
            kept = adamprox.adam_direction(alpha).update(gradient, b_before(alpha, x, step), x)[0]
            assert np.array_equal(state.direction, reference(kept, alpha))
            assert np.array_equal(state.total, reference(v, alpha))
        assert state.direction.sum() == state.decay.sum() == 20
    assert state.direction.dtype == jnp.int32


def b_before(alpha, x, steps):
    """State of Adam's direction after ``steps`` of the gradients above."""
    tx = adamprox.adam_direction(alpha)
    state = tx.init(x)
    for step in range(steps):
        _, state = tx.update(x * (step + 1) ** 3, state, x)
    return state


def test_nothing_over_nothing_is_nothing():
    """The first step of a warmup from 0 has α = 0 and updates of 0."""
    tx = adamprox.update_histogram(scale=lambda t: 0.0 * t)
    _, state = tx.update(jnp.array([0.0, 1.0]), tx.init(jnp.ones(2)), jnp.ones(2))
    assert state.direction[0] == 1 and state.direction[-1] == 1


@pytest.mark.parametrize("scale", [-1.0, np.float32(-1), float("nan")])
def test_scale_must_not_be_negative(scale):
    for call in (lambda: adamprox.update_histogram(scale=scale), lambda: log2_histogram((), scale)):
        with pytest.raises(ValueError, match="scale must be a number >= 0, got"):
            call()


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", True, np.float32(2), np.int64(0)])
def test_every_must_be_a_positive_integer(every):
    with pytest.raises(ValueError, match="every must be a positive integer, got"):
        adamprox.update_histogram(every=every)


def exact_bins(values, scale):
    """Bins from NumPy's division, which rounds correctly, in the type of the values."""
    with np.errstate(all="ignore"):
        quotient = np.abs(values) / np.asarray(scale).astype(values.dtype)
    exponents = np.where(np.isfinite(quotient), np.frexp(quotient)[1] - 1, 99)
    exponents = np.where((values == 0) | (quotient == 0), -99, exponents)
    return np.bincount(np.clip(exponents, -27, 0) + 27, minlength=NUM_BINS)


@pytest.mark.parametrize("scale", [1.0, 3e-3, 1e-50, 1e300, 1e-300, 0.0, 3e38, 2e-38, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bins_are_exact_at_every_edge_over_the_whole_range(dtype, scale, x64):
    """Edges, their neighbors, and what lies between; a reciprocal of the scale misses some."""
    with np.errstate(all="ignore"):
        unit = np.asarray(scale if 0 < scale < np.inf else 1.0).astype(dtype)
        edges = unit * np.exp2(np.arange(-32, 5)).astype(dtype)
        near = [np.nextafter(edges, np.asarray(end, dtype)) for end in (0, np.inf)]
        between = edges * np.random.default_rng(0).uniform(1, 2, edges.size).astype(dtype)
        values = np.concatenate([edges, *near, between, [0, np.inf, np.nan]]).astype(dtype)
    for count in (log2_histogram, jax.jit(log2_histogram)):
        counts = count({"a": jnp.asarray(values)}, scale)
        assert np.array_equal(counts, exact_bins(values, scale))


def test_a_scale_that_is_not_a_number_counts_in_the_last_bin():
    counts = log2_histogram(jnp.array([0.0, 1.0, jnp.inf]), jnp.asarray(jnp.nan))
    assert counts[NUM_BINS - 1] == 3


def test_integers_are_refused():
    with pytest.raises(TypeError, match="tree must have floating-point or complex leaves, got int"):
        log2_histogram(jnp.arange(3))
