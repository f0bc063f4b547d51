"""Fully connected networks, exact zeros, and BatchNorm whose statistics are those of parts of a batch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adamprox.models import MLP, ResNet
from adamprox.models.layers import norm
from adamprox.sweep import run_key
from adamprox.training import TrainingRun
from adamprox.training.recipes import RECIPES
from adamprox.training.sparsity import zero_shares


class Norm(nn.Module):
    """BatchNorm alone."""

    groups: int

    @nn.compact
    def __call__(self, x, train):
        return norm(x, True, train, jnp.float32, self.groups)


def images(n=12, seed=0):
    return jax.random.normal(jax.random.key(seed), (n, 3, 3, 4)) * 3 + 1


@pytest.mark.parametrize(("n", "groups", "parts"), [(12, 4, 4), (12, 8, 4), (7, 4, 1)])
def test_groups_are_normalized_as_batches_of_their_own(n, groups, parts):
    x = images(n)
    variables = Norm(groups).init(jax.random.key(0), x, train=False)
    y, updated = Norm(groups).apply(variables, x, train=True, mutable=["batch_stats"])
    alone = {"params": {"BatchNorm_0": variables["params"]["GroupedBatchNorm_0"]},
             "batch_stats": {"BatchNorm_0": variables["batch_stats"]["GroupedBatchNorm_0"]}}  # fmt: skip
    each = [Norm(1).apply(alone, part, train=True, mutable=["batch_stats"])
            for part in jnp.split(x, parts)]  # fmt: skip
    np.testing.assert_allclose(y, jnp.concatenate([part for part, _ in each]), atol=1e-5)
    means = jax.tree.map(lambda *leaves: jnp.mean(jnp.stack(leaves), 0), *[u for _, u in each])
    theirs, ours = (s["batch_stats"] for s in (means, updated))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        theirs["BatchNorm_0"], ours["GroupedBatchNorm_0"],
    )  # fmt: skip


def test_evaluation_uses_the_running_statistics_of_all():
    x = images()
    variables = Norm(4).init(jax.random.key(0), x, train=False)
    np.testing.assert_allclose(Norm(4).apply(variables, x, train=False), x, rtol=1e-4, atol=1e-4)


def test_a_network_has_the_same_parameters_with_any_number_of_groups():
    shape = jnp.zeros((1, 8, 8, 1))
    count = {
        groups: sum(
            leaf.size
            for leaf in jax.tree.leaves(
                jax.eval_shape(
                    lambda g=groups: ResNet(8, statistics_groups=g).init(jax.random.key(0), shape)
                )
            )
        )
        for groups in (1, 4)
    }
    assert count[1] == count[4]


def test_mlp_counts_its_layers():
    variables = MLP(3, 16, batch_norm=True).init(jax.random.key(0), jnp.zeros((2, 8, 8, 1)))
    params = variables["params"]
    assert [params[f"Dense_{k}"]["kernel"].shape for k in range(3)] == [
        (64, 16), (16, 16), (16, 10),
    ]  # fmt: skip
    assert set(params) == {"Dense_0", "Dense_1", "Dense_2", "BatchNorm_0", "BatchNorm_1"}
    assert all(np.all(np.asarray(params[f"Dense_{k}"]["bias"]) != 0) for k in range(3))


@pytest.mark.parametrize("argument", [{"depth": 0}, {"width": 2.5}, {"width": True}])
def test_mlp_refuses_what_cannot_be(argument):
    with pytest.raises(ValueError, match=f"{next(iter(argument))} must be a positive integer"):
        MLP(**argument)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"statistics_groups": 3, "batch_norm": True}, "statistics_groups must be a divisor of"),
        ({"statistics_groups": 4}, "statistics_groups must be 1 without BatchNorm, got 4"),
        (
            {"network": "mlp", "skip_init": True},
            "skip_init must be left out for network mlp, got True",
        ),
    ],
)
def test_cells_refuse_what_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingRun.of(batch_size=64, **options)


def test_keys_of_old_records_are_what_they_were():
    assert run_key(TrainingRun()) == "ca768daf6139e9416eca"
    assert run_key(TrainingRun.of(batch_norm=True, learning_rate=3e-4)) == "d092248495d515505a85"


def test_l1_and_groups_make_exact_zeros_and_adamw_none():
    """Whole channels only where channels are groups; a network of two small layers."""
    options = {"network": "mlp", "depth": 2, "width": 16, "train_size": 64, "batch_size": 32}
    records = {
        name: TrainingRun.of(**options, optimizer=name, weight_decay=3e-3, epochs=40,
                           evaluate_every=40).run()
        for name in ("adamprox_l1", "adamprox_group", "adamw")
    }  # fmt: skip
    assert records["adamw"]["zero_share"] == 0
    assert 0.3 < records["adamprox_l1"]["zero_share"] < 1
    assert records["adamprox_group"]["zero_channel_share"] > 0.3


def test_zero_shares_counts_entries_and_channels():
    params = {"a": np.eye(2), "b": {"kernel": np.zeros((3, 3, 1, 2)), "bias": np.ones(4)}}
    assert zero_shares(params) == {"zero_share": 20 / 26, "zero_channel_share": 0.5}
    assert zero_shares({"bias": np.array([np.nan, 0.0])}) == {
        "zero_share": 0.5,
        "zero_channel_share": 0.0,
    }


def test_a_channel_shrinks_by_its_weight_times_the_root_of_its_size():
    x = {"kernel": jnp.ones((4, 2)), "bias": jnp.ones(2)}
    tx = optax.chain(*RECIPES["adamprox_group"](0.1, 0.25))
    gradient = jax.tree.map(jnp.zeros_like, x)
    updates, _ = tx.update(gradient, tx.init(x), x)
    np.testing.assert_allclose(updates["kernel"], -0.25, rtol=1e-6)  # norm 2, shrunk by 0.25 · √4
    np.testing.assert_allclose(updates["bias"], -0.25, rtol=1e-6)
