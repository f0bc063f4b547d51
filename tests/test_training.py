"""Training cells: recipes, compilation, batches, divergence, reproducibility."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox.data import load
from adamprox.training import TrainingCell
from adamprox.training.loop import Program, compile_program, train
from adamprox.training.recipes import RECIPES
from adamprox.training.step import Hyperparameters

SMALL = {"train_size": 70, "depth": 8, "batch_size": 32}
HP = Hyperparameters(1e-3, 1e-3, 1.0)


def results(hp=HP, *, optimizer="adamw", seed=0, init_seed=0, epochs=2, evaluate_every=1):
    program = Program("digits", 70, 8, False, optimizer, 32)
    return list(
        train(
            program,
            hp,
            seed=seed,
            init_seed=init_seed,
            epochs=epochs,
            evaluate_every=evaluate_every,
        )
    )


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_the_optimizers_they_are_named_after(name):
    x = {"a": jnp.linspace(-1, 1, 6), "b": jnp.ones((2, 2))}
    recipe, optimizer = (
        RECIPES[name](0.01, 0.02, 2),
        getattr(adamprox, name)(0.01, weight_decay=0.02),
    )
    a, b = recipe.init(x), optimizer.init(x)
    for k in range(4):
        gradient = jax.tree.map(lambda p, k=k: jnp.cos(p + k), x)
        u, a = recipe.update(gradient, a, x)
        v, b = optimizer.update(gradient, b, x)
        jax.tree.map(np.testing.assert_array_equal, u, v)
        x = optax.apply_updates(x, u)


def test_one_compilation_serves_every_cell():
    results()
    compiled = compile_program(Program("digits", 70, 8, False, "adamw", 32))
    functions = [compiled.network.init, compiled.network.evaluate, compiled.init, compiled.epoch]
    before = [f._cache_size() for f in functions]
    for alpha in (1e-4, 3e-3):
        for multiplier in (1.0, 100.0):
            results(Hyperparameters(alpha, alpha / 2, multiplier), seed=3, init_seed=2)
    after = [f._cache_size() for f in functions]
    assert before == after == [1, 1, 1, 1]


def test_every_example_once_an_epoch_and_the_partial_batch_is_kept():
    """70 examples in batches of 32: the running error is a multiple of 1/70, the steps are 3."""
    first = results(epochs=1)[0]
    assert first.train_error * 70 == pytest.approx(round(first.train_error * 70), abs=1e-4)
    compiled = compile_program(Program("digits", 70, 8, False, "adamw", 32))
    with jax.threefry_partitionable(False):
        hp = Hyperparameters(*(jnp.float32(h) for h in HP))
        state = compiled.init(compiled.network.init(0), hp)
        start = jax.tree.map(np.asarray, state.variables)
        state, sums = compiled.epoch(state, hp, 0, 1, compiled.train)
    assert int(state.step) == 3 and int(sums.seen) == 70
    assert not np.array_equal(
        start["params"]["Dense_0"]["bias"], state.variables["params"]["Dense_0"]["bias"]
    )


def test_evaluation_counts_the_whole_test_set():
    last = results()[-1]
    size = len(load("digits").test.labels)
    assert last.test_error is not None
    assert last.test_error * size == pytest.approx(round(last.test_error * size), abs=1e-3)


def test_evaluation_every_other_epoch_and_at_the_end():
    visited = [r.test_error is not None for r in results(epochs=5, evaluate_every=2)]
    assert visited == [False, True, False, True, True]


def test_seeds_matter_and_repeat():
    a, b, c, d = results(), results(), results(seed=1), results(init_seed=1)
    assert a == b and a != c and a != d and c != d


def test_loss_multiplier_is_not_in_the_reported_loss_and_adamw_ignores_it():
    """A power of two changes no bit at ε = 0; at ε = 1e-8 little."""
    plain, scaled = results(), results(Hyperparameters(1e-3, 1e-3, 64.0))
    assert scaled[0].train_loss == pytest.approx(plain[0].train_loss, rel=1e-3)


def test_divergence_is_a_result():
    history = results(Hyperparameters(1e6, 0.0, 1.0), epochs=4)
    assert history[-1].diverged_step > 0 and len(history) < 4
    assert all(r.diverged_step == 0 for r in history[:-1])
    record = TrainingCell(**SMALL, epochs=4, learning_rate=9e5, weight_decay=0.0).run()
    assert record["final_test_error"] is None and record["diverged_step"] > 0


def test_histograms_count_every_parameter_at_the_first_step_of_an_epoch():
    history = results()
    size = sum(x.size for x in jax.tree.leaves(_parameters()))
    assert [sum(r.update_histogram) for r in history] == [size, size]
    # At the very first step Adam's direction is sign(g): all of it in the top bins, but for the
    # coordinates whose gradient is 0 (dead units) or not far above ε.
    assert history[0].update_histogram[26] + history[0].update_histogram[27] > 0.5 * size


def _parameters():
    compiled = compile_program(Program("digits", 70, 8, False, "adamw", 32))
    return jax.eval_shape(compiled.network.init, 0)["params"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("depth", 21, "depth must be 6n"),
        ("weight_decay", -1e-4, "weight_decay must be >= 0, got -0.0001"),
        ("weight_decay", float("nan"), "weight_decay must be >= 0, got nan"),
        ("learning_rate", 0.0, "learning_rate must be > 0, got 0"),
        ("loss_multiplier", -1.0, "loss_multiplier must be > 0"),
        ("optimizer", "adam", "optimizer must be one of adam_l2, .* got adam"),
        ("dataset", "mnist", "data set must be"),
        ("epochs", 0, "epochs must be >= 1, got 0"),
        ("batch_size", 0, "batch_size must be >= 1"),
        ("train_size", 10**6, "train_size must be in 1 … 512, got 1000000"),
        ("seed", -1, "seed must be in"),
    ],
)
def test_bad_cells_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        TrainingCell(**{field: value})
