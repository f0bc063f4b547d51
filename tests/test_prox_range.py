"""Every operator at both ends of the range: scaled inputs, infinite entries, NaN."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox import prox
from tests.penalties import REGULARIZERS, SEPARABLE

LENGTHS = {
    "l1": prox.l1,
    "l2": prox.l2,
    "sparse_group": prox.sparse_group,
    "sized": prox.size_weighted(prox.l2),
    "leaves": prox.per_leaf(prox.l2),
    "channels": prox.per_output_channel(prox.l2),
    "nonnegative_l1": prox.nonnegative_l1,
    "ball": lambda x, t: prox.l2_ball(x, 0.0, radius=t),
    "box": lambda x, t: prox.box(x, 0.0, lower=-t, upper=t),
    "huber": lambda x, t: prox.huber(x, 0.5, delta=t),
    "mcp": lambda x, t: prox.mcp(x, 0.5, scale=t),
    "mcp_steep": lambda x, t: prox.mcp(x, 8.0, scale=t),
}
"""Operators of a length t: scaling x and t by s scales the result by s."""

REAL_ONLY = ("nonnegative_l1", "box")
COUPLED = ("l2", "sparse_group", "sized", "ball")
X = np.array([1.0, -0.75, 0.5, 0.0, 0.25, -1.75])


def traced(operator):
    return jax.jit(operator)


def constant(operator):
    """The weight is a constant of the program, which XLA may fold into others."""
    return lambda x, t: jax.jit(lambda x: operator(x, t))(x)


WAYS = {"eager": lambda operator: operator, "traced": traced, "constant": constant}


SLOW = pytest.mark.slow  # a constant weight compiles a program for each value
HALF = pytest.param("float16", marks=SLOW)
MORE = pytest.param("bfloat16", marks=SLOW)
FAST = [(dtype, way) for dtype in ("float32", "float64") for way in ("eager", "traced")]
REST = [(dtype, way) for dtype in ("bfloat16", "complex64") for way in WAYS]
REST += [("float32", "constant"), ("float64", "constant")]


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize(
    ("dtype", "way"), [*FAST, *(pytest.param(*rest, marks=SLOW) for rest in REST)]
)
def test_scaling_by_powers_of_two_up_to_the_ends_of_the_range(name, dtype, way, x64):
    if dtype == "complex64" and name in REAL_ONLY:
        pytest.skip("refuses complex leaves")
    x = X * (0.6 + 0.8j) if dtype == "complex64" else X
    operator, limits = WAYS[way](LENGTHS[name]), jnp.finfo(dtype)
    rounding = 8 * float(max(limits.eps, jnp.finfo("float32").eps if dtype == "bfloat16" else 0))
    for t in (0.3, 1.0):
        unit = np.asarray(operator(jnp.asarray(x, dtype), t)).astype(complex)
        for exponent in (
            limits.minexp + 6,
            limits.minexp + 20,
            limits.maxexp - 2,
            limits.maxexp - 1,
        ):
            scale = 2.0**exponent
            out = operator(jnp.asarray(x, dtype) * jnp.asarray(scale, dtype), t * scale)
            np.testing.assert_allclose(
                np.asarray(out).astype(complex) / scale,
                unit,
                rtol=rounding,
                atol=2.0 ** max(limits.minexp + 1 - exponent, -40),
                err_msg=f"t={t}, 2^{exponent}",
            )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", MORE, "float64"])
def test_far_apart_lengths(dtype, way, x64):
    """A small weight changes nothing at the top; a small ball is reached from there."""
    top, bottom = (2.0**k for k in (jnp.finfo(dtype).maxexp - 1, jnp.finfo(dtype).minexp + 3))
    x = jnp.asarray(X, dtype) * jnp.asarray(top, dtype)
    for name in ("l1", "l2", "sparse_group", "sized"):
        assert np.array_equal(WAYS[way](LENGTHS[name])(x, 0.1), x), name
    for radius in (bottom, 1.0, top / 4):
        out = np.asarray(WAYS[way](LENGTHS["ball"])(x, radius)).astype(float)
        direction = X / np.linalg.norm(X)
        np.testing.assert_allclose(
            out / radius,
            direction,
            rtol=2 * float(jnp.finfo(dtype).eps),
            atol=0.15 * (radius == bottom),
        )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shrinkage_by_weights_up_to_the_end_of_the_range(dtype, way, x64):
    limits = jnp.finfo(dtype)
    x = np.array([1.75, -1.0, 2.0**-20]) * 2.0 ** (limits.maxexp - 1)
    for exponent in (limits.maxexp - 4, limits.maxexp - 2, limits.maxexp - 1):
        t = 1.75 * 2.0**exponent
        for operator, factor in (
            (prox.squared_l2, 1.0),
            (functools.partial(prox.elastic_net, l1_ratio=0), 1.0),
            (functools.partial(prox.huber, delta=16.0), 1.0),
        ):
            out = WAYS[way](operator)(jnp.asarray(x, dtype), t)
            np.testing.assert_allclose(out, factor * x / t, rtol=8 * float(limits.eps))


def test_l0_with_the_smallest_weights():
    t = np.float32(2.0**-126)
    assert np.array_equal(prox.l0(jnp.array([1e-19, 2e-19]), t), jnp.array([0.0, 2e-19], "float32"))


@pytest.mark.parametrize("way", WAYS)
def test_infinite_entries_take_their_limits(way):
    ball = WAYS[way](LENGTHS["ball"])
    x = jnp.array([jnp.inf, -5.0, -jnp.inf, 3e38])
    assert np.array_equal(ball(x, 0.0), np.zeros(4))
    np.testing.assert_allclose(ball(x, 2.0), np.array([1, 0, -1, 0]) * 2**0.5, rtol=1e-6)
    np.testing.assert_allclose(
        ball(x, 1e-30), np.array([1, 0, -1, 0]) * 0.5**0.5 * 1e-30, rtol=1e-6
    )
    assert np.array_equal(ball(x, np.inf), x)
    z = jnp.array([complex(np.inf, 1), 1j])
    np.testing.assert_allclose(ball(z, 2.0), [2, 0], rtol=1e-6)
    for name in ("l2", "sized"):
        assert np.array_equal(WAYS[way](LENGTHS[name])(x, 1.0), x)


@pytest.mark.parametrize(
    "dtype", [HALF, MORE, "float32", pytest.param("float64", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", {**LENGTHS, **REGULARIZERS, "l0": prox.l0})
def test_what_is_not_a_number_stays_so(name, dtype, x64):
    """A norm, an order or a chain of differences passes it on; anything else keeps it in place."""
    operator = LENGTHS.get(name) or (REGULARIZERS | SEPARABLE)[name][0]
    for entries in ([np.nan, 1.0, 0.0], [np.nan, np.inf, -1.0]):
        x = jnp.asarray(entries, dtype)
        for run in (operator, jax.jit(operator)):
            for t in (1e-30, 0.5, 1e30):
                missing = np.isnan(np.asarray(run({"x": x}, t)["x"]).astype(float))
                coupled = name in (
                    *COUPLED,
                    "leaves",
                    "size_weighted_l2",
                    "slope",
                    "total_variation",
                )
                assert np.array_equal(missing, [True, coupled, coupled])


@pytest.mark.parametrize("t", [float("nan"), np.float32("nan"), np.array([1.0, np.nan])])
@pytest.mark.parametrize("operator", [prox.l1, prox.l2, prox.squared_l2, prox.l0, prox.mcp])
def test_a_weight_that_is_not_a_number_is_refused_where_it_is_known(operator, t):
    with pytest.raises(ValueError, match="t must be a number >= 0, got"):
        operator(jnp.ones(3), t)
    assert not jnp.any(jnp.isnan(operator(jnp.ones(3), float("inf"))))
    if operator in (prox.l0, prox.mcp):
        assert jnp.all(jnp.isnan(operator(jnp.ones(3), jnp.array(jnp.nan))))


EVERY = {
    **{name: operator for name, (operator, *_) in (SEPARABLE | REGULARIZERS).items()},
    **{f.__name__: f for f in (prox.nuclear, prox.orthogonal, prox.simplex, prox.total_variation)},
    "rank": functools.partial(prox.rank, r=1),
    "top_k": functools.partial(prox.top_k, k=2),
    "n_m": functools.partial(prox.n_m, n=1, m=2),
    "fitted": functools.partial(prox.quantize, levels=functools.partial(prox.fit_levels, count=3)),
    "channels": prox.per_output_channel(prox.l2),
}


@pytest.mark.parametrize("name", EVERY)
def test_no_operator_adds_axes_silently(name):
    """``jax_numpy_rank_promotion="raise"`` is an error for users who set it, in derivatives too."""
    tree = {"w": jnp.ones((4, 2)), "b": jnp.ones(4)}
    with jax.numpy_rank_promotion("raise"):
        jax.eval_shape(lambda t: jax.jvp(lambda x: EVERY[name](x, 0.1), (t,), (t,)), tree)
