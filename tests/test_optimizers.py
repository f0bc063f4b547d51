"""The six optimizers against their formulas, their identities, and Optax's conventions."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adamprox
from tests import oracle

ADAM_BASED = (
    "adam_l2", "adamw", "adamprox", "adamprox_l2", "adamprox_l1", "scale_free_adam_l2",
)  # fmt: skip
"""Optimizers with Adam's moments and arguments; `tests/oracle.py` has their equations."""
OPTIMIZERS = (*ADAM_BASED,)
"""All optimizers with the arguments learning_rate, weight_decay, mask and schedule."""
SCALE_FREE = ADAM_BASED[1:]


def gradients_of_many_scales(steps, size, seed=0):
    """float64[steps, size], coordinates from 1e-8 to 1e4, some of them always zero."""
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(steps, size)) * np.logspace(-8, 4, size)
    gradients[:, ::7] = 0
    return gradients


def run(tx, x, gradients, *, as_tree=False):
    """x_1 … x_T under jit; ``as_tree`` splits the vector over two leaves."""
    pack = (lambda a: {"a": a[:3], "b": a[3:].reshape(1, -1)}) if as_tree else (lambda a: a)

    @jax.jit
    def loop(x, gradients):
        def step(carry, gradient):
            x, state = carry
            updates, state = tx.update(pack(gradient), state, x)
            x = optax.apply_updates(x, updates)
            return (x, state), jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(x)])

        return jax.lax.scan(step, (pack(x), tx.init(pack(x))), gradients)[1]

    return np.asarray(loop(jnp.asarray(x), jnp.asarray(gradients)))


@pytest.mark.parametrize("eps", [1e-8, 0.0])
@pytest.mark.parametrize("as_tree", [False, True])
@pytest.mark.parametrize("name", ADAM_BASED)
def test_follows_the_formulas(x64, name, as_tree, eps):
    steps, size = 1000, 40
    gradients = gradients_of_many_scales(steps, size)
    x = np.random.default_rng(1).normal(size=size)
    schedule = optax.cosine_decay_schedule(1.0, steps, alpha=0.1)
    eta = [0.9 * 0.5 * (1 + np.cos(np.pi * t / steps)) + 0.1 for t in range(steps)]
    lam = {"adamprox_l2": 0.05}.get(name, 3e-3)
    expected = oracle.trajectory(name, x, gradients, eta, alpha=1e-2, lam=lam, eps=eps)
    tx = getattr(adamprox, name)(1e-2, eps=eps, weight_decay=lam, schedule=schedule)
    actual = run(tx, x, gradients, as_tree=as_tree)
    assert np.max(np.abs(actual - expected)) <= 1e-12 * np.max(np.abs(expected))
    if name == "adamprox_l1":
        assert np.array_equal(actual == 0, expected == 0)
        assert 0.1 < np.mean(expected == 0) < 0.9


ETAS = {
    "constant": (1.0, lambda t: 1.0),
    "half": (0.5, lambda t: 0.5),
    "decay": (lambda t: 1 / (1 + jnp.asarray(t, float)), lambda t: 1 / (1 + t)),
    # Optax's own linear schedule divides in float32.
    "warmup": (lambda t: jnp.asarray(t, float) / 10, lambda t: t / 10),
}


@settings(max_examples=12)
@given(
    name=st.sampled_from(ADAM_BASED),
    eta=st.sampled_from(sorted(ETAS)),
    shapes=st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=4),
    masked=st.lists(st.booleans(), min_size=4, max_size=4),
    lam=st.floats(0, 0.5),
    eps=st.sampled_from([0.0, 1e-8, 1e-2]),
    nesterov=st.booleans(),
    seed=st.integers(0, 100),
)
def test_follows_the_formulas_on_any_tree(name, eta, shapes, masked, lam, eps, nesterov, seed):
    with jax.enable_x64(True):
        rng, steps = np.random.default_rng(seed), 6
        sizes = [int(np.prod(shape)) for shape in shapes]
        x, gradients = rng.normal(size=sum(sizes)), rng.normal(size=(steps, sum(sizes)))
        where = np.repeat(masked[: len(sizes)], sizes)
        schedule, reference = ETAS[eta]

        def pack(vector):
            parts = jnp.split(jnp.asarray(vector), np.cumsum(sizes)[:-1])
            return [part.reshape(s) for part, s in zip(parts, shapes, strict=True)]

        tx = getattr(adamprox, name)(
            0.01, eps=eps, weight_decay=lam, mask=masked[: len(sizes)], schedule=schedule,
            nesterov=nesterov,
        )  # fmt: skip
        params = pack(x)
        state = tx.init(params)
        for gradient in gradients:
            updates, state = tx.update(pack(gradient), state, params)
            params = optax.apply_updates(params, updates)
        expected = oracle.trajectory(
            name, x, gradients, [reference(t) for t in range(steps)], alpha=0.01, lam=lam, eps=eps,
            nesterov=nesterov, where=where,
        )[-1]  # fmt: skip
        actual = np.concatenate([np.ravel(leaf) for leaf in params])
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


def test_adamprox_is_adamw_with_other_hyperparameters(x64):
    """Identity (i): at constant η = 1, AdamProx(α, λ) ≡ AdamW(α/(1+λ), λ/(1+λ))."""
    gradients, x, alpha, lam = gradients_of_many_scales(50, 12), np.linspace(-1, 1, 12), 0.01, 0.09
    a = run(adamprox.adamprox(alpha, weight_decay=lam), x, gradients)
    b = run(adamprox.adamw(alpha / (1 + lam), weight_decay=lam / (1 + lam)), x, gradients)
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)


@pytest.mark.parametrize("multiplier", [8.0, 10.0, 1e-6])
def test_adam_l2_trades_the_loss_multiplier_for_weight_decay(x64, multiplier):
    """Identity (ii): at ε = 0, Adam-ℓ2 on (c·f, cλ) ≡ Adam-ℓ2 on (f, λ)."""
    gradients, x = gradients_of_many_scales(50, 12), np.linspace(-1, 1, 12)
    a = run(adamprox.adam_l2(0.01, eps=0.0, weight_decay=0.1), x, gradients)
    scaled = adamprox.adam_l2(0.01, eps=0.0, weight_decay=0.1 * multiplier)
    np.testing.assert_allclose(run(scaled, x, multiplier * gradients), a, rtol=0, atol=1e-12)


def test_adamw_and_adamprox_differ_to_second_order(x64):
    """Identity (iii): one step differs by O((λη)²), plus λη times the Adam step of size α."""
    x, gradient = np.linspace(0.5, 1, 5), np.ones((1, 5))
    gaps = []
    for lam in (1e-2, 1e-3):
        pair = (adamprox.adamw, adamprox.adamprox)
        a, b = (run(make(1e-12, weight_decay=lam), x, gradient) for make in pair)
        gaps.append(np.max(np.abs(a - b)))
    assert 90 < gaps[0] / gaps[1] < 110


@pytest.mark.parametrize("name", ADAM_BASED)
def test_powers_of_two_do_not_change_a_bit(name):
    """Identity (iv), which is scale-freeness; it must fail for Adam-ℓ2."""
    rng = np.random.default_rng(0)
    gradients = np.asarray(rng.normal(size=(60, 200)), np.float32)
    x = np.asarray(rng.normal(size=200), np.float32)
    scales = np.exp2(rng.integers(-20, 21, 200)).astype(np.float32)
    tx = getattr(adamprox, name)(1e-2, eps=0.0, weight_decay=1e-2)
    same = np.array_equal(run(tx, x, gradients), run(tx, x, gradients * scales))
    assert same == (name in SCALE_FREE)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("name", SCALE_FREE)
def test_range_safe_without_epsilon(name, scale):
    gradients = np.asarray(np.random.default_rng(0).normal(size=(100, 50)), np.float32)
    x = np.ones(50, np.float32)
    tx = getattr(adamprox, name)(1e-2, eps=0.0, weight_decay=1e-3)
    expected = run(tx, x, gradients)
    np.testing.assert_allclose(
        run(tx, x, gradients * np.float32(scale)), expected, rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("name", ADAM_BASED)
def test_without_weight_decay_everyone_is_adam(x64, name):
    gradients, x = gradients_of_many_scales(40, 10), np.linspace(-1, 1, 10)
    expected = run(optax.adam(1e-2), x, gradients)
    actual = run(getattr(adamprox, name)(1e-2, weight_decay=0.0), x, gradients)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-15)


def test_optax_adamw_is_ours_with_weight_decay_times_learning_rate(x64):
    gradients, x = gradients_of_many_scales(40, 10), np.linspace(-1, 1, 10)
    expected = run(optax.adamw(1e-2, weight_decay=0.3), x, gradients)
    actual = run(adamprox.adamw(1e-2, weight_decay=0.3 * 1e-2), x, gradients)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_schedule_starts_at_count_zero_and_scales_both(x64, name):
    """η_t is evaluated at 0, 1, 2, …: recorded as they come."""
    schedule = optax.piecewise_constant_schedule(0.0, {1: 1.0})  # 0 always
    x, gradients = np.ones(6), gradients_of_many_scales(3, 6)
    still = run(getattr(adamprox, name)(0.1, weight_decay=0.1, schedule=schedule), x, gradients)
    assert np.array_equal(still, np.ones((3, 6)))
    first_only = lambda count: jnp.where(count == 0, 1.0, 0.0)  # noqa: E731
    moved = run(getattr(adamprox, name)(0.1, weight_decay=0.07, schedule=first_only), x, gradients)
    assert np.all(moved[0, 1:] != 1) and np.array_equal(moved[0], moved[2])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_mask_regularizes_only_where_true(name):
    params = {"kernel": jnp.ones(3), "bias": jnp.ones(3)}
    mask = {"kernel": True, "bias": False}
    grads = jax.tree.map(lambda p: 0.5 * p, params)
    make = getattr(adamprox, name)
    for masking in ({"mask": mask}, {"mask": lambda p: mask}):
        tx = make(0.1, weight_decay=0.09, **masking)
        plain, decayed = (make(0.1, weight_decay=w) for w in (0.0, 0.09))
        update = lambda t: t.update(grads, t.init(params), params)[0]  # noqa: E731
        np.testing.assert_allclose(update(tx)["bias"], update(plain)["bias"], rtol=1e-6)
        if name not in ("adamprox_l2", "adam_l2"):
            np.testing.assert_allclose(update(tx)["kernel"], update(decayed)["kernel"], rtol=1e-6)


@pytest.mark.parametrize("name", ADAM_BASED)
def test_weight_decay_mask_is_a_second_name_of_mask(name):
    params, mask = {"kernel": jnp.ones(3), "bias": jnp.ones(3)}, {"kernel": True, "bias": False}
    make = functools.partial(getattr(adamprox, name), 0.1, weight_decay=0.09)
    with pytest.raises(ValueError, match="mask and weight_decay_mask are two names"):
        make(mask=mask, weight_decay_mask=mask)
    one, other = (
        tx.update(params, tx.init(params), params)[0]
        for tx in (make(mask=mask), make(weight_decay_mask=mask))
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_masked_l2_takes_its_norm_over_the_masked_part():
    params = {"kernel": jnp.array([3.0, 4.0]), "bias": jnp.array([1000.0])}
    tx = adamprox.adamprox_l2(0.1, weight_decay=1.0, mask={"kernel": True, "bias": False})
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(updates["kernel"], [-0.6, -0.8], rtol=1e-6)


@given(
    name=st.sampled_from(ADAM_BASED),
    dtype=st.sampled_from(["float16", "bfloat16", "float32", "complex64"]),
    eps=st.sampled_from([0.0, 1e-8]),
    nesterov=st.booleans(),
    wide_mu=st.booleans(),
)
def test_dtypes_and_states_are_stable(name, dtype, eps, nesterov, wide_mu):
    mu_dtype = ("complex64" if dtype == "complex64" else "float32") if wide_mu else None
    params = {"a": jnp.ones((2, 3), dtype), "empty": {}, "none": None}
    tx = getattr(adamprox, name)(
        1e-2, eps=eps, nesterov=nesterov, mu_dtype=mu_dtype, weight_decay=0.09
    )
    state = tx.init(params)
    grads = jax.tree.map(lambda p: p / 2, params)
    updates, new_state = tx.update(grads, state, params)
    new = optax.apply_updates(params, updates)
    assert new["a"].dtype == params["a"].dtype
    assert bool(jnp.all(jnp.isfinite(new["a"])))
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), s) for s in (state, new_state)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes_are_kept(name, dtype):
    """Of parameters and states, next to empty and missing leaves."""
    params = {"a": jnp.ones((2, 3), dtype), "empty": {}, "none": None}
    tx = getattr(adamprox, name)(1e-2, weight_decay=0.09)
    state = tx.init(params)
    updates, new_state = tx.update(jax.tree.map(lambda p: p / 2, params), state, params)
    new = optax.apply_updates(params, updates)
    assert new["a"].dtype == dtype and bool(jnp.all(new["a"] < 1)) and new["none"] is None
    types = [jax.tree.map(lambda x: (x.shape, x.dtype), s) for s in (state, new_state)]
    assert types[0] == types[1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_inject_hyperparams_gives_the_same_steps(name):
    gradients = np.asarray(gradients_of_many_scales(10, 8), np.float32)
    x = np.ones(8, np.float32)
    make = getattr(adamprox, name)
    injected = optax.inject_hyperparams(make)(learning_rate=0.1, weight_decay=0.01)
    np.testing.assert_allclose(
        # 1 − β is rounded to float32 when β is an array: 5e-5 relative at β₂ = 0.999.
        run(injected, x, gradients),
        run(make(0.1, weight_decay=0.01), x, gradients),
        atol=1e-4,
    )


# Without static_args ε is an array: 0/0 is 0, but g² must be in range.
@pytest.mark.parametrize(
    ("static", "scale"),
    [((), 0.0), ((), 1.0), ((), 1e-15)]
    + [(s, g) for s in [("eps",), ("eps", "eps_root")] for g in (0.0, 1e-30, 1.0, 1e30)],
)
def test_injected_zero_epsilon_is_as_safe_as_a_plain_one(static, scale):
    make = optax.inject_hyperparams(adamprox.adamw, static_args=static)
    tx = make(learning_rate=0.1, eps=0.0, weight_decay=0.0)
    gradients = np.full((4, 3), scale, np.float32)
    expected = run(
        adamprox.adamw(0.1, eps=0.0, weight_decay=0.0), np.ones(3, np.float32), gradients
    )
    np.testing.assert_allclose(run(tx, np.ones(3, np.float32), gradients), expected, rtol=1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hyperparameters_may_be_traced_and_batched(name):
    make = getattr(adamprox, name)
    x, gradient = jnp.ones(4), jnp.array([1.0, -2.0, 3.0, 0.0])

    def step(alpha, lam):
        tx = make(alpha, weight_decay=lam)
        return tx.update(gradient, tx.init(x), x)[0]

    alphas, lams = jnp.array([0.1, 0.2]), jnp.array([0.0, 0.09])
    batched = jax.jit(jax.vmap(step))(alphas, lams)
    single = jnp.stack([step(float(a), float(b)) for a, b in zip(alphas, lams, strict=True)])
    np.testing.assert_allclose(batched, single, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_multi_steps_averages_before_the_step(name):
    make = functools.partial(getattr(adamprox, name), 0.1, weight_decay=0.01)
    gradients = np.asarray(np.random.default_rng(0).normal(size=(8, 5)), np.float32)
    x = np.ones(5, np.float32)
    every_second = run(optax.MultiSteps(make(), 2).gradient_transformation(), x, gradients)[1::2]
    averaged = run(make(), x, gradients.reshape(4, 2, 5).mean(1))
    np.testing.assert_allclose(every_second, averaged, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_extra_args_are_accepted(name):
    tx = getattr(adamprox, name)(0.1)
    x = jnp.ones(2)
    tx.update(x, tx.init(x), x, value=jnp.array(1.0))


@pytest.mark.parametrize("eps", [0.0, 1e-8])
@pytest.mark.parametrize("name", ADAM_BASED)
def test_plain_numbers_may_be_parameters(name, eps):
    """As with Optax."""
    tx = getattr(adamprox, name)(0.1, eps=eps)
    updates, _ = tx.update(1.0, tx.init(1.0), 1.0)
    np.testing.assert_allclose(optax.apply_updates(1.0, updates), 0.9, rtol=1e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_may_be_a_schedule(x64, name):
    gradients, x = gradients_of_many_scales(6, 8), np.linspace(-1, 1, 8)
    make = getattr(adamprox, name)
    ramp = lambda t: 0.01 * (t + 1)  # noqa: E731
    if name == "adam_l2":  # λ alone, η_t multiplies the step
        tx = optax.chain(adamprox.add_l2_gradient(ramp), adamprox.adam_direction(0.1))
    else:
        both = make(0.1, weight_decay=1.0, schedule=ramp)  # one clock for both …
        tx = make(lambda t: 0.1 * ramp(t), weight_decay=ramp)  # … is two that agree
        np.testing.assert_allclose(run(tx, x, gradients), run(both, x, gradients), atol=1e-15)
        return
    np.testing.assert_array_equal(
        run(tx, x, gradients), run(make(0.1, weight_decay=ramp), x, gradients)
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_moments_without_epsilon_decay_in_half_precision(dtype):
    """After one gradient of 100 and 2000 of 1, √v̂ is 37.4, whatever the type of the parameters."""
    gradients = jnp.ones((2000, 1), dtype).at[0].set(100.0)
    tx = adamprox.scale_by_adam(eps=0.0)
    state = tx.init(gradients[0])

    def step(state, gradient):
        updates, state = tx.update(gradient, state)
        return state, updates

    state, updates = jax.jit(lambda s, g: jax.lax.scan(step, s, g))(state, gradients)
    assert updates.dtype == dtype and state.mu.dtype == dtype
    v = 0.999**1999 * 0.001 * 100.0**2 + 1 - 0.999**1999
    np.testing.assert_allclose(state.root_nu, np.sqrt(v), rtol=1e-3)
    np.testing.assert_allclose(
        np.asarray(updates[-1], np.float32), 1 / np.sqrt(v / (1 - 0.999**2000)), rtol=2e-2
    )


@pytest.mark.parametrize("name", ADAM_BASED)
def test_half_precision_parameters_with_wide_gradients_scan(name):
    """The state keeps its types, so that it can be the carry of a loop."""
    tx = getattr(adamprox, name)(0.1, eps=0.0)
    x = jnp.ones(3, "bfloat16")

    def step(carry, gradient):
        x, state = carry
        updates, state = tx.update(gradient, state, x)
        return (optax.apply_updates(x, updates), state), None

    (x, _), _ = jax.lax.scan(step, (x, tx.init(x)), jnp.ones((3, 3)))
    assert x.dtype == "bfloat16" and jnp.all(x < 1)


@pytest.mark.parametrize("name", ADAM_BASED)
def test_bad_arguments_are_named(name):
    make = getattr(adamprox, name)
    for bad in (-1.0, np.array(-1.0), float("nan")):
        with pytest.raises(ValueError, match="schedule must be a number >= 0, got"):
            make(0.1, schedule=bad)
    for bad in ({"b1": 1.0}, {"b2": 1}, {"b1": -0.1}, {"b2": np.float32(2.0)}):
        with pytest.raises(ValueError, match=r"b. must be a number with 0 <= b. < 1, got"):
            make(0.1, **bad)
    with pytest.raises(ValueError, match="weight_decay must be a number >= 0, got -1"):
        make(0.1, weight_decay=np.array(-1.0))
    with pytest.raises(ValueError, match="weight_decay must be a number >= 0, got -1"):
        make(0.1, weight_decay=-1.0)
    with pytest.raises(ValueError, match="eps must be a number >= 0, got nan"):
        make(0.1, eps=float("nan"))
    tx = make(0.1)
    with pytest.raises(ValueError, match="params"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", ["adamw", "adamprox", "adamprox_l1", "adamprox_l2"])
def test_a_traced_zero_epsilon_keeps_silent_coordinates_when_compiled(x64, name, dtype):
    """XLA joins the divisions by the bias correction and by ε: their product must not be flushed."""
    options = {"learning_rate": 0.05, "weight_decay": 0.02, "eps": 0.0}
    make, rng = getattr(adamprox, name), np.random.default_rng(0)
    start = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=4), "c": rng.normal()}
    silent = np.array([1.0, 0.0, 1e-5, 1.0])
    ends = []
    for tx in (make(**options), optax.inject_hyperparams(make)(**options)):
        x, rng = (
            jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), start),
            np.random.default_rng(1),
        )
        state, update = tx.init(x), jax.jit(tx.update)
        for _ in range(10):
            g = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=4) * silent, "c": rng.normal()}
            g = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), g)
            updates, state = update(g, state, x)
            x = optax.apply_updates(x, updates)
        ends.append(x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *ends)


EPSILONS = (0.0, 5e-324, 1e-60, 1e-40, 1e-38, 1e-8)
VARIANTS = ({"nesterov": True}, {"mu_dtype": "float32"}, {"eps_root": 1e-60})


@pytest.mark.parametrize(
    ("options", "eps"),
    [
        *(({}, eps) for eps in EPSILONS),
        *((options, 1e-40) for options in VARIANTS),
        *(
            pytest.param(options, eps, marks=pytest.mark.slow)
            for options in VARIANTS
            for eps in EPSILONS
            if eps != 1e-40
        ),
    ],
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_coordinate_without_gradients_does_not_move_whatever_epsilon(dtype, eps, options, x64):
    """And wherever Optax's step is finite, a plain ε > 0 gives the same bits."""
    gradient = jnp.asarray([0.0, 0.0, 1.0, 1e-6], dtype)
    tx = adamprox.scale_by_adam(eps=eps, **options)
    theirs = optax.scale_by_adam(eps=eps, **options)
    for wrap in (jax.jit, lambda f: f):
        a, b = tx.init(gradient), theirs.init(gradient)
        for _ in range(3):
            u, a = wrap(tx.update)(gradient, a)
            v, b = wrap(theirs.update)(gradient, b)
            assert np.all(np.isfinite(u)) and np.all(u[:2] == 0) and u[2] > 0
            assert eps == 0 or np.array_equal(u[np.isfinite(v)], v[np.isfinite(v)])


@pytest.mark.parametrize("name", ADAM_BASED)
def test_a_coordinate_without_gradients_is_only_regularized(name):
    """Never NaN; Adam-ℓ2 moves it by a step of Adam, because λx is its gradient."""
    for eps, dtype in itertools.product((0.0, 1e-60, 1e-8), ("float16", "float32")):
        x = jnp.asarray([1.0, -2.0, 0.0], dtype)
        for decay in (0.0, 0.0625):
            tx = getattr(adamprox, name)(0.125, eps=eps, weight_decay=decay)
            updates, _ = tx.update(jnp.zeros(3, dtype), tx.init(x), x)
            wanted = regularized(name, decay)
            np.testing.assert_allclose(x + updates, wanted, rtol=1e-3, err_msg=f"{eps} {dtype}")


def regularized(name, decay):
    """Return (1, −2, 0) after one step of the regularizer, with α = ⅛."""
    x = np.array([1.0, -2.0, 0.0])
    return {
        "adam_l2": x - 0.125 * np.sign(x) * (decay > 0),
        "adamw": (1 - decay) * x,
        "adamprox": x / (1 + decay),
        "adamprox_l1": np.sign(x) * np.maximum(np.abs(x) - decay, 0),
        "adamprox_l2": x * (1 - decay / np.sqrt(5)),
        "scale_free_adam_l2": x,  # its decay is a share of √v̂, which is 0
    }[name]


@pytest.mark.parametrize("eps", [1e-8, 0.0])
@pytest.mark.parametrize("name", ADAM_BASED)
def test_derivatives_by_the_hyperparameters_are_finite(name, eps):
    def path(learning_rate, b2, weight_decay):
        tx = getattr(adamprox, name)(learning_rate, b2=b2, eps=eps, weight_decay=weight_decay)
        x = jnp.array([1.0, 2.0])
        state = tx.init(x)
        for _ in range(3):
            updates, state = tx.update(x, state, x)
            x = optax.apply_updates(x, updates)
        return x.sum()

    with jax.debug_nans(True):
        slopes = jax.grad(path, argnums=(0, 1, 2))(0.1, 0.99, 0.01)
    assert np.isfinite(slopes).all() and slopes[0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"eps": 0.0}) for name in (*ADAM_BASED, "proxgen")),
        *((name, {"eps_root": 1e-12}) for name in ADAM_BASED),
    ],
)
def test_a_coordinate_without_gradients_has_derivatives_by_the_hyperparameters(name, options):
    """√v is 0 there, whose slope is infinite; ``eps_root`` is Optax's remedy at ε > 0."""

    def make(learning_rate, weight):
        if name == "proxgen":
            return adamprox.proxgen(learning_rate, adamprox.prox.l1, weight, **options)
        return getattr(adamprox, name)(learning_rate, weight_decay=weight, **options)

    def path(learning_rate, weight):
        tx, x = make(learning_rate, weight), jnp.array([1.0, 2.0])
        state = tx.init(x)
        for _ in range(3):
            updates, state = tx.update(x * jnp.array([1.0, 0.0]), state, x)
            x = optax.apply_updates(x, updates)
        return x.sum()

    slopes = jax.grad(path, argnums=(0, 1))(0.1, 0.01)
    assert np.isfinite(slopes).all() and slopes[0]


def test_scale_free_adam_l2_ends_no_coordinate_that_overflows():
    """1e20² is infinite in float32: Adam moves it no more, and λx must not become NaN."""
    tx, x = adamprox.scale_free_adam_l2(1e-2), jnp.ones(2)
    state = tx.init(x)
    for _ in range(3):
        updates, state = tx.update(jnp.array([1e20, 1.0]), state, x)
        assert np.isfinite(updates).all() and updates[1] < 0


def test_a_numpy_epsilon_is_a_plain_number(x64):
    x, g = jnp.ones(2, jnp.float32), jnp.array([0, 8e-30], jnp.float32)
    for name in ("adamw", "adamprox"):
        for eps in (1e-300, 1e-8):
            plain, numpy = (getattr(adamprox, name)(0.01, eps=e) for e in (eps, np.float64(eps)))
            a, b = (tx.update(g, tx.init(x), x)[0] for tx in (plain, numpy))
            assert a.dtype == b.dtype == x.dtype and np.array_equal(a, b) and np.isfinite(b).all()


def test_nesterov_is_in_range_where_adam_is():
    g = jnp.array([1e-30, 1e30, 3e37, 2e38])
    tx = adamprox.scale_by_adam(eps=0.0, nesterov=True)
    np.testing.assert_allclose(tx.update(g, tx.init(g))[0], 1.473684, rtol=2e-5)


@pytest.mark.parametrize("schedule", [1.0, jnp.float32(1), lambda count: 1.0])
def test_states_count_steps_as_optax_s_aliases_do(schedule):
    """One counter, however deep: ``optax.tree.get`` refuses two. A schedule counts for itself."""
    params = {"w": jnp.ones(2)}
    made = {name: getattr(adamprox, name)(1e-3, schedule=schedule) for name in OPTIMIZERS}
    made["proxgen"] = adamprox.proxgen(1e-3, adamprox.prox.l1, 1e-3, schedule=schedule)
    for name, tx in made.items():
        _, state = tx.update(params, tx.init(params), params)
        counts = [leaf for _, leaf in optax.tree.get_all_with_path(state, "count")]
        assert counts == [1] * len(counts), name
        if not callable(schedule):
            assert optax.tree.get(state, "count") == 1


@pytest.mark.parametrize("name", ADAM_BASED)
def test_injected_beta_that_bfloat16_rounds_to_one_is_not_silent(name):
    x = jnp.ones(3, jnp.bfloat16)
    for dtype, finite in ((None, False), (jnp.float32, True)):
        inject = optax.inject_hyperparams(getattr(adamprox, name), hyperparam_dtype=dtype)
        tx = inject(1e-2, weight_decay=1e-3)
        updates, _ = tx.update(x, tx.init(x), x)
        assert bool(jnp.isfinite(updates).all()) == finite, dtype


def test_scale_free_adam_l2_in_a_warmup_is_in_range():
    """√v̂/α is 1e39 here, and (√v̂/α) λx only 1e30."""
    tx = adamprox.scale_free_adam_l2(lambda n: 1e-9 * (n + 1), eps=0.0, weight_decay=1e-9)
    x = jnp.ones(1)
    state = tx.init(x)
    for count in range(3):
        updates, state = tx.update(jnp.full(1, 1e30), state, x)
        np.testing.assert_allclose(updates, -1e-9 * (count + 1), rtol=0.2)


@pytest.mark.parametrize("number", [1.0, np.float64(1), np.float32(1)])
def test_parameters_that_are_plain_numbers(number):
    """As `optax.adam` takes them; the steps are those of arrays."""
    l1 = adamprox.prox.l1
    made = (
        *(getattr(adamprox, name)(0.1) for name in OPTIMIZERS),
        adamprox.adamw(0.1, eps=0.0, nesterov=True),
        adamprox.adagrad(0.1),
        adamprox.adagrad_with_restarts(0.1, 3),
        adamprox.dual_averaging(l1, 0.1),
        adamprox.fista(0.1, l1, 0.1),
        adamprox.proxgen(0.1, l1, 0.1),
        adamprox.straight_through(l1, 0.1),
    )
    for tx in map(optax.with_extra_args_support, made):
        taken = []
        for x in ({"w": number}, {"w": jnp.float32(1)}):
            state = tx.init(x)
            for _ in range(2):
                updates, state = tx.update({"w": 2 * x["w"]}, state, x)
                x = optax.apply_updates(x, updates)
            taken.append(float(x["w"]))
        assert taken[0] == taken[1] != 1


@pytest.mark.parametrize("name", ADAM_BASED)
def test_what_is_no_number_is_refused_by_name(name):
    make = getattr(adamprox, name)
    for odd in ("0.1", None, [0.1]):
        for argument in (
            "learning_rate",
            "weight_decay",
            "schedule",
            "b1",
            "b2",
            "eps",
            "eps_root",
        ):
            given = {"learning_rate": 0.1, argument: odd}
            with pytest.raises(TypeError, match=f"^{argument} must be a number(, an| or an) array"):
                make(**given)


@pytest.mark.parametrize("name", ADAM_BASED)
@pytest.mark.parametrize("eps", [0.0, 1e-8])
def test_states_of_abstract_parameters_are_those_of_arrays(name, eps):
    tx = getattr(adamprox, name)(0.1, eps=eps)
    for dtype in ("float32", "bfloat16", "complex64"):
        x = {"a": jnp.ones((2, 3), dtype)}
        abstract = {"a": jax.ShapeDtypeStruct((2, 3), dtype)}
        shapes = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)  # noqa: E731
        assert shapes(tx.init(abstract)) == shapes(tx.init(x))


@pytest.mark.parametrize("name", ADAM_BASED)
def test_a_gradient_of_none_has_no_update_without_epsilon(name):
    tx = getattr(adamprox, name)(0.1, eps=0.0)
    x = {"a": jnp.ones(2), "b": jnp.ones(2)}
    updates, _ = tx.update({"a": jnp.ones(2), "b": None}, tx.init(x), x)
    assert updates["b"] is None and np.all(updates["a"] < 0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_that_is_not_a_number_stays_in_its_leaf_without_decay(name):
    tx = getattr(adamprox, name)(0.1, weight_decay=0.0)
    x = {"a": jnp.array([8.0]), "b": jnp.array([8.0])}
    updates, _ = tx.update({"a": jnp.array([8.0]), "b": jnp.array([jnp.nan])}, tx.init(x), x)
    np.testing.assert_allclose(updates["a"], [-0.1], rtol=1e-5)
    assert np.isnan(updates["b"]).all()


@pytest.mark.parametrize("eps", [1e-8, 0.0])
def test_a_numpy_number_does_not_widen_the_moments(x64, eps):
    """NumPy's float64 would widen them, and a scan would refuse its carry."""
    tx = adamprox.scale_by_adam(np.float64(0.9), np.float64(0.999), np.float64(eps))
    before = tx.init(jnp.ones(2, jnp.float32))
    _, after = tx.update(jnp.ones(2, jnp.float32), before)
    assert jax.tree.map(jnp.result_type, after) == jax.tree.map(jnp.result_type, before)


@pytest.mark.parametrize("eps", [0.0, 1e-8])
def test_a_gradient_that_is_not_a_number_is_seen(eps):
    tx = adamprox.adamw(0.1, eps=eps)
    x = jnp.ones(3)
    updates, _ = tx.update(jnp.array([jnp.nan, 1.0, 0.0]), tx.init(x), x)
    assert jnp.isnan(updates[0]) and jnp.all(jnp.isfinite(updates[1:]))


@pytest.mark.parametrize(
    "tx",
    [
        optax.chain(adamprox.adam_direction(0.1), adamprox.update_histogram()),
        adamprox.adagrad(1.0),
        adamprox.adagrad_with_restarts(1.0, 3),
    ],
)
def test_parameters_and_state_can_be_donated(tx):
    x = jnp.ones(3)
    step = jax.jit(lambda x, state: (x, state), donate_argnums=(0, 1))
    jax.block_until_ready(step(x, tx.init(x)))
