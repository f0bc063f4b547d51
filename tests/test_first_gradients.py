"""Sizes of the first gradients, and the time until the second moment has decayed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamprox.data import load
from adamprox.models import ResNet
from adamprox.training import TrainingRun
from adamprox.training.compiled_network import compile_network
from tools.first_gradients import magnitudes, main, steps_until_decayed


def test_the_magnitudes_are_those_of_the_gradient_of_the_cross_entropy():
    """Against a plain gradient on the first 16 digits; α = 1e-30 changes no weight."""
    run = TrainingRun.of(
        depth=8, train_size=32, batch_size=16, epochs=2, learning_rate=1e-30, weight_decay=0.0
    )
    (_, before), (_, after) = magnitudes(run, (0, 1))
    np.testing.assert_allclose(after, before, rtol=1e-5)

    data = load("digits")
    images = (data.train.images[:16] / np.float32(255) - data.mean) / data.std
    model = ResNet(8, num_classes=10, batch_norm=False)
    params = compile_network(run.program.images, run.program.network).init(0)["params"]

    def loss(params):
        logits = jax.nn.log_softmax(jnp.asarray(model.apply({"params": params}, images)))
        return -jnp.mean(jnp.take_along_axis(logits, data.train.labels[:16, None], 1))

    kernels = [g for g in jax.tree.leaves(jax.jit(jax.grad(loss))(params)) if g.ndim == 4]
    assert before == pytest.approx([float(jnp.sqrt(jnp.mean(g**2))) for g in kernels], rel=1e-4)


def test_a_gradient_counts_until_its_share_of_the_second_moment_has_decayed():
    """Against the recursion of v itself: one gradient of 10, then none."""
    b2, v = 0.99, (1 - 0.99) * 10.0**2
    for _ in range(round(steps_until_decayed(10.0, 0.1, b2))):
        v *= b2
    assert np.sqrt(v) == pytest.approx(0.1, rel=1e-2)
    assert steps_until_decayed(0.1, 10.0, b2) == 0


def test_a_misspelled_option_ends_with_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--dept", "20"])
    assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1
