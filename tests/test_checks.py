"""Whole numbers are taken in any integral type, and nothing else is."""

import jax.numpy as jnp
import numpy as np
import pytest

import adamprox
from adamprox import models
from adamprox.training.second_moment import restart_once

TAKE_INTEGERS = {
    "steps_per_round": lambda n: adamprox.adagrad_with_restarts(1.0, n),
    "every": lambda n: adamprox.update_histogram(every=n),
    "after": lambda n: restart_once(adamprox.scale_by_adam(), n),
    "resnet": lambda n: models.ResNet(6 * n + 2),
    "densenet": lambda n: models.DenseNet(6 * n + 4, growth_rate=n, num_classes=n),
    "mlp": lambda n: models.MLP(depth=n, width=n),
}


@pytest.mark.parametrize("name", TAKE_INTEGERS)
def test_integers_of_any_type_are_taken(name):
    for kind in (int, np.int64, np.uint8, np.array):
        TAKE_INTEGERS[name](kind(3))


@pytest.mark.parametrize("name", TAKE_INTEGERS)
def test_other_numbers_are_named(name):
    for value in (3.0, np.float32(3), jnp.ones(2)):
        with pytest.raises(ValueError, match="must be"):
            TAKE_INTEGERS[name](value)


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_a_numpy_integer_counts_as_the_integer(kind, x64):
    x = jnp.ones(2)
    for make in (TAKE_INTEGERS["steps_per_round"], TAKE_INTEGERS["every"]):
        ours, plain = make(kind(2)), make(2)
        a, b = ours.init(x), plain.init(x)
        for _ in range(5):
            u, a = ours.update(x, a, x)
            v, b = plain.update(x, b, x)
            assert np.array_equal(u, v)
