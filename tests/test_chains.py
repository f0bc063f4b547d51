"""`check_chain` reports what changes the result of `proximal`, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import adamprox
from adamprox import check_chain, prox

SPARSE = adamprox.proximal(prox.l1, 0.1)
CHAIN = optax.chain(optax.adam(0.1), SPARSE)
PARAMS = {"w": jnp.array([[0.5, -2.0, 0.0]]), "b": jnp.zeros(2)}
MASK = {"w": True, "b": False}
RIGHT = {
    "sgd": optax.sgd(0.1),
    "adamw": adamprox.adamw(0.1),
    "adamprox": adamprox.adamprox(0.1),
    "adamprox_l2": adamprox.adamprox_l2(0.1, eps=0.0),
    "chain": CHAIN,
    "clipped gradients": optax.chain(optax.clip_by_global_norm(1.0), optax.ema(0.9), CHAIN),
    "nested": optax.chain(optax.chain(optax.identity(), CHAIN), optax.identity()),
    "two": optax.chain(CHAIN, adamprox.proximal(prox.box, 1.0)),
    "two parts": optax.chain(
        optax.sgd(0.1),
        adamprox.proximal(prox.l1, 0.1, mask=MASK),
        optax.masked(adamprox.proximal(prox.l2, 0.1), {"w": False, "b": True}),
    ),
    "MultiSteps": optax.MultiSteps(CHAIN, 4),
    "MultiSteps as a transformation": optax.MultiSteps(CHAIN, 3).gradient_transformation(),
    "apply_if_finite": optax.apply_if_finite(CHAIN, 5),
    "masked": optax.masked(CHAIN, MASK),
    "mask": optax.chain(optax.sgd(0.1), adamprox.proximal(prox.l1, 0.1, mask=MASK)),
    "inject_hyperparams": optax.inject_hyperparams(adamprox.adamprox)(learning_rate=0.1),
    "partition": optax.partition(
        {"p": optax.MultiSteps(CHAIN, 3).gradient_transformation(), "a": optax.adamw(0.1)},
        {"w": "p", "b": "a"},
    ),
    "finite": adamprox.finite(CHAIN),
    "every second step": optax.conditionally_mask(CHAIN, lambda step: step % 2 == 0),
    "histogram": adamprox.update_histogram(CHAIN, scale=0.1),
    "round_inward": adamprox.proximal(prox.box, 1.0, round_inward=True),
    "scaled elsewhere": optax.partition({"p": CHAIN, "a": optax.scale(0.5)}, {"w": "p", "b": "a"}),
}
WRONG = {
    "scale": (optax.scale(0.5), "multiplies its result by 0.5"),
    "learning rate": (optax.scale_by_learning_rate(2.0), "multiplies its result by -2"),
    "schedule": (optax.scale_by_schedule(lambda t: 1 / (t + 1)), "changes"),
    "clip": (optax.clip(1e6), "changes"),
    "clip_by_global_norm": (optax.clip_by_global_norm(1e6), "changes"),
    "clip_by_block_rms": (optax.clip_by_block_rms(1e6), "changes"),
    "zero": (optax.set_to_zero(), "multiplies its result by 0"),
    "ema": (optax.ema(0.9), "changes"),
    "trace": (optax.trace(0.9), "changes"),
    "decay": (adamprox.decay_weights(1e-4), "adds to its result"),
    "noise": (optax.add_noise(1e-4, 0.5, key=0), "adds to its result"),
    "adam": (optax.scale_by_adam(), "changes"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_chains_are_not_reported(name):
    assert check_chain(RIGHT[name], PARAMS) == []


@pytest.mark.parametrize("name", WRONG)
def test_wrong_chains_are_reported(name):
    after, message = WRONG[name]
    for tx in (optax.chain(CHAIN, after), optax.chain(optax.chain(CHAIN, after), optax.identity())):
        (found,) = check_chain(tx, PARAMS)
        assert message in found and "all leaves" in found


RELATIVES = {
    "dual_averaging": optax.chain(optax.adam(0.1), adamprox.dual_averaging(prox.l1, 0.1)),
    "fista": adamprox.fista(0.1, prox.l1),
    "straight_through": optax.chain(optax.adam(0.1), adamprox.straight_through(prox.l1, 0.1)),
}


@pytest.mark.parametrize("name", RELATIVES)
def test_relatives_of_proximal_must_be_last_too(name):
    assert check_chain(RELATIVES[name], PARAMS) == []
    (found,) = check_chain(optax.chain(RELATIVES[name], optax.scale(0.5)), PARAMS)
    assert "multiplies its result by 0.5" in found


def test_wrong_chains_inside_wrappers():
    wrong = optax.chain(CHAIN, optax.clip(0.5))
    wrapped = (
        optax.MultiSteps(wrong, 3),
        optax.apply_if_finite(wrong, 3),
        optax.masked(wrong, MASK),
        optax.inject_hyperparams(
            lambda size: optax.chain(optax.sgd(size), SPARSE, optax.clip(1.0))
        )(0.1),
        optax.contrib.schedule_free(CHAIN, 0.1),
        optax.chain(optax.MultiSteps(CHAIN, 2).gradient_transformation(), optax.clip(0.5)),
    )
    assert all(check_chain(tx, PARAMS) for tx in wrapped)


def test_the_message_names_the_leaves():
    tx = optax.chain(CHAIN, optax.masked(optax.scale(0.5), MASK))
    (found,) = check_chain(tx, PARAMS)
    assert found == "a transformation after proximal multiplies its result by 0.5 (['w'])"


def test_lookahead_cannot_be_followed():
    tx = optax.lookahead(CHAIN, 5, 0.5)
    (found,) = check_chain(tx, optax.LookaheadParams.init_synced(PARAMS))
    assert "the update has no leaf of the same path and shape" in found


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_dtypes(dtype):
    x = jnp.ones(70, dtype)
    base = adamprox.adam_direction(0.1, eps=0.0)
    assert check_chain(optax.chain(base, SPARSE), x) == []
    assert check_chain(optax.chain(base, SPARSE, optax.scale(0.5)), x)


def test_extra_arguments_are_passed():
    tx = optax.chain(CHAIN, optax.contrib.reduce_on_plateau(factor=0.5, patience=9))
    assert check_chain(tx, PARAMS, value=1.0) == []
    with pytest.raises(TypeError):
        check_chain(tx, PARAMS)


def test_compiled_functions_of_the_caller_keep_no_mark():
    compiled = optax.GradientTransformation(CHAIN.init, jax.jit(CHAIN.update))
    tx = optax.chain(compiled, optax.scale(0.5))
    assert check_chain(tx, PARAMS)
    x = jnp.ones(2)
    expected, _ = CHAIN.update(x, CHAIN.init(x), x)
    np.testing.assert_allclose(compiled.update(x, CHAIN.init(x), x)[0], expected, rtol=1e-6)
    assert check_chain(tx, PARAMS)  # compiled before or not


def test_a_chain_without_proximal_is_only_traced():
    calls = []

    def update(updates, state, params=None):
        calls.append(isinstance(jax.tree.leaves(updates)[0], jax.core.Tracer))
        return updates, state

    base = optax.GradientTransformation(lambda p: optax.EmptyState(), update)
    assert check_chain(optax.MultiSteps(base, 200), PARAMS) == []
    assert calls and all(calls)
