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
# Add `proximal` to an Optax chain, and training sets weights, neurons or input features *exactly* to zero. This
# notebook compares `proximal` with an ℓ1 term in the loss, plots error against sparsity, and removes dead neurons
# from the network without changing its outputs. It takes half a minute.

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
# The network has two hidden layers. It trains on 512 handwritten digits in minibatches of 64 and is tested on 1,285.
# `fit` takes any Optax optimizer.


# %%
class Network(nn.Module):
    """Classifier of 8×8 images with two hidden layers."""

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
    """Return the parameters after 800 steps with ``tx``."""

    def step(carry, key):
        params, state = carry
        index = jax.random.randint(key, (64,), 0, len(train_labels))
        gradient = jax.grad(loss)(params, train_images[index], train_labels[index])
        updates, state = tx.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    keys = jax.random.split(jax.random.key(1), STEPS)
    return jax.lax.scan(step, (start, tx.init(start)), keys)[0][0]


def test_error(params):
    """Return the test error in percent."""
    logits = network.apply({"params": params}, test_images)
    return 100 * jnp.mean(jnp.argmax(logits, -1) != test_labels)


def kernels(params):
    """Return all weights except biases in one vector."""
    return jnp.concatenate([layer["kernel"].ravel() for layer in params.values()])


# %% [markdown]
# ## Add `proximal`
#
# `proximal` comes last in the chain. `mask` excludes the biases. λ is a length per step: every weight moves by λη_t
# towards zero and stops there. Give `proximal` the schedule that multiplies your learning rate, so that both decay
# together.
#
# The baseline is the usual term λ‖x‖₁ in the loss. Adam divides its gradient ±λ by the size of the whole gradient,
# and no weight stops at zero.

# %%
ALPHA, WEIGHT = 3e-3, 1e-3
cosine = optax.cosine_decay_schedule(1.0, STEPS)
only_kernels = lambda params: jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key == "kernel", params
)


def sparse_adam(operator, weight):
    """Return a chain that ends with ``proximal``."""
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
# With ℓ1 in the loss the small weights oscillate around zero with the size of a step, and you must choose a
# threshold for them. With `proximal` they are exactly zero, and no threshold is needed.
#
# ## Error against sparsity
#
# λ may be a traced number, so `vmap` over λ trains all runs of a curve in one compiled program. The plots compare
# four operators:
#
# * `l1` shrinks every weight, including the large ones.
# * `mcp` does not shrink weights beyond γ·scale, so a sparse network keeps its large weights.
# * `per_output_channel(l2)` treats the incoming weights of a neuron as one group and removes whole neurons.
# * `per_output_channel(sparse_group)` zeroes single weights and whole neurons.

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
    """Return the error in percent and the shares of zero weights and of dead hidden neurons."""
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
for ax, what in zip(axes, ("zero weights, %", "dead hidden neurons, %"), strict=True):
    ax.axhline(test_error(fitted["Adam"]), color="#888888", ls="--", lw=1)
    ax.set(xlabel=what, ylim=(0, 30))
axes[0].set_ylabel("test error, % (dashed: Adam)")
_ = axes[0].legend()

# %% [markdown]
# With `mcp` nine in ten weights are zero at an error within one percentage point of Adam's, because `mcp` does not
# shrink large weights. It removes few neurons, though. Choose the operator by what you want to save: single zeros
# make a checkpoint smaller, dead neurons make the network faster. These are results of one seed on 1,285 test
# images, so differences below 1.4 percentage points (two standard errors) may be noise.
#
# ## Remove dead neurons
#
# A neuron without incoming weights outputs a constant, relu(bias). Add its contribution to the next layer's bias,
# and the neuron can be removed. The smaller network computes the same function.

# %%
params = jax.jit(lambda: fit(sparse_adam(prox.per_output_channel(prox.l2), 7e-3)))()


def without_dead_neurons(params):
    """Return the parameters and widths of an equal network without dead neurons."""
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
# An operator treats its argument as one group, so a function can define a new kind of group. Here a group is all
# weights that *leave* a pixel, and the first layer learns to ignore some pixels. `by_path` selects the layer by its
# name.


# %%
def per_input(operator):
    """Return an operator that treats every row of a matrix as a group."""
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
# The pixels at the left and right border are the first to become zero. They are nearly always black in this data
# set.
#
# **Try:**
#
# * Use `optax.sgd` with momentum as the base, and find the λ that gives as many zeros.
# * Use `optax.lion`, whose steps all have one length. No λ works: see [ℓ1 with SGD, Adam and
#   Lion](../docs/choosing_lambda.md).
# * Put `optax.clip` *after* `proximal` and count the zeros again. [`proximal` inside Optax's
#   wrappers](../docs/composition.md) explains the result.
