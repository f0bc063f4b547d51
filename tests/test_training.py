"""Training: recipes, compilation, batches, evaluation, divergence, reproducibility."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox.models import ResNet
from adamprox.sweep import run_key
from adamprox.training import TrainingRun
from adamprox.training.compiled_network import classic_random, compile_network
from adamprox.training.loop import train
from adamprox.training.program import compile_program
from adamprox.training.recipes import RECIPES
from adamprox.training.rotation import angular_updates, balance_rotation, percentiles
from adamprox.training.second_moment import restart_once
from adamprox.training.specs import ImageSpec, MLPSpec, Program, ResNetSpec, Schedule
from adamprox.training.step import Hyperparameters

SMALL = {"train_size": 70, "network": "mlp", "depth": 3, "batch_size": 32}
HP = Hyperparameters(1e-3, 1e-3, 1.0)
# What these tests ask does not depend on the network; this one compiles fast.
IMAGES = ImageSpec("digits", train_size=70, batch_size=32)
PROGRAM = Program(IMAGES, MLPSpec(depth=3))


def results(hp=HP, *, program=PROGRAM, seed=0, init_seed=0, epochs=2, **options):
    return train(program, hp, Schedule(epochs, **options), seed=seed, init_seed=init_seed).history


def test_networks_on_the_same_images_share_them_on_the_device():
    pools = [
        compile_network(run.program.images, run.program.network).pool
        for run in (TrainingRun.of(network="mlp", depth=depth) for depth in (2, 3))
    ]
    assert pools[0] is pools[1]


OURS = [name for name in RECIPES if name.startswith("adam") and hasattr(adamprox, name)]


@pytest.mark.parametrize("name", OURS)
def test_recipes_are_the_optimizers_they_are_named_after(name):
    check_same_path(RECIPES[name](0.01, 0.02), getattr(adamprox, name)(0.01, weight_decay=0.02))


def test_sgd_is_optax_sgd_on_the_regularized_loss():
    expected = optax.chain(optax.add_decayed_weights(0.02), optax.sgd(0.01, momentum=0.9))
    check_same_path(RECIPES["sgd"](0.01, 0.02), expected)


@pytest.mark.parametrize("name", ["adamw", "adam_l2"])
def test_controls_are_what_they_are_named_after(name):
    make = getattr(adamprox, name)
    short = make(0.01, b2=0.99, weight_decay=0.02)
    check_same_path(RECIPES[f"{name}_short_memory"](0.01, 0.02), short)
    for beta in (0.9, 0.95):
        equal = make(0.01, b1=beta, b2=beta, weight_decay=0.02)
        check_same_path(RECIPES[f"{name}_equal_betas_{beta}"](0.01, 0.02), equal)
    clipped = optax.chain(optax.clip_by_global_norm(1.0), make(0.01, weight_decay=0.02))
    check_same_path(RECIPES[f"{name}_clipped"](0.01, 0.02), clipped)


def test_a_restart_removes_all_that_came_before_it_and_nothing_later():
    tx, plain, x = restart_once(optax.trace(0.9), 3), optax.trace(0.9), jnp.ones(2)
    state, before, after = tx.init(x), plain.init(x), plain.init(x)
    for k in range(6):
        updates, state = tx.update(x * (k + 1), state, x)
        expected, before = plain.update(x * (k + 1), before, x)
        if k >= 3:
            expected, after = plain.update(x * (k + 1), after, x)
        np.testing.assert_array_equal(updates, expected)
    with pytest.raises(ValueError, match="after must be a positive integer, got 0"):
        restart_once(plain, 0)


def check_same_path(recipe, optimizer):
    x = {"a": jnp.linspace(-1, 1, 6), "b": jnp.ones((2, 2))}
    recipe = optax.chain(*recipe)
    a, b = recipe.init(x), optimizer.init(x)
    for k in range(4):
        gradient = jax.tree.map(lambda p, k=k: jnp.cos(p + k), x)
        u, a = recipe.update(gradient, a, x)
        v, b = optimizer.update(gradient, b, x)
        jax.tree.map(np.testing.assert_array_equal, u, v)
        x = optax.apply_updates(x, u)


def test_one_compilation_serves_thirty_cells():
    results(epochs=1, evaluate_train=True)
    compiled = compile_program(PROGRAM)
    functions = [compiled.evaluate, compiled.start, compiled.epoch]
    for alpha in np.geomspace(1e-5, 1e-2, 5):
        for weight_decay in (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1):
            results(Hyperparameters(alpha, weight_decay, 1.0 + alpha), seed=3, epochs=1)
    assert [f._cache_size() for f in functions] == [1, 1, 1]


def test_a_key_has_one_result_whatever_types_are_the_default():
    cell = TrainingRun.of(**SMALL)
    with jax.enable_x64(True):
        wide = cell.run()
    assert wide["parameters_digest"] == cell.run()["parameters_digest"]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"weight_decay": 0}, {"weight_decay": 0.0}),
        ({"weight_decay": -0.0}, {"weight_decay": 0.0}),
        ({"learning_rate": np.float64(2e-3)}, {"learning_rate": 2e-3}),
        ({"seed": np.int64(3)}, {"seed": 3}),
        ({"train_size": np.int32(8)}, {"train_size": 8}),
    ],
)
def test_equal_cells_have_one_key_whatever_type_a_number_came_in(given, plain):
    one, other = (TrainingRun.of(**{**SMALL, **options}) for options in (given, plain))
    assert one == other and run_key(one) == run_key(other)


def test_a_batch_larger_than_the_training_set_is_the_training_set():
    large, whole = (
        TrainingRun.of(**{**SMALL, "batch_size": size}, epochs=3).run() for size in (128, 70)
    )
    assert large["train_loss"] == pytest.approx(whole["train_loss"], rel=1e-5)


def test_every_example_once_an_epoch_and_the_partial_batch_is_kept():
    """70 examples in batches of 32: the running error is a multiple of 1/70, the steps are 3."""
    first = results(epochs=1)[0]
    assert first.train_error * 70 == pytest.approx(round(first.train_error * 70), abs=1e-4)
    compiled = compile_program(PROGRAM)
    hp = Hyperparameters(*(jnp.float32([h]) for h in HP))
    state = compiled.start(classic_random(compiled.network.init, 0), hp)
    start = jax.tree.map(np.asarray, state.variables)
    seeds = jnp.zeros(1, jnp.int32)
    state, sums, _ = classic_random(compiled.epoch, state, hp, seeds, 1, compiled.network.pool)
    assert int(state.step) == 3 and sums.seen.tolist() == [70]
    assert not np.array_equal(
        start["params"]["Dense_0"]["bias"], state.variables["params"]["Dense_0"]["bias"]
    )


def test_evaluation_is_the_mean_over_the_set_it_names():
    """All three sets, whose sizes no batch divides, against the whole set at once."""
    images = dataclasses.replace(IMAGES, validation_size=101, validation_seed=2)
    program = PROGRAM._replace(images=images)
    trained = train(program, HP, Schedule(1, evaluate_train=True), seed=0, init_seed=0)
    data, last = images.load(), trained.history[-1]
    apply = jax.jit(
        compile_program(program).network.model.apply
    )  # one by one it takes half a minute
    assert data.validation is not None
    for name, x, y in (
        ("train_set", data.train.images, data.train.labels),
        ("validation", data.validation.images, data.validation.labels),
        ("test", data.test.images, data.test.labels),
    ):
        logits = apply(trained.variables, (x / 255.0 - data.mean) / data.std)
        assert getattr(last, f"{name}_error") == pytest.approx(np.mean(logits.argmax(-1) != y))
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(y)).mean()
        assert getattr(last, f"{name}_loss") == pytest.approx(float(loss), rel=1e-4)


def test_sets_are_visited_every_other_epoch_and_at_the_end_and_only_if_asked_for():
    history = results(epochs=5, evaluate_every=2)
    assert [r.test_error is not None for r in history] == [False, True, False, True, True]
    assert {r.train_set_error for r in history} == {r.validation_loss for r in history} == {None}


def test_seeds_matter_and_repeat():
    a, b, c, d = results(), results(), results(seed=1), results(init_seed=1)
    assert a == b and a != c and a != d and c != d


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_scale_multiplies_every_initial_parameter_and_nothing_else(batch_norm):
    whole, scaled = (
        compile_network(IMAGES, ResNetSpec(depth=8, batch_norm=batch_norm, init_scale=scale)).init(
            0
        )
        for scale in (1.0, 0.3)
    )
    chex.assert_trees_all_equal(
        scaled, {**whole, "params": jax.tree.map(lambda x: np.float32(0.3) * x, whole["params"])}
    )
    shape = jnp.zeros((1, 8, 8, 1))
    init = jax.jit(ResNet(8, batch_norm=batch_norm).init)
    drawn = classic_random(init, jax.random.key(0), shape)
    chex.assert_trees_all_close(whole, drawn)


def test_augmentation_is_of_the_seed_and_changes_the_images():
    augmented = PROGRAM._replace(images=dataclasses.replace(IMAGES, augment=True))
    a, b = (results(program=augmented) for _ in range(2))
    assert a == b and a != results() and a != results(program=augmented, seed=1)


def test_the_loss_multiplier_is_not_in_the_reported_loss():
    plain, scaled = results(), results(Hyperparameters(1e-3, 1e-3, 64.0))
    assert scaled[0].train_loss == pytest.approx(plain[0].train_loss, rel=1e-3)


def test_divergence_ends_the_cell_at_its_step():
    trained = train(PROGRAM, Hyperparameters(1e12, 0.0, 1.0), Schedule(4), seed=0, init_seed=0)
    history = trained.history
    assert history[-1].diverged_step > 0 and len(history) < 4
    assert all(r.diverged_step == 0 for r in history[:-1])
    record = TrainingRun.of(**SMALL, epochs=4, learning_rate=9e5, weight_decay=9e5).run()
    assert record["final_test_error"] is None and record["diverged_step"] > 0


def test_histograms_count_every_parameter_at_the_first_step_of_an_epoch():
    history = results()
    network = compile_program(PROGRAM).network
    size = sum(x.size for x in jax.tree.leaves(classic_random(network.init, 0)))
    assert [sum(r.update_histogram) for r in history] == [size, size]
    # At the very first step Adam's direction is sign(g): all of it in the top bins, but for the
    # coordinates whose gradient is 0 (dead units) or not far above ε.
    assert history[0].update_histogram[26] + history[0].update_histogram[27] > 0.5 * size


@pytest.mark.parametrize("vectors", [False, True], ids=["pytree", "vector"])
def test_angular_updates_are_the_angles_between_weights_before_and_after_a_step(vectors):
    """One step of AdamW, in float64; the decay shortens weights and turns none of them."""
    images = dataclasses.replace(IMAGES, train_size=32, batch_size=32)
    compiled = compile_program(PROGRAM._replace(images=images), vectors=vectors)
    hp = Hyperparameters(*(jnp.float32([h]) for h in (1e-2, 0.5, 1.0)))
    state = compiled.start(classic_random(compiled.network.init, 0), hp)
    before = jax.tree.map(np.asarray, state.variables["params"])
    state, _, first = classic_random(
        compiled.epoch, state, hp, jnp.zeros(1, jnp.int32), 1, compiled.network.pool
    )
    angles = []
    for w, after in zip(*map(jax.tree.leaves, (before, state.variables["params"])), strict=True):
        if w[0].ndim > 1:
            w = w.reshape(-1, w.shape[-1]).astype(np.float64)
            after = np.asarray(after, np.float64).reshape(w.shape)
            step = after - 0.5 * w
            with np.errstate(invalid="ignore"):
                cosine = (w * (w + step)).sum(0) / np.sqrt((w**2).sum(0) * ((w + step) ** 2).sum(0))
            angles.append(np.arccos(np.clip(cosine, -1, 1)))
    np.testing.assert_allclose(first.angles[0], np.concatenate(angles), rtol=1e-3, atol=1e-5)
    assert 0 < np.median(first.angles) < 1


@pytest.mark.parametrize("typical", ["mean", "median"])
def test_balanced_steps_turn_all_neurons_equally_and_change_nothing_else(typical, x64):
    """Against the sums of each neuron; one neuron has no weights, and another does not turn."""
    random = np.random.default_rng(0)
    params = {"conv": random.normal(size=(3, 3, 2, 4)), "dense": random.normal(size=(5, 3))}
    steps = {name: random.normal(size=w.shape) for name, w in params.items()}
    params["conv"][..., 0], steps["dense"][:, 1] = 0, 2 * params["dense"][:, 1]
    params, steps = ({**tree, "bias": jnp.ones(4)} for tree in (params, steps))
    tx = balance_rotation(getattr(jnp, f"nan{typical}"))
    found, _ = tx.update(steps, tx.init(params), params)
    before, after = [], []
    for name in ("conv", "dense"):
        for n in range(params[name].shape[-1]):
            w, s, new = (np.asarray(tree[name])[..., n].ravel() for tree in (params, steps, found))
            if not w.any() or (name == "dense" and n == 1):
                np.testing.assert_allclose(new, s, rtol=1e-6)
                continue
            assert new @ w == pytest.approx(s @ w)
            for rates, step in ((before, s), (after, new)):
                across = step - (step @ w) / (w @ w) * w
                rates.append(np.linalg.norm(across) / np.linalg.norm(w))
    np.testing.assert_allclose(after, getattr(np, typical)(before), rtol=1e-6)
    np.testing.assert_array_equal(found["bias"], steps["bias"])


def test_percentiles_of_angles_leave_out_what_is_no_number():
    """Neurons without weights have no angle; a diverged run has none at all."""
    assert percentiles(np.array([np.nan, 1.0, 2.0, 3.0])) == pytest.approx([1.2, 2.0, 2.8])
    assert percentiles(np.array([np.nan])) == [None, None, None]
    zero = {"kernel": jnp.zeros((3, 2)), "bias": jnp.ones(2)}
    assert np.isnan(angular_updates(zero, zero)).tolist() == [True, True]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("depth", 21, "depth must be 6n"),
        ("weight_decay", -1e-4, "weight_decay must be >= 0 and < 1e6, got -0.0001"),
        ("weight_decay", float("nan"), "weight_decay must be >= 0 and < 1e6, got nan"),
        ("learning_rate", 0.0, "learning_rate must be > 0 and < 1e6, got 0"),
        ("loss_multiplier", -1.0, "loss_multiplier must be > 0"),
        ("learning_rate", 1e-60, "learning_rate must be >= 1e-37"),
        ("train_size", [1], "train_size must be a whole number"),
        ("optimizer", "adam", "optimizer must be one of .*adam_l2, .* got adam"),
        ("network", "vgg", "network must be one of resnet, densenet, mlp, got vgg"),
        ("compute_dtype", "float16", "compute_dtype must be one of float32, bfloat16, got float16"),
        ("dataset", "mnist", "dataset must be one of digits, cifar10, cifar100, got mnist"),
        ("epochs", 0, "epochs must be >= 1, got 0"),
        ("batch_size", 0, "batch_size must be >= 1"),
        ("train_size", 10**6, "train_size must be in 1 … 512, got 1000000"),
        ("seed", -1, "seed must be in"),
    ],
)
def test_bad_cells_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        TrainingRun.of(**{field: value}).check()


def test_a_training_set_too_small_for_what_validation_leaves_says_so():
    message = r"train_size must be in 1 … 63 \(what a validation_size of 449 leaves\), got 256"
    with pytest.raises(ValueError, match=message):
        TrainingRun.of(train_size=256, validation_size=449).check()
