"""`proximal` on other bases, exact zeros, and what the transforms leave alone."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import adamprox
from adamprox import prox


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("grad_dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("base", [optax.sgd(0.3), optax.sgd(0.3, 0.9), optax.lion(0.1)])
def test_zeros_of_the_prox_are_zeros_of_the_parameters(base, dtype, grad_dtype):
    key = jax.random.key(0)
    x = jax.random.normal(key, (200,)).astype(dtype)
    gradient = jax.random.normal(jax.random.key(1), (200,)).astype(grad_dtype)
    tx = optax.chain(base, adamprox.proximal(prox.l1, 0.5))
    state = tx.init(x)
    for _ in range(3):
        moved, _ = base.update(gradient, state[0], x)
        target = prox.l1(x.astype("float32") + moved.astype("float32"), 0.5).astype(dtype)
        updates, state = tx.update(gradient, state, x)
        assert updates.dtype == x.dtype
        x = optax.apply_updates(x, updates)
        # The other way round need not hold: what is left of a large parameter may round to zero.
        assert np.all(x[target == 0] == 0) and 0 < np.sum(target == 0) < 200


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("wrap", [jax.jit, lambda f: f])
def test_half_precision_is_rounded_once(dtype, wrap):
    """A sum in half precision leaves a fifth of the parameters beside the nearest number."""
    rng = np.random.default_rng(0)
    p, u = (jnp.asarray(a, dtype) for a in (rng.normal(size=2000), 0.01 * rng.normal(size=2000)))
    wide = np.asarray(p, np.float64) + np.asarray(u, np.float64)
    shrunk = {
        prox.squared_l2: wide / 1.01,
        prox.l1: np.sign(wide) * np.maximum(abs(wide) - 0.01, 0),
    }
    for operator, exact in shrunk.items():
        tx = adamprox.proximal(operator, 0.01)
        updates, _ = wrap(tx.update)(u, tx.init(p), p)
        nearest = jnp.asarray(exact.astype(np.float32), dtype)
        assert np.mean(optax.apply_updates(p, updates) != nearest) < 0.01


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_short_steps_in_half_precision_are_not_lost(dtype):
    """Each part is less than half a unit in the last place of x = 1, their sum is more."""
    rate = 0.4 * float(jnp.finfo(dtype).eps) / 2
    adam = adamprox.adam_direction(rate)
    decay = 0.3 * float(jnp.finfo(dtype).eps) / 2
    x = jnp.ones(1, dtype)
    for tx in (
        optax.chain(adam, adamprox.proximal(prox.squared_l2, decay)),
        adamprox.adamprox(rate, weight_decay=decay),
        adamprox.adamw(rate, weight_decay=decay),
        adamprox.proxgen(rate, prox.squared_l2, decay / rate),
    ):
        updates, _ = tx.update(jnp.ones(1, dtype), tx.init(x), x)
        assert optax.apply_updates(x, updates)[0] < 1


def quadratic(x):
    return jnp.sum((x - jnp.linspace(-1, 1, 24).reshape(6, 4)) ** 2)


BASES = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.05, momentum=0.9),
    "adagrad": optax.adagrad(0.3),
    "adam": optax.adam(0.05),
    "lion": optax.lion(0.02),
    "muon": optax.contrib.muon(0.02),
    "sophia": optax.contrib.sophia(0.05, update_interval=2),
}


@pytest.mark.parametrize("name", BASES)
def test_proximal_follows_any_base(name):
    """Every step is the base's and then the prox: in value, and to the last bit where it is zero."""
    base = optax.with_extra_args_support(BASES[name])
    tx = optax.chain(base, adamprox.proximal(prox.l1, 0.05))
    extra = {"obj_fn": quadratic} if name == "sophia" else {}

    @jax.jit
    def step(x, state):
        gradient = jax.grad(quadratic)(x)
        moved, _ = base.update(gradient, state[0], x, **extra)
        updates, state = tx.update(gradient, state, x, **extra)
        return optax.apply_updates(x, updates), state, prox.l1(x + moved, 0.05)

    x = jax.random.normal(jax.random.key(0), (6, 4))
    state, seen = tx.init(x), 0
    for _ in range(5):
        x, state, target = step(x, state)
        np.testing.assert_allclose(x, target, rtol=0, atol=1e-6)
        assert np.all(x[target == 0] == 0)
        seen += int(np.sum(target == 0))
    assert seen > 0


def test_proximal_sgd_solves_the_lasso(x64):
    """min ½‖Ax − b‖² + λ‖x‖₁ has the subgradient condition |Aᵀ(Ax − b)| ≤ λ, = where x ≠ 0."""
    rng = np.random.default_rng(0)
    a, b, lam = jnp.asarray(rng.normal(size=(30, 10))), jnp.asarray(rng.normal(size=30)), 8.0
    step_size = float(1 / np.linalg.norm(a, 2) ** 2)
    tx = optax.chain(optax.sgd(step_size), adamprox.proximal(prox.l1, lam * step_size))

    def step(carry, _):
        x, state = carry
        updates, state = tx.update(a.T @ (a @ x - b), state, x)
        return (optax.apply_updates(x, updates), state), None

    x = jnp.zeros(10)
    (x, _), _ = jax.lax.scan(step, (x, tx.init(x)), length=3000)
    correlation = a.T @ (a @ x - b)
    assert 0 < np.sum(x == 0) < 10
    np.testing.assert_allclose(correlation[x != 0], -lam * np.sign(x[x != 0]), rtol=1e-10)
    assert np.all(np.abs(correlation[x == 0]) <= lam)


def test_leaves_without_an_update_are_left_out():
    params = {"a": jnp.array([3.0, 4.0]), "frozen": jnp.array([100.0])}
    for tx in (adamprox.proximal(prox.l2, 0.25), adamprox.decay_weights(0.05)):
        updates, _ = tx.update({"a": jnp.zeros(2), "frozen": None}, tx.init(params), params)
        assert updates["frozen"] is None
        np.testing.assert_allclose(updates["a"], [-0.15, -0.2], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("grad_dtype", ["float32", None])
@pytest.mark.parametrize("wrap", [jax.jit, lambda f: f])
def test_bounds_hold_to_the_last_bit_after_apply_updates(dtype, grad_dtype, wrap):
    """Boxes and starts of all magnitudes; a nearest difference leaves 3 in 100 outside of them."""
    rng, size = np.random.default_rng(0), 20_000
    low, width = rng.normal(size=(2, size)) * 10.0 ** rng.integers(-3, 3, (2, size))
    lower, upper = (jnp.asarray(bound, dtype) for bound in (low, low + abs(width)))
    x = jnp.clip(jnp.asarray(low + abs(width) * rng.uniform(size=size), dtype), lower, upper)
    step = jnp.asarray(
        rng.normal(size=size) * 10.0 ** rng.integers(-4, 3, size), grad_dtype or dtype
    )
    box = functools.partial(prox.box, lower=lower, upper=upper)
    tx = adamprox.proximal(box, 1.0, round_inward=True)

    @wrap
    def move(x, step):
        return optax.apply_updates(x, tx.update(step, tx.init(x), x)[0])

    new, exact = move(x, step), box(x + step, 1.0).astype(dtype)
    assert jnp.all((lower <= new) & (new <= upper))
    np.testing.assert_allclose(
        *(np.asarray(a, np.float64) for a in (new, exact)),
        rtol=0,
        atol=2 * float(jnp.finfo(dtype).eps) * np.max(np.abs(np.asarray(x, np.float64))),
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "complex64"])
def test_a_prox_that_does_nothing_leaves_the_step_as_it_is(dtype):
    rng = np.random.default_rng(0)
    x, step = (jnp.asarray(rng.normal(size=1000), dtype) for _ in range(2))
    tx = adamprox.proximal(lambda tree, t: tree, 1.0, round_inward=True)
    updates, _ = tx.update(step, tx.init(x), x)
    gap = jnp.abs(optax.apply_updates(x, updates) - (x + step))
    assert jnp.all(gap <= 2 * jnp.finfo(dtype).eps * jnp.abs(x))


def test_a_weight_may_be_a_schedule_beside_the_multiplier():
    """As Optax's weight decay may; λ_t and η_t multiply."""
    lam, eta = (lambda t: 0.1 * (t + 1)), (lambda t: 1 / (t + 2))
    x = jnp.array([2.0, -1.0])
    for make in (
        adamprox.decay_weights,
        functools.partial(adamprox.proximal, prox.squared_l2),
        functools.partial(adamprox.proximal, prox.l1),
    ):
        tx = make(lam, eta)
        state = tx.init(x)
        for t in range(3):
            updates, state = jax.jit(tx.update)(jnp.zeros(2), state, x)
            fixed = make(lam(t) * eta(t))
            np.testing.assert_allclose(
                updates, fixed.update(jnp.zeros(2), fixed.init(x), x)[0], rtol=1e-6
            )
    added = adamprox.add_l2_gradient(lam)
    _, state = added.update(x, added.init(x), x)
    np.testing.assert_allclose(added.update(x, state, x)[0], 1.2 * x, rtol=1e-6)


def test_prox_must_be_callable():
    with pytest.raises(TypeError, match="prox must be a callable"):
        adamprox.proximal("l1", 0.1)  # pyright: ignore[reportArgumentType]


def test_scale_by_adam_is_optax_where_epsilon_is_positive():
    x = jnp.linspace(-1, 1, 9)
    ours, theirs = adamprox.scale_by_adam(eps=1e-6), optax.scale_by_adam(eps=1e-6)
    a, b = ours.init(x), theirs.init(x)
    for k in range(5):
        u, a = ours.update(x * k, a)
        v, b = theirs.update(x * k, b)
        assert np.array_equal(u, v)


def test_sharded_parameters_keep_their_sharding_and_iterates(run_with_devices):
    run_with_devices(8, "tests/sharded_optimizers.py")


@pytest.mark.slow
def test_all_optimizers_and_operators_of_sharded_arrays_are_those_of_whole_arrays(run_with_devices):
    run_with_devices(8, "tests/sharded_optimizers.py", "all")


def test_integer_parameters_are_refused_by_proximal_steps_and_by_no_others():
    """A proximal step would shrink them in steps of one; Adam and decay behave as in Optax."""
    x = {"w": jnp.ones(2), "n": jnp.array(3)}
    zeros = jax.tree.map(jnp.zeros_like, x)
    for ours, optaxs in (
        (adamprox.adam_direction(0.1), optax.adam(0.1)),
        (adamprox.decay_weights(0.01), optax.add_decayed_weights(0.0)),
    ):
        found, expected = (
            optax.apply_updates(x, tx.update(zeros, tx.init(x), x)[0])["n"] for tx in (ours, optaxs)
        )
        assert found == expected and found.dtype == expected.dtype
    for shrink in (
        adamprox.proximal(prox.l1, 0.1),
        adamprox.straight_through(prox.l1, 0.1),
        adamprox.dual_averaging(prox.l1, 0.1),
        adamprox.fista(0.1, prox.l1, 0.1),
    ):
        with pytest.raises(TypeError, match="floating-point parameters, got int32 at n"):
            shrink.update(zeros, shrink.init(x), x)
    chain = optax.chain(
        optax.sgd(0.1), adamprox.proximal(prox.l1, 0.1, mask={"w": True, "n": False})
    )
    assert adamprox.check_chain(chain, x) == []
    assert optax.apply_updates(x, chain.update(zeros, chain.init(x), x)[0])["n"] == 3


@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_levels_weights_and_bounds_are_checked_in_arrays_of_jax_too(array):
    x = jnp.array([0.4, -2.0, 0.6])
    for call, message in (
        (
            lambda: prox.quantize(x, 1.0, levels=array([1.0, 0.0, -1.0])),
            "levels must be two or more",
        ),
        (lambda: prox.quantize(x, 1.0, levels=array(4.0)), "levels must be two or more"),
        (lambda: prox.slope(x, 1.0, weights=array([1.0, 2.0, 3.0])), "weights must be >= 0"),
        (lambda: prox.box(x, 1.0, lower=array(2.0), upper=array(-1.0)), "box needs lower <= upper"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    levels = lambda levels: prox.quantize(x, 1.0, levels=levels)  # noqa: E731
    assert jnp.array_equal(jax.jit(levels)(jnp.arange(2.0)), levels((0.0, 1.0)))


@pytest.mark.parametrize("shape", [(1,), (2,)])
def test_numbers_with_a_shape_are_refused(shape):
    x, several = jnp.array([3.0, 4.0]), np.full(shape, 0.5)
    for call in (
        lambda: prox.l2(x, several),
        lambda: jax.jit(prox.l1)(x, several),
        lambda: prox.l1(0.1, x),  # pyright: ignore[reportArgumentType]
        lambda: prox.l2_ball(x, 1.0, radius=several),
    ):
        with pytest.raises(
            ValueError, match=r"(t|radius) must be a number .*, got an array of shape"
        ):
            call()


@pytest.mark.parametrize(
    "make",
    [
        lambda: adamprox.update_histogram(adamprox.decay_weights(1e-3), scale=1e-3),
        lambda: adamprox.adagrad(1.0),
        lambda: adamprox.adagrad_with_restarts(1.0, 2),
        lambda: adamprox.proximal(
            lambda tree, t: adamprox.prox.slope(tree, t, weights=[3.0, 2.0, 1.0]), 0.1
        ),
        lambda: adamprox.proximal(adamprox.prox.total_variation, 0.1),
        lambda: adamprox.proximal(adamprox.prox.l2, 0.1),
        lambda: adamprox.decay_weights(1e-3),
    ],
)
def test_no_array_of_float32_is_promoted_implicitly(make):
    with jax.numpy_dtype_promotion("strict"):
        tx, x = make(), jnp.array([1.0, -2.0, 0.5])
        updates, _ = tx.update(jnp.array([0.1, 0.2, 0.3]), tx.init(x), x)
    assert updates.dtype == x.dtype


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (adamprox.adagrad_with_restarts, {"radius": 1.0, "steps_per_round": 3}),
        (adamprox.update_histogram, {"regularizer": None, "scale": 0.1, "every": 2}),
    ],
)
def test_counts_may_be_injected_and_traced(make, given):
    x, gradients = jnp.array([1.0, -2.0]), jnp.linspace(-1.0, 1.0, 10).reshape(5, 2)

    def after(tx):
        state, point, step = tx.init(x), x, jax.jit(tx.update)
        for gradient in gradients:
            updates, state = step(gradient, state, point)
            point = optax.apply_updates(point, updates)
        return point, optax.tree.get(state, "direction", jnp.zeros(()))

    chex.assert_trees_all_close(
        after(optax.inject_hyperparams(make)(**given)), after(make(**given)), rtol=1e-6
    )
    for zero in (0, jnp.asarray(0)):
        with pytest.raises(ValueError, match="must be a positive integer, got"):
            make(**given | {list(given)[-1]: zero})


@pytest.mark.parametrize("t", [None, "0.1", 1j, np.complex64(1)])
def test_a_weight_of_another_type_is_named(t):
    with pytest.raises(TypeError, match="t must be a number >= 0, got "):
        adamprox.prox.l1(jnp.ones(2), t)


def test_arguments_of_another_type_are_named_at_once():
    for name in ("b1", "b2", "eps", "eps_root"):
        with pytest.raises(TypeError, match=f"{name} must be a number or an array, got <function"):
            adamprox.adamw(0.1, **{name: lambda count: 0.5})
    with pytest.raises(TypeError, match="radius must be a number or an array, got <function"):
        adamprox.adagrad(lambda count: 1.0)
    with pytest.raises(TypeError, match="scale must be a number, an array or a schedule, got 'a'"):
        adamprox.update_histogram(scale="a")
    with pytest.raises(TypeError, match="regularizer must be a transformation or None, got 3"):
        adamprox.update_histogram(3)
