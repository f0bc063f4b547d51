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
# # Scale-freeness
#
# An optimizer is **scale-free** if multiplying each gradient coordinate by its own positive constant does not change
# its iterates. The property matters because gradients of different layers can differ by orders of magnitude. It can
# be *tested* on any optimizer by running it twice.
#
# This notebook runs the test by hand and with `scale_freeness`, shows the effect of ε, and prints part of the
# scorecard. It takes about a minute.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from IPython.display import Markdown

import adamprox
from adamprox.problems import quadratic
from adamprox.report.plots import COLORS, LABELS
from adamprox.scale_free.catalogue import entries
from adamprox.scale_free.scorecard import markdown, scorecard

plt.rcParams.update(
    {
        "figure.dpi": 70,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## By hand
#
# The test uses six coordinates, fifty random gradients, and factors from 2⁻²⁰ to 2²⁰. Multiplication by a power of
# two has no rounding error. A scale-free optimizer therefore returns the same bits for the scaled gradients.


# %%
def final(tx, gradients):
    """Return the parameters after all gradients, from a fixed start: float32[d]."""

    def step(carry, gradient):
        x, state = carry
        updates, state = tx.update(gradient, state, x)
        return (optax.apply_updates(x, updates), state), None

    start = jnp.linspace(-1, 1, gradients.shape[1])
    return jax.lax.scan(step, (start, tx.init(start)), gradients)[0][0]


gradients = jax.random.normal(jax.random.key(0), (50, 6))
factors = 2.0 ** jnp.array([-20, -8, -1, 3, 11, 20])
make = {
    "adamw": lambda eps: adamprox.adamw(1e-2, eps=eps, weight_decay=1e-3),
    "adamprox": lambda eps: adamprox.adamprox(1e-2, eps=eps, weight_decay=1e-3),
    "adam_l2": lambda eps: adamprox.adam_l2(1e-2, eps=eps, weight_decay=1e-3),
}
for name, optimizer in make.items():
    for eps in (0.0, 1e-8):
        moved = final(optimizer(eps), gradients * factors) - final(optimizer(eps), gradients)
        print(f"{LABELS[name]:9} ε = {eps:<5g} difference", *(f"{m:8.0e}" for m in abs(moved)))

# %% [markdown]
# At ε = 0 AdamW and AdamProx return the same bits. With ε = 1e-8 the first coordinate differs, because its gradients
# are only about 1e-6. The second coordinate differs in its last bits.
#
# Adam-ℓ2 differs at ε = 0 too. It adds λx to the gradient *before* Adam divides by the size of the gradient. Where
# the gradient is small, λx dominates, and Adam scales λx up to a full step.
#
# ## The scale-freeness test
#
# `adamprox.scale_freeness` runs this test with heavy-tailed gradients, many factors and fifteen gradient scales. It
# returns a verdict with a reason.

# %%
candidates = {
    "optax.sgd(1e-2)": optax.sgd(1e-2),
    "optax.adam(1e-2)": optax.adam(1e-2),
    "optax.adam(1e-2, eps=0.0)": optax.adam(1e-2, eps=0.0),
    "optax.radam(1e-2)": optax.radam(1e-2),
    "adamprox.adam_l2(1e-2, eps=0.0)": adamprox.adam_l2(1e-2, eps=0.0),
    "adamprox.adamprox(1e-2, eps=0.0)": adamprox.adamprox(1e-2, eps=0.0),
    "clip_by_global_norm, then adamw": optax.chain(
        optax.clip_by_global_norm(1.0), adamprox.adamw(1e-2, eps=0.0)
    ),
}
lines = ["| optimizer | scale-free | why |", "|---|---|---|"]
for name, tx in candidates.items():
    result = adamprox.scale_freeness(tx)
    lines.append(f"| `{name}` | **{result.verdict.value}** | {result.reason} |")
Markdown("\n".join(lines))

# %% [markdown]
# Clipping by the global norm is common, and it is not scale-free: it compares all coordinates before Adam divides
# them by their scales.
#
# Any object with `init` and `update` can be tested. Try a chain of your own.
#
# ## The effect of ε
#
# ε is the one constant in Adam's direction that has the unit of a gradient. In the left plot the gradients are about
# 1 and ε varies. In the right plot ε is Adam's 1e-8 and the scale of all gradients varies. The dashed line is the
# tolerance of 0.001. The vertical line is `matters_below`, the scale from which on the deviation is within the
# tolerance. It is far above ε, because the tolerance is small.

# %%
result = adamprox.scale_freeness(optax.adam(1e-2), make=lambda eps: optax.adam(1e-2, eps=eps))
figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")

eps, deviation = np.array(result.epsilon_curve).T
axes[0].loglog(
    np.where(eps == 0, 1e-20, eps), np.maximum(deviation, 1e-9), "o-", color=COLORS["adamw"]
)
axes[0].set_xticks([1e-20, *eps[1:]], ["0", *(f"{e:.0e}" for e in eps[1:])])
axes[0].set(xlabel="ε", ylabel="largest relative deviation", title="gradients of about 1")
axes[0].text(1e-20, 2e-9, "equal bits", color=COLORS["adamw"])

log2_scale, deviation = np.array(result.scale_curve).T
axes[1].loglog(2.0**log2_scale, np.maximum(deviation, 1e-9), "o-", color=COLORS["adamw"])
axes[1].axhline(result.tolerance, color="#888888", ls="--", lw=1)
axes[1].axvline(result.matters_below, color=COLORS["adam_l2"], lw=1)
axes[1].text(result.matters_below * 2, 0.1, f"{result.matters_below:.2g}", color=COLORS["adam_l2"])
_ = axes[1].set(xlabel="gradient scale", title="ε = 1e-8")

# %% [markdown]
# ## Figure 1: why scale-freeness helps
#
# Take f(x) = ½(x₁ − 1)² + ½κ(x₂ − 1)². The second coordinate of the gradient is κ times that of the problem with
# κ = 1. A scale-free optimizer therefore takes the same path for κ = 100,000 as for κ = 1. Gradient descent needs a
# step small enough for the steepest direction, and this step is too small for the other direction.
#
# `explore` plots paths for any condition numbers, optimizers and starting point. It tunes the step size of each
# path on a grid.

# %%
MINIMIZER, STEPS, SIZES = (1.0, 1.0), 200, jnp.asarray(np.geomspace(1e-6, 5.0, 41), jnp.float32)
SCHEDULE = optax.cosine_decay_schedule(1.0, STEPS)
METHODS = {
    "gd": lambda size: optax.sgd(size),
    "adam_l2": lambda size: adamprox.adam_l2(size, eps=0.0, weight_decay=1e-1, schedule=SCHEDULE),
    "adamw": lambda size: adamprox.adamw(size, eps=0.0, weight_decay=1e-4, schedule=SCHEDULE),
    "adamprox": lambda size: adamprox.adamprox(size, eps=0.0, weight_decay=1e-4, schedule=SCHEDULE),
}


def tuned_path(make, kappa, start):
    """Return the path float32[steps + 1, 2] with the smallest mean error, and its step size."""
    problem = quadratic(kappa, MINIMIZER)

    def descend(size):
        tx = make(size)

        def step(carry, _):
            x, state = carry
            updates, state = tx.update(problem.gradient(x), state, x)
            x = optax.apply_updates(x, updates)
            return (x, state), x

        return jnp.concatenate(
            [start[None], jax.lax.scan(step, (start, tx.init(start)), length=STEPS)[1]]
        )

    paths = jax.jit(jax.vmap(descend))(SIZES)
    away = jnp.linalg.norm(paths - jnp.array(MINIMIZER), axis=2).mean(axis=1)
    best = int(jnp.nan_to_num(away, nan=jnp.inf).argmin())
    return np.asarray(paths[best]), float(SIZES[best])


def explore(
    methods=("gd", "adam_l2", "adamw"), condition_numbers=(1.0, 30.0, 1e5), start=(-1.0, 2.0)
):
    """Plot a panel per method and a path per condition number; titles give the largest distance."""
    _, axes = plt.subplots(
        1,
        len(methods),
        figsize=(4 * len(methods), 3.6),
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for ax, method in zip(np.atleast_1d(axes), methods, strict=True):
        paths = []
        for rank, kappa in enumerate(condition_numbers):
            path, size = tuned_path(METHODS[method], kappa, jnp.array(start))
            width = 6 / (1 + rank)
            ax.plot(*path.T, lw=width, alpha=0.6, label=f"κ = {kappa:g}, step {size:.2g}")
            paths.append(path)
        ax.plot(*start, "o", color="#222222", ms=5)
        ax.plot(*MINIMIZER, "*", color=COLORS["adam_l2"], ms=13)
        apart = max(np.linalg.norm(p - paths[0], axis=1).max() for p in paths)
        ax.set(title=f"{LABELS[method]}: largest distance {apart:.1g}", xlabel="x₁ (curvature 1)")
        ax.legend(fontsize=8)
    np.atleast_1d(axes)[0].set_ylabel("x₂ (curvature κ)")


explore()

# %% [markdown]
# AdamW's paths coincide. Adam-ℓ2's do not, although its ε is 0, because λx is added to the gradient. At κ = 1 the
# term λx changes the path. At κ = 100,000 it is negligible next to the gradient.
#
# **Try** `explore(("adamw", "adamprox"), (1.0, 1e9))`, another `start`, or an optimizer of your own in `METHODS`.
# Then set `eps=1e-8` in `"adamw"` and find a κ at which ε matters.

# %%
path_a, _ = tuned_path(METHODS["adamw"], 1.0, jnp.array([-1.0, 2.0]))
path_b, _ = tuned_path(METHODS["adamw"], 1e5, jnp.array([-1.0, 2.0]))
assert np.abs(path_a - path_b).max() < 1e-4  # equal to rounding

# %% [markdown]
# ## The scorecard
#
# `python -m adamprox.scale_free` tests every optimizer of the installed Optax and writes
# [the whole table](../docs/scale_free_scorecard.md). The next cell
# computes some of its rows.

# %%
names = [
    "sign_sgd",
    "lion",
    "rmsprop",
    "nadamw",
    "lamb",
    "adafactor",
    "contrib.muon",
    "contrib.prodigy",
]
rows = scorecard([entry for entry in entries() if entry.name in names])
Markdown(markdown(rows).split("\n\n")[-1])

# %% [markdown]
# * Sign methods are exactly scale-free.
# * Relatives of Adam are scale-free up to ε if the regularizer does not pass through the moments. LAMB computes its
#   norms *after* Adam, so only its ε of 1e-6 stands in the way.
# * Adafactor, Muon and Prodigy combine coordinates before dividing by a scale. They tolerate only *one* constant for
#   all coordinates.
#
# [Notebook 01](01_the_proximal_view.ipynb) derives the proximal step. [Notebook 04](04_sparsity.ipynb) uses it to
# train sparse networks.
