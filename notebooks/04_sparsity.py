# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sparsity in your own chain
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/adamprox/adamprox/blob/main/notebooks/04_sparsity.ipynb)
#
# You have a Flax network and an Optax chain. One more link, `proximal`, makes weights, neurons or input features *exactly* zero while you train. This
# notebook adds it, compares it with the usual ℓ1 term in the loss, follows the error as sparsity grows, and at the end cuts dead neurons out of the
# network and checks that nothing changed. Half a minute.
#
# On Colab, run `%pip install "adamprox[experiments] @ git+https://github.com/adamprox/adamprox"` first.

# %%
import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import adamprox
from adamprox import prox
from adamprox.data import load

plt.rcParams.update(
    {
        "figure.dpi": 70,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## A network and a training loop
#
# Nothing here is special: 512 handwritten digits to train on, 1,285 to test, two hidden layers, minibatches of 64. `fit` takes any Optax
# optimizer.


# %%
class Network(nn.Module):
    """Two hidden layers on 8×8 images."""

    widths: tuple[int, ...] = (128, 64)

    @nn.compact
    def __call__(self, x):
        for width in self.widths:
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(10)(x)


data, network, STEPS = load("digits"), Network(), 800
flat = lambda images: jnp.asarray(images, jnp.float32).reshape(len(images), -1) / 255 - 0.3
train_images, train_labels = flat(data.train.images), jnp.asarray(data.train.labels)
test_images, test_labels = flat(data.test.images), jnp.asarray(data.test.labels)
start = network.init(jax.random.key(0), train_images[:1])["params"]


def cross_entropy(params, images, labels):
    logits = network.apply({"params": params}, images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def fit(tx, loss=cross_entropy):
    """Parameters after 800 steps with ``tx``."""

    def step(carry, key):
        params, state = carry
        index = jax.random.randint(key, (64,), 0, len(train_labels))
        gradient = jax.grad(loss)(params, train_images[index], train_labels[index])
        updates, state = tx.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    keys = jax.random.split(jax.random.key(1), STEPS)
    return jax.lax.scan(step, (start, tx.init(start)), keys)[0][0]


def test_error(params):
    """In percent."""
    logits = network.apply({"params": params}, test_images)
    return 100 * jnp.mean(jnp.argmax(logits, -1) != test_labels)


def kernels(params):
    """All weights that are not biases, in one vector."""
    return jnp.concatenate([layer["kernel"].ravel() for layer in params.values()])


# %% [markdown]
# ## One more link
#
# Your chain stays as it is; `proximal` comes last. `mask` leaves the biases alone. λ is a length per step: every weight moves by λη_t towards
# zero and stays there when it would pass. Give `proximal` the schedule that multiplies your learning rate, so that the two fall together.
#
# The rival is the textbook way, λ‖x‖₁ added to the loss. Behind Adam its gradient ±λ is divided by the size of the whole gradient, as
# everything in the loss is; and no weight ever stops at zero.

# %%
ALPHA, WEIGHT = 3e-3, 1e-3
cosine = optax.cosine_decay_schedule(1.0, STEPS)
only_kernels = lambda params: jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key == "kernel", params
)


def sparse_adam(operator, weight):
    """A user's chain, with ``proximal`` added."""
    return optax.chain(
        optax.clip_by_global_norm(10.0),
        optax.scale_by_adam(),
        optax.scale_by_learning_rate(lambda t: ALPHA * cosine(t)),
        adamprox.proximal(operator, weight, schedule=cosine, mask=only_kernels),
    )


def with_l1_term(params, images, labels, strength=1e-3):
    return cross_entropy(params, images, labels) + strength * jnp.abs(kernels(params)).sum()


plain = optax.adam(lambda t: ALPHA * cosine(t))
fitted = {
    "Adam": jax.jit(lambda: fit(plain))(),
    "Adam, ℓ1 in the loss": jax.jit(lambda: fit(plain, with_l1_term))(),
    "Adam, then proximal(prox.l1)": jax.jit(lambda: fit(sparse_adam(prox.l1, WEIGHT)))(),
}
figure, axes = plt.subplots(1, 3, figsize=(12, 3), layout="constrained", sharey=True)
for ax, (name, params) in zip(axes, fitted.items(), strict=True):
    x = np.asarray(kernels(params))
    zeros = np.mean(x == 0)
    magnitudes = np.log10(np.maximum(np.abs(x), 1e-9))
    ax.hist(magnitudes, bins=np.linspace(-9, 0.5, 39), color="#3a8f6b")
    ax.set(title=f"{name}\n{zeros:.0%} exact zeros, error {test_error(params):.1f} %", yscale="log")
    ax.set_xlabel("log10 |weight|, −9 for zero")
axes[0].set_ylabel("weights")
assert np.mean(kernels(fitted["Adam, then proximal(prox.l1)"]) == 0) > 0.5
assert np.mean(kernels(fitted["Adam, ℓ1 in the loss"]) == 0) == 0

# %% [markdown]
# With ℓ1 in the loss the small weights rattle around zero with the size of a step, and someone has to choose a threshold. With the proximal step there is nothing to
# choose: zero is zero, in the checkpoint too.
#
# ## Error against sparsity
#
# λ may be a traced number, so one compiled program runs a whole path: `vmap` over λ. Four operators:
#
# * `l1` moves every weight, the large ones too;
# * `mcp` lets weights beyond γ·scale alone, so that a sparse network keeps its large weights;
# * `per_output_channel(l2)` takes all incoming weights of a neuron as one group: neurons die as a whole;
# * `per_output_channel(sparse_group)` does both.

# %%
PATHS = {
    "l1": (prox.l1, np.geomspace(2e-4, 3e-3, 10)),
    "mcp": (functools.partial(prox.mcp, scale=0.1), np.geomspace(1e-3, 5e-2, 10)),
    "per_output_channel(l2)": (prox.per_output_channel(prox.l2), np.geomspace(1.5e-3, 1.5e-2, 10)),
    "per_output_channel(sparse_group)": (
        prox.per_output_channel(prox.sparse_group),
        np.geomspace(4e-4, 5e-3, 10),
    ),
}


def outcome(operator, weight):
    """Error in percent, share of zero weights and of dead hidden neurons."""
    params = fit(sparse_adam(operator, weight))
    hidden = [params["Dense_0"]["kernel"], params["Dense_1"]["kernel"]]
    dead = jnp.concatenate([jnp.all(kernel == 0, axis=0) for kernel in hidden])
    return test_error(params), jnp.mean(kernels(params) == 0), jnp.mean(dead)


paths = {
    name: jax.jit(jax.vmap(functools.partial(outcome, operator)))(jnp.asarray(weights))
    for name, (operator, weights) in PATHS.items()
}
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
for name, (errors, zeros, dead) in paths.items():
    axes[0].plot(100 * zeros, errors, "o-", ms=4, label=name)
    axes[1].plot(100 * dead, errors, "o-", ms=4)
for ax, what in zip(
    axes, ("weights that are zero, %", "hidden neurons that are dead, %"), strict=True
):
    ax.axhline(test_error(fitted["Adam"]), color="#888888", ls="--", lw=1)
    ax.set(xlabel=what, ylim=(0, 30))
axes[0].set_ylabel("test error, % (dashed: Adam)")
_ = axes[0].legend()

# %% [markdown]
# Most weights of this network are not needed: `mcp`, which does not shrink those that are, sets nine in ten to zero at nearly Adam's error. It kills few neurons, though.
# Which operator is best depends on what a zero buys you: single zeros make a checkpoint small, dead neurons make a network fast. (One seed and 1,285 test
# images: differences below a percent mean nothing.)
#
# ## Cutting neurons out
#
# A neuron without incoming weights puts out a constant, relu(bias). Move that constant into the next layer's bias, and the neuron
# can go. The smaller network computes the same function.

# %%
params = jax.jit(lambda: fit(sparse_adam(prox.per_output_channel(prox.l2), 7e-3)))()


def without_dead_neurons(params):
    """An equal network without neurons that have no incoming weights, and its widths."""
    layers = [dict(params[f"Dense_{i}"]) for i in range(3)]
    for layer, after in itertools.pairwise(layers):
        alive = np.any(np.asarray(layer["kernel"]) != 0, axis=0)
        constant = jnp.where(alive, 0, nn.relu(layer["bias"]))
        after["bias"] = after["bias"] + constant @ after["kernel"]
        after["kernel"] = after["kernel"][alive]
        layer.update(kernel=layer["kernel"][:, alive], bias=layer["bias"][alive])
    small = {f"Dense_{i}": layer for i, layer in enumerate(layers)}
    return small, tuple(layer["bias"].size for layer in layers[:-1])


small, widths = without_dead_neurons(params)
logits = network.apply({"params": params}, test_images)
np.testing.assert_allclose(
    Network(widths).apply({"params": small}, test_images), logits, rtol=0, atol=1e-4
)
size = lambda params: sum(leaf.size for leaf in jax.tree.leaves(params))
print(f"widths {network.widths} -> {widths}, parameters {size(params):,} -> {size(small):,}")
print(f"test error {test_error(fitted['Adam']):.1f} % (Adam) -> {test_error(params):.1f} %")

# %% [markdown]
# ## Your own groups
#
# A group is what one call of an operator sees, so a new kind of group is a function. Here a group is all weights that *leave* a pixel: the first
# layer then reads only some pixels. `by_path` picks the layer by its name.


# %%
def per_input(operator):
    """Turn an operator into one that treats every row of a matrix as a group."""
    return lambda tree, t: jax.tree.map(lambda w: prox.per_output_channel(operator)(w.T, t).T, tree)


pixels = prox.by_path(lambda path: path == "Dense_0/kernel", per_input(prox.l2))
figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for ax, weight in zip(axes, (2e-3, 5e-3, 1e-2, 2e-2), strict=True):
    params = jax.jit(lambda w: fit(sparse_adam(pixels, w)))(weight)
    norms = np.linalg.norm(params["Dense_0"]["kernel"], axis=1).reshape(8, 8)
    ax.imshow(np.where(norms == 0, np.nan, norms), cmap="viridis")
    ax.set(xticks=[], yticks=[], facecolor="#eeeeee")
    ax.set_title(f"λ = {weight:g}: {np.sum(norms != 0)} pixels\nerror {test_error(params):.1f} %")

# %% [markdown]
# The pixels at the left and right border, nearly always black in this data set, go first.
#
# **Try:** swap the base for `optax.sgd` with momentum and find the λ that gives as many zeros; then for `optax.lion`, whose steps have one length, and
# find that there is none: [ℓ1 behind SGD, Adam and Lion](https://github.com/adamprox/adamprox/blob/main/docs/choosing_lambda.md). Put `optax.clip` *after* `proximal` and
# count the zeros again: [`proximal` inside Optax's wrappers](https://github.com/adamprox/adamprox/blob/main/docs/composition.md) says why.
