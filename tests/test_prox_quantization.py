"""Quantization against brute force: nearest levels, the penalties minimized, least-squares grids."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox import prox

RNG = np.random.default_rng(0)
ENTRIES = RNG.normal(size=(1000, 8)) * 2
GRIDS = np.sort(RNG.normal(size=(1000, 4)), axis=1)
WEIGHTS = np.array([0.0, 0.3, 0.9, 1.0, 1.5, 4.7, 50.0])
SMALL = functools.partial(prox.fit_levels, count=3)
OPERATORS = [prox.quantize, prox.binary_relax, prox.parq]


def penalty(operator, z, grid):
    """R for z[N, M] and grid[K], one entry of z at a time."""
    nearest = np.min(np.abs(z[..., None] - grid), axis=-1)
    if operator is prox.binary_relax:
        return nearest**2 / 2
    between = [(z - a) * (b - z) / 2 for a, b in itertools.pairwise(grid)]
    below, above = (grid[1] - grid[0]) / 2, (grid[-1] - grid[-2]) / 2
    outside = np.where(z < grid[0], below * (grid[0] - z), above * (z - grid[-1]))
    return np.where((z < grid[0]) | (z > grid[-1]), outside, np.max(between, axis=0))


def test_no_level_is_nearer(x64):
    project = jax.jit(jax.vmap(lambda x, grid: prox.quantize(x, 0.0, levels=grid)))
    z = np.asarray(project(ENTRIES, GRIDS))
    best = np.min(np.abs(ENTRIES[..., None] - GRIDS[:, None]), axis=-1)
    assert np.array_equal(np.abs(z - ENTRIES), best)
    assert np.all(np.any(z[..., None] == GRIDS[:, None], axis=-1))
    assert np.array_equal(project(z, GRIDS), z)


@pytest.mark.parametrize("operator", [prox.binary_relax, prox.parq])
def test_never_worse_than_a_fine_search(operator, x64):
    """The search visits the levels, 300 points of the range and 300 around the result."""
    grid, xs = np.array([-1.5, -0.2, 0.4, 2.0]), ENTRIES.ravel()[:1200]
    compiled = jax.jit(jax.vmap(lambda x, t: operator(x, t, levels=grid), in_axes=(None, 0)))
    everywhere = np.broadcast_to(np.hstack([grid, np.linspace(-8, 8, 300)]), (1200, 304))
    for t, z in zip(WEIGHTS, np.asarray(compiled(xs, WEIGHTS)), strict=True):
        near = z[:, None] + np.linspace(-1, 1, 301) ** 3 * 0.1
        points = np.hstack([everywhere, near, xs[:, None]])
        cost = (points - xs[:, None]) ** 2 / 2 + t * penalty(operator, points, grid)
        value = (z - xs) ** 2 / 2 + t * penalty(operator, z, grid)
        assert np.all(value <= np.min(cost, axis=1) + 1e-12), t


@pytest.mark.parametrize("fitted", [False, True])
def test_limits_are_the_identity_and_the_projection(fitted):
    levels = SMALL if fitted else np.array([-1.5, -0.2, 0.4, 2.0], np.float32)
    x = jnp.asarray(ENTRIES[:90].reshape(3, 30, 8), jnp.float32)

    @jax.jit
    def limits(x, t):
        return [operator(x, t, levels=levels) for operator in OPERATORS]

    assert all(np.array_equal(z, x) for z in limits(x, 0.0)[1:])
    projected, *relaxed = limits(x, np.inf)
    assert all(np.array_equal(z, projected) for z in relaxed)
    projected, _, attracted = limits(x, 1.0)
    inside = np.abs(x) <= np.max(np.abs(projected), axis=(0, 1))
    assert np.array_equal(attracted[inside], projected[inside]) and not np.all(inside)
    assert np.max(np.abs(limits(x, 1e-6)[2] - x)) < 1e-5


@pytest.mark.parametrize("count", [2, 3, 4])
def test_no_choice_of_multiples_has_a_smaller_error(count, x64):
    """Every assignment of levels to 5 entries, with the best scale for it."""
    units = np.arange(count) - (count - 1) / 2
    codes = np.array(list(itertools.product(units, repeat=5)))
    codes = codes[np.any(codes != 0, axis=1)]
    rows = RNG.normal(size=(300, 5))
    rows[:20, :3], rows[20:40] = 0, np.round(rows[20:40])
    gain = np.maximum(rows @ codes.T, 0) ** 2 / np.sum(codes**2, axis=1)
    best = np.sum(rows**2, axis=1) - np.max(gain, axis=1)
    grid = jax.jit(functools.partial(prox.fit_levels, count=count, axis=0))(rows)
    assert grid.shape == (count, 300, 1)
    error = np.sum((rows - prox.quantize(jnp.asarray(rows), 0.0, levels=grid)) ** 2, axis=1)
    np.testing.assert_allclose(error, best, atol=1e-12)
    if count == 2:
        np.testing.assert_allclose(grid[1, :, 0], np.mean(np.abs(rows), axis=1), rtol=1e-14)


@pytest.mark.parametrize("count", [8, 15])
def test_no_scale_has_a_smaller_error(count, x64):
    rows = RNG.normal(size=(20, 40)) ** 3
    grid = jax.jit(functools.partial(prox.fit_levels, count=count, axis=0))(rows)
    error = np.sum((rows - prox.quantize(jnp.asarray(rows), 0.0, levels=grid)) ** 2, axis=1)
    units = np.arange(count) - (count - 1) / 2
    for row, found in zip(rows, error, strict=True):
        scales = np.linspace(0, 2 * np.max(np.abs(row)), 1001)[1:, None]
        near = np.clip(np.round(row / scales - units[0]) + units[0], units[0], units[-1])
        assert found <= np.min(np.sum((row - near * scales) ** 2, axis=1)) + 1e-12
    assert np.array_equal(np.sign(grid[:, 0, 0]), np.sign(units))


@pytest.mark.parametrize("count", [2, 3])
def test_channels_and_leaves_of_any_shape(count):
    kernel = jnp.asarray(RNG.normal(size=(3, 3, 4, 6)), jnp.float32)
    tree = {"kernel": kernel, "bias": kernel[0, 0, 0], "scale": kernel[0, 0, 0, 0], "none": None}
    fit = functools.partial(prox.fit_levels, count=count)

    @jax.jit
    def quantized(tree):
        out = prox.quantize(tree, 1.0, levels=fit)
        again = prox.quantize(out["kernel"], 1.0, levels=fit)
        rows = prox.quantize(tree["kernel"].T, 1.0, levels=functools.partial(fit, axis=0)).T
        whole = prox.quantize(tree["kernel"], 1.0, levels=functools.partial(fit, axis=None))
        return out, again, rows, whole

    out, again, rows, whole = quantized(tree)
    columns = np.asarray(out["kernel"]).reshape(36, 6).T
    assert all(np.unique(column).size == count for column in columns)
    assert np.unique(whole).size == count < np.unique(columns).size
    assert np.array_equal(out["bias"], tree["bias"]) and out["scale"] == tree["scale"]
    assert out["none"] is None
    np.testing.assert_allclose(again, out["kernel"], rtol=1e-6)
    np.testing.assert_allclose(rows, out["kernel"], rtol=1e-6)


@pytest.mark.parametrize("operator", OPERATORS)
def test_extremes_dtypes_and_derivatives(operator):
    """Any t and scale, zeros, ties, empty and bfloat16 leaves, under jit and vmap."""
    t = jnp.array([0.0, 1e-30, 0.5, 1.0, 3.0, 1e30, jnp.inf])
    scales = jnp.array([0.0, 1e-30, 1.0, 1e30])[:, None, None]
    x = scales * jnp.array([[3.0, -1.0], [-0.5, -1.0], [0.0, 1.0]])
    for levels in ((-1.0, 0.0, 2.0), SMALL):
        apply = functools.partial(operator, levels=levels)

        def total(x, t, apply=apply):
            z = apply(x, t)
            return jnp.sum(z) / (1 + jnp.max(jnp.abs(x))), z

        slopes = jax.value_and_grad(total, (0, 1), has_aux=True)
        (_, values), (by_x, by_t) = jax.jit(jax.vmap(jax.vmap(slopes, (None, 0)), (0, None)))(x, t)
        assert np.all(np.isfinite(values))
        assert np.all(np.isfinite(by_x)) and np.all(np.isfinite(by_t))
        narrow = x[2].astype("bfloat16")
        some = narrow, narrow.astype("float32"), x[2].at[0, 0].set(jnp.nan)
        half, wide, spoiled = jax.jit(apply)(some, 0.25)
        assert half.dtype == jnp.bfloat16 and np.array_equal(half, wide.astype("bfloat16"))
        assert np.isnan(spoiled[0, 0]) and np.all(np.isfinite(spoiled[:, 1]))
        assert apply({}, 1.0) == {}
        for shape in ((0, 8), (4, 0), (0,)):
            assert jax.eval_shape(apply, jnp.zeros(shape), 1.0).shape == shape


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((1.0,), "two or more numbers in ascending order"),
        ((1.0, 0.0), "two or more numbers in ascending order"),
        ((0.0, np.inf), "two or more numbers in ascending order"),
        (np.zeros(()), "two or more numbers in ascending order"),
        (functools.partial(prox.fit_levels, count=1), "count must be an integer >= 2, got 1"),
        (functools.partial(prox.fit_levels, count=2, axis=2), r"shape \(2, 2\) has no axis 2"),
    ],
)
def test_bad_grids_are_named(levels, message):
    for operator in OPERATORS:
        with pytest.raises(ValueError, match=message):
            operator(jnp.ones((2, 2)), 1.0, levels=levels)


def test_bad_weights_and_leaves_are_named():
    for operator in OPERATORS:
        with pytest.raises(TypeError, match="real arrays, got complex64 at 'a'"):
            operator({"a": jnp.array([1j])}, 1.0, levels=(0, 1))
        with pytest.raises(TypeError, match="real or complex numbers, got int32"):
            operator(jnp.arange(3), 1.0, levels=(0, 1))
    for operator in OPERATORS[1:]:
        with pytest.raises(ValueError, match="t must be a number >= 0, got -1"):
            operator(jnp.ones(2), -1, levels=(0, 1))
