"""Weight decay and states of other libraries, and the warning about a weight decay that was not converted."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox import prox

LR, WD = 0.05, 0.3
COSINE = optax.cosine_decay_schedule(LR, 40)


def ours(learning_rate=LR, **options):
    decay = adamprox.from_optax(WD, learning_rate)
    return adamprox.adamw(learning_rate, weight_decay=decay, **options)


def steps(tx, x, state, first, last):
    for t in range(first, last):
        g = jax.tree.map(lambda p, t=t: jnp.sin((3 + t) * p) * jnp.exp(p), x)
        updates, state = tx.update(g, state, x)
        x = optax.apply_updates(x, updates)
    return x, state


def assert_close(actual, expected, rtol=1e-12):
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=rtol), actual, expected)


@pytest.fixture
def start():
    return {"w": jnp.linspace(-1.0, 2.0, 6).reshape(2, 3), "b": jnp.array([0.5])}


@pytest.mark.parametrize("learning_rate", [LR, COSINE])
def test_from_optax_gives_the_same_iterates(x64, start, learning_rate):
    theirs = optax.adamw(learning_rate, weight_decay=WD)
    expected, _ = steps(theirs, start, theirs.init(start), 0, 30)
    tx = ours(learning_rate)
    assert_close(steps(tx, start, tx.init(start), 0, 30)[0], expected)


def test_numbers_and_schedules():
    ramp = lambda t: 0.5 * t  # noqa: E731
    assert adamprox.from_optax(0.25, 0.5) == adamprox.from_torch(lr=0.5, weight_decay=0.25) == 0.125
    assert adamprox.from_optax(ramp, 0.5)(2) == adamprox.from_torch(0.5, lr=ramp)(2) == 0.5
    assert adamprox.from_optax(ramp, ramp)(2) == 1.0
    assert jax.jit(adamprox.from_optax)(0.25, 0.5) == 0.125
    with pytest.raises(ValueError, match="learning_rate"):
        adamprox.from_optax(0.1, -1.0)
    with pytest.raises(ValueError, match="lr"):
        adamprox.from_torch(0.1, lr=-1.0)


@pytest.mark.parametrize("learning_rate", [LR, COSINE])
@pytest.mark.parametrize("options", [{}, {"mask": {"w": True, "b": False}}, {"nesterov": True}])
def test_training_continues_as_with_optax(x64, start, learning_rate, options):
    theirs = optax.adamw(learning_rate, weight_decay=WD, **options)
    middle, state = steps(theirs, start, theirs.init(start), 0, 12)
    expected, _ = steps(theirs, middle, state, 12, 30)
    tx = ours(learning_rate, **options)
    converted = adamprox.from_optax_state(state, tx, middle)
    assert jax.tree.structure(converted) == jax.tree.structure(tx.init(start))
    assert_close(steps(tx, middle, converted, 12, 30)[0], expected)


def test_other_state_is_not_dropped_without_a_word(start):
    """Momentum of another group, and gradients that `optax.MultiSteps` has summed so far."""
    both = {"adam": optax.adamw(LR, weight_decay=WD), "sgd": optax.sgd(LR, momentum=0.9)}
    groups = optax.partition(both, {"w": "adam", "b": "sgd"})
    mine = optax.partition({**both, "adam": ours()}, {"w": "adam", "b": "sgd"})
    _, state = steps(groups, start, groups.init(start), 0, 3)
    with pytest.warns(UserWarning, match=r"left out: state\.inner_states\['sgd'\].*trace\['b'\]$"):
        adamprox.from_optax_state(state, mine, start)

    # A trace can be made of it, and a scalar's momentum is momentum.
    with pytest.warns(UserWarning, match="trace"):
        jax.eval_shape(lambda: adamprox.from_optax_state(state, mine, start))
    scalar = {**start, "b": jnp.float32(0.5)}
    _, state = steps(groups, scalar, groups.init(scalar), 0, 3)
    with pytest.warns(UserWarning, match="trace"):
        adamprox.from_optax_state(state, mine, scalar)
    many = jax.vmap(optax.inject_hyperparams(optax.adamw)(COSINE).init)({"w": jnp.ones((2, 3))})
    adamprox.from_optax_state(many, ours(), {"w": jnp.ones((2, 3))})

    summed = optax.MultiSteps(optax.adamw(LR), 2)
    for count in (3, 4):
        _, state = steps(summed, start, summed.init(start), 0, count)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            adamprox.from_optax_state(state, ours(), start)
        messages = [str(one.message) for one in caught]
        # After four steps of two each the sums are zero again.
        assert len(messages) == count % 2 and all(
            "state.acc_grads['b'] and 1 more" in m for m in messages
        )


def test_counts_and_dtypes_of_a_converted_state(start):
    theirs = optax.adamw(LR)
    _, state = steps(theirs, start, theirs.init(start), 0, 7)
    tx = ours(schedule=optax.constant_schedule(1.0), mu_dtype=jnp.bfloat16)
    converted = adamprox.from_optax_state(state, tx, start)
    like = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)  # noqa: E731
    assert like(converted) == like(tx.init(start))
    assert [int(count) for _, count in optax.tree.get_all_with_path(converted, "count")] == [7] * 3


def test_a_state_converts_to_roots_without_epsilon(x64, start):
    theirs = optax.adamw(LR, eps=0.0, weight_decay=WD)
    middle, state = steps(theirs, start, theirs.init(start), 0, 12)
    tx = ours(eps=0.0)
    converted = adamprox.from_optax_state(state, tx, middle)
    expected, _ = steps(theirs, middle, state, 12, 30)
    assert_close(steps(tx, middle, converted, 12, 30)[0], expected, rtol=1e-10)


@pytest.mark.parametrize("eps", [0.0, 1e-8])
def test_a_converted_state_shares_no_array(start, eps):
    """Neither with itself nor with the state of Optax: `jit` may reuse its memory."""
    theirs = optax.adamw(LR)
    _, state = steps(theirs, start, theirs.init(start), 0, 3)
    tx = ours(eps=eps)
    converted = adamprox.from_optax_state(state, tx, start)
    jax.jit(tx.update, donate_argnums=1)(start, converted, start)
    assert np.isfinite(np.asarray(jax.tree.leaves(state)[0])).all()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda make: optax.inject_hyperparams(make)(LR, weight_decay=LR * WD),
        lambda make: optax.chain(optax.clip(1e9), make(LR, weight_decay=LR * WD)),
        lambda make: adamprox.finite(make(LR, weight_decay=LR * WD)),
    ],
)
def test_a_state_converts_inside_of_wrappers(x64, start, wrap):
    theirs = optax.adamw(LR, weight_decay=WD)
    middle, state = steps(theirs, start, theirs.init(start), 0, 12)
    tx = wrap(adamprox.adamw)
    converted = adamprox.from_optax_state(state, tx, middle)
    expected, _ = steps(theirs, middle, state, 12, 30)
    assert_close(steps(tx, middle, converted, 12, 30)[0], expected)


def test_states_that_cannot_be_converted(start):
    with pytest.raises(ValueError, match="tx must have the moments of Adam"):
        adamprox.from_optax_state(optax.adamw(LR).init(start), optax.sgd(LR), start)
    with pytest.raises(ValueError, match="one optax"):
        adamprox.from_optax_state(optax.sgd(LR).init(start), ours(), start)
    with pytest.raises(ValueError, match="moments for params"):
        adamprox.from_optax_state(optax.adamw(LR).init(jnp.ones(2)), ours(), start)
    with pytest.raises(ValueError, match="moments must have the shapes of params"):
        adamprox.from_optax_state(optax.adamw(LR).init(jnp.ones(2)), ours(), jnp.ones(3))


@pytest.mark.parametrize("make", [adamprox.adamw, adamprox.adamprox])
def test_a_weight_decay_that_was_not_converted_warns_once(make):
    with pytest.warns(UserWarning, match=r"from_optax\(0\.1, 0\.001\)") as caught:
        make(1e-3, weight_decay=0.1)
    assert len(caught) == 1 and caught[0].filename == __file__
    with pytest.warns(UserWarning, match=r"from_optax\(0\.1, learning_rate\)"):
        make(COSINE, weight_decay=0.1)


def test_decay_weights_warns_once():
    with pytest.warns(UserWarning, match="λη = 0.2") as caught:
        adamprox.decay_weights(0.2)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_what_does_not_warn():
    with warnings.catch_warnings(action="error"):
        adamprox.adamw(1e-3, weight_decay=0.0999)
        adamprox.adamw(1e-3, weight_decay=0.1, schedule=0.5)
        adamprox.adamw(1e-3, weight_decay=0.1, schedule=COSINE)
        adamprox.adamw(1e-3, weight_decay=jnp.array(0.1))
        adamprox.adamw(1e-3, weight_decay=lambda t: 0.1)
        adamprox.adam_l2(1e-3, weight_decay=0.1)
        adamprox.adamprox_l1(1e-3, weight_decay=0.1)
        adamprox.adamprox_l2(1e-3, weight_decay=0.1)
        adamprox.proximal(prox.squared_l2, 0.5)
