"""Operators on singular values: optimality by duality, derivatives, range."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox import prox

RNG = np.random.default_rng(0)
MATRICES = RNG.normal(size=(600, 4, 3)) * RNG.choice([0.2, 1, 5], size=(600, 1, 1))
MATRICES[::20] = np.round(MATRICES[::20])
SINGULAR = np.linalg.svd(MATRICES, compute_uv=False)
OPERATORS = {
    "nuclear": prox.nuclear,
    "rank": functools.partial(prox.rank, r=2),
    "orthogonal": prox.orthogonal,
    "spectral_ball": functools.partial(prox.spectral_ball, radius=1.5),
}


def on_all(operator, t, matrices=MATRICES):
    return np.asarray(jax.jit(jax.vmap(lambda x: operator(x, t)))(jnp.asarray(matrices)))


def spectrum(matrices):
    return np.linalg.svd(matrices, compute_uv=False)


def inner(a, b):
    return np.sum(a * b, axis=(-2, -1))


@pytest.mark.parametrize("t", [0.0, 0.7, 3.0, 1e30])
@pytest.mark.parametrize("wide", [False, True])
def test_nuclear_minimizes_its_objective(t, wide, x64):
    """z is the minimizer exactly if ‖x − z‖₂ ≤ t and ⟨x − z, z⟩ = t ‖z‖_*."""
    matrices = MATRICES.swapaxes(1, 2) if wide else MATRICES
    z = on_all(prox.nuclear, t, matrices)
    assert np.all(spectrum(matrices - z)[:, 0] <= t + 1e-9)
    penalty = spectrum(z).sum(-1) * t if np.any(z) else 0
    assert np.all(np.abs(inner(matrices - z, z) - penalty) <= 1e-9)
    assert t > 0 or np.array_equal(z, matrices)
    assert t < 1e30 or not np.any(z)


def test_spectral_ball_minimizes_the_distance(x64):
    z = on_all(OPERATORS["spectral_ball"], 0.0)
    assert np.all(spectrum(z)[:, 0] <= 1.5 + 1e-12)
    gap = 1.5 * spectrum(MATRICES - z).sum(-1) - inner(MATRICES - z, z)
    assert np.all(gap <= 1e-9)
    inside = SINGULAR[:, 0] <= 1.5
    assert inside.any() and np.array_equal(z[inside], MATRICES[inside])


def test_rank_and_orthogonal_are_as_near_as_theory_allows(x64):
    """The distances are √(Σ σᵢ², i > r) and √(Σ (σᵢ − 1)²), which no matrix of the set beats."""
    low, unitary = on_all(OPERATORS["rank"], 0.0), on_all(prox.orthogonal, 0.0)
    assert np.all(spectrum(low)[:, 2] <= 1e-13 * np.maximum(SINGULAR[:, 0], 1))
    np.testing.assert_allclose(
        np.linalg.norm(MATRICES - low, axis=(1, 2)), SINGULAR[:, 2], atol=1e-12
    )
    np.testing.assert_allclose(spectrum(unitary), 1, rtol=1e-13)
    distance = np.linalg.norm(SINGULAR - 1, axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(MATRICES - unitary, axis=(1, 2)), distance, rtol=1e-12
    )
    others = np.linalg.qr(RNG.normal(size=(300, 4, 3)))[0]
    away = np.linalg.norm(MATRICES[:300] - others, axis=(1, 2))
    assert np.all(
        away >= (1 - 1e-12) * distance[:300]
    )  # equal at the zero matrix, but for rounding


@pytest.mark.parametrize("name", ["rank", "orthogonal", "spectral_ball"])
def test_projections_are_idempotent(name, x64):
    z = on_all(OPERATORS[name], 0.0)
    np.testing.assert_allclose(on_all(OPERATORS[name], 1e30, z), z, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["nuclear", "spectral_ball"])
def test_nonexpansive(name, x64):
    z = on_all(OPERATORS[name], 0.7)
    moved = np.linalg.norm(z[1:] - z[:-1], axis=(1, 2))
    assert np.all(moved <= np.linalg.norm(MATRICES[1:] - MATRICES[:-1], axis=(1, 2)) + 1e-12)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("kind", ["tall", pytest.param("wide", marks=pytest.mark.slow), "complex"])
def test_derivatives_agree_with_differences(name, kind, x64):
    keys = jax.random.split(jax.random.key(0), 2)
    shape, dtype = ((3, 5) if kind == "wide" else (5, 3)), complex if kind == "complex" else float
    x, direction = (jax.random.normal(key, shape, dtype) for key in keys)
    operator, step = OPERATORS[name], 1e-6

    @jax.jit
    def both(x, t):
        _, tangent = jax.jvp(operator, (x, t), (direction, 0.3))
        ends = jax.vmap(lambda h: operator(x + h * direction, t + h * 0.3))(
            jnp.array([step, -step])
        )
        return tangent, (ends[0] - ends[1]) / (2 * step)

    np.testing.assert_allclose(*both(x, 1.1), atol=1e-8)


@pytest.mark.parametrize("name", OPERATORS)
def test_finite_at_any_scale_with_equal_singular_values(name):
    operator = jax.jit(OPERATORS[name])
    slope = jax.jit(jax.grad(lambda x, t, scale: jnp.sum(operator(x, t) / (1 + scale)), (0, 1)))
    weights = (0.0, 1e-30, 1.0, 1e30, np.inf)
    for scale, t in itertools.product((0.0, 1e-30, 1.0, 1e30), weights):
        x = scale * jnp.eye(4, 3)
        out = operator(x, t)
        assert np.all(np.isfinite(out))
        assert name == "orthogonal" or np.all(np.abs(out) <= np.abs(x).max() * (1 + 1e-6))
        assert np.isinf(t) or all(np.all(np.isfinite(part)) for part in slope(x, t, scale))
        assert name != "nuclear" or t > 0 or np.array_equal(out, x)


@pytest.mark.parametrize("name", OPERATORS)
def test_kernels_count_as_matrices_and_the_rest_does_not_change(name):
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 2, 4))
    tree = {"kernel": kernel.astype("bfloat16"), "bias": jnp.ones(3), "scalar": jnp.array(9.0)}
    out = OPERATORS[name]({**tree, "empty": jnp.zeros((0, 3)), "none": None}, 1.0)
    flat = OPERATORS[name](kernel.astype("bfloat16").astype("float32").reshape(18, 4), 1.0)
    assert out["kernel"].dtype == jnp.bfloat16
    assert np.array_equal(out["kernel"], flat.reshape(kernel.shape).astype("bfloat16"))
    assert np.all(out["bias"] == 1) and out["scalar"] == 9
    assert out["empty"].shape == (0, 3) and out["none"] is None
    assert OPERATORS[name]({}, 1.0) == {}
    with pytest.raises(TypeError, match="real or complex numbers, got int32"):
        OPERATORS[name](jnp.ones((2, 2), "int32"), 1.0)


def test_bad_parameters_are_named_and_good_ones_may_be_traced(x64):
    x = jnp.asarray(MATRICES[1])
    for call, message in (
        (lambda: prox.nuclear(x, -1.0), "t must be a number >= 0"),
        (lambda: prox.rank(x, 1.0, r=-1), "r must be an integer >= 0, got -1"),
        (lambda: prox.spectral_ball(x, 1.0, radius=-1.0), "0 <= radius, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    ranks = jax.vmap(lambda r: prox.rank(x, 1.0, r=r))(jnp.arange(5))
    assert [np.linalg.matrix_rank(z) for z in ranks] == [0, 1, 2, 3, 3]
    assert np.array_equal(ranks[3], x)
