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
# # The proximal view
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/adamprox/adamprox/blob/main/notebooks/01_the_proximal_view.ipynb)
#
# A regularizer can be *followed* (take a step along its gradient) or *minimized* (solve for it). Weight decay follows; a
# proximal step minimizes. This notebook draws the difference, derives AdamProx, and measures in which sense AdamW is its
# first-order expansion. It takes a few seconds.
#
# On Colab, run `%pip install "adamprox[experiments] @ git+https://github.com/adamprox/adamprox"` first.

# %%
import functools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import adamprox
from adamprox import prox

jax.config.update(
    "jax_enable_x64", True
)  # errors of second order are small: show them, not rounding
plt.rcParams.update(
    {
        "figure.dpi": 70,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)
FOLLOWED, MINIMIZED, EXACT = "#c2543c", "#3a8f6b", "#888888"

# %% [markdown]
# ## Following overshoots, minimizing does not
#
# Take R(x) = ½x² alone, without a loss. A gradient step of size t gives (1 − t)x. The *proximal* step
#
# $$\operatorname{prox}_{tR}(x) = \arg\min_z\ \tfrac12 (z - x)^2 + t R(z)$$
#
# gives x/(1 + t): the gradient step with the gradient taken where the step *ends*. Continuous gradient flow would give
# e⁻ᵗx. All three agree to first order in t. For larger t the gradient step passes zero at t = 1, and from t = 2 on it moves
# away from the minimum. The proximal step is never negative.
#
# For R(x) = |x| the gradient step cannot stop at all: it has length t wherever it is, and jumps across zero for ever.

# %%
figure, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")

t = np.linspace(0, 3, 200)
axes[0].plot(t, 1 - t, color=FOLLOWED, label="followed: 1 − t")
axes[0].plot(t, 1 / (1 + t), color=MINIMIZED, label="minimized: 1/(1 + t)")
axes[0].plot(t, np.exp(-t), "--", color=EXACT, label="flow: exp(−t)")
axes[0].axhline(0, color="#cccccc", lw=1)
axes[0].set(title="R = ½x²: what is left of x", xlabel="t", ylim=(-2.1, 1.1))
_ = axes[0].legend()


def path(step, start, steps):
    """The iterates of a map, start included."""
    xs = [start]
    for _ in range(steps):
        xs.append(float(step(xs[-1])))
    return xs


for size, style in ((1.8, "-"), (2.2, ":")):
    axes[1].plot(path(lambda x, t=size: x - t * x, 1.0, 8), style, marker="o", ms=3, color=FOLLOWED)
    axes[1].plot(
        path(lambda x, t=size: prox.squared_l2(x, t), 1.0, 8),
        style,
        marker="o",
        ms=3,
        color=MINIMIZED,
    )
axes[1].axhline(0, color="#cccccc", lw=1)
axes[1].set(title="R = ½x², t = 1.8 (solid), 2.2 (dotted)", xlabel="step", ylabel="x")

axes[2].plot(
    path(lambda x: x - 0.3 * np.sign(x), 1.0, 12), "o-", ms=3, color=FOLLOWED, label="followed"
)
axes[2].plot(
    path(lambda x: prox.l1(x, 0.3), 1.0, 12), "o-", ms=3, color=MINIMIZED, label="minimized"
)
axes[2].axhline(0, color="#cccccc", lw=1)
axes[2].set(title="R = |x|, t = 0.3", xlabel="step", ylabel="x")
axes[2].legend()

assert path(lambda x: prox.l1(x, 0.3), 1.0, 12)[-1] == 0.0  # not 1e-17: zero

# %% [markdown]
# ## From the problem to the step
#
# The problem is F(x) = f(x) + λR(x), where f is the loss and R the regularizer. An optimizer looks at f and proposes a
# direction p_t (minus the gradient for SGD, −αu_t for Adam, u_t being its ratio of moments). Replace f by that
# proposal and keep R as it is:
#
# $$x_t = \arg\min_z\ \tfrac12 \lVert z - (x_{t-1} + \eta_t p_t)\rVert^2 + \eta_t\lambda R(z)
#       = \operatorname{prox}_{\eta_t\lambda R}(x_{t-1} + \eta_t p_t).$$
#
# Nothing is asked of p_t, and R need not be differentiable. η_t is a schedule that multiplies the whole proposal, λ and α
# alike. Below is the function that is minimized, for R = |x| and a proposal of 1: as t = ηλ grows its minimum moves from 1
# to 0, and then it stays there.

# %%
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
z = np.linspace(-1, 1.8, 400)
for size, shade in ((0.0, 0.3), (0.4, 0.5), (0.8, 0.75), (1.3, 1.0)):
    ax.plot(
        z,
        0.5 * (z - 1) ** 2 + size * np.abs(z),
        color=MINIMIZED,
        alpha=shade,
        label=f"t = {size:g}",
    )
    best = float(prox.l1(1.0, size))
    ax.plot([best], [0.5 * (best - 1) ** 2 + size * abs(best)], "o", color="#222222", ms=5)
ax.set(xlabel="z", ylabel="½(z − 1)² + t|z|", ylim=(-0.1, 2))
_ = ax.legend()
# %% [markdown]
# ## Shrinkage maps
#
# `adamprox.prox` holds the operators. Each is a pure function `(tree, t) -> tree`. One picture says what an operator does:
# where each value of a parameter goes. The grey line is "nothing happens". The operators with a flat piece at zero make
# exact zeros; those that return to the grey line leave large weights alone.
#
# The dots are a check: a brute-force search for the minimizer of ½(z − x)² + tR(z) on a fine grid.

# %%
T = 1.0
HUBER = lambda z: np.where(np.abs(z) <= 1, z**2 / 2, np.abs(z) - 0.5)
MCP = lambda z: np.where(np.abs(z) <= 3, np.abs(z) - z**2 / 6, 1.5)
WALL = lambda inside: np.where(inside, 0.0, np.inf)
OPERATORS = {
    "squared_l2": (prox.squared_l2, lambda z: z**2 / 2),
    "l1": (prox.l1, np.abs),
    "elastic_net": (prox.elastic_net, lambda z: 0.5 * np.abs(z) + 0.25 * z**2),
    "huber": (prox.huber, HUBER),
    "l0": (prox.l0, lambda z: (z != 0) * 1.0),
    "mcp": (prox.mcp, MCP),
    "nonnegative_l1": (prox.nonnegative_l1, lambda z: np.abs(z) + WALL(z >= 0)),
    "box": (functools.partial(prox.box, lower=-1, upper=2), lambda z: WALL((z >= -1) & (z <= 2))),
}
xs = np.linspace(-4, 4, 401)
grid = np.linspace(-5, 5, 10_001)  # zero is on it
probes = np.array([-3.7, -2.1, -1.2, -0.4, 0.7, 1.1, 1.9, 2.6, 3.9])

figure, axes = plt.subplots(2, 4, figsize=(12, 5.4), layout="constrained", sharex=True, sharey=True)
for ax, (name, (operator, penalty)) in zip(axes.flat, OPERATORS.items(), strict=True):
    ax.plot(xs, xs, color="#cccccc", lw=1)
    ax.plot(xs, operator(xs, T), color=MINIMIZED, lw=2)
    found = [grid[np.argmin(0.5 * (grid - x) ** 2 + T * penalty(grid))] for x in probes]
    ax.plot(probes, found, "o", color="#222222", ms=3.5)
    np.testing.assert_allclose(operator(probes, T), found, atol=1.1e-3)
    ax.set_title(f"prox.{name}")
for ax in axes[-1]:
    ax.set_xlabel("x")

# %% [markdown]
# `prox.l2` is not a map of single numbers: the *unsquared* norm ‖x‖₂ shrinks the length of a whole group by t, and sets
# the group to zero when it is shorter than that. Whether a group is all parameters (the paper's AdamProxL2), a leaf or an
# output channel is said by a combinator: `prox.l2`, `prox.per_leaf(prox.l2)`, `prox.per_output_channel(prox.l2)`. Notebook 04 uses them.

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained", sharex=True, sharey=True)
a, b = np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-2, 2, 9))
start = np.stack([a.ravel(), b.ravel()], axis=1)
for ax, name in zip(axes, ("squared_l2", "l1", "l2"), strict=True):
    end = jax.vmap(functools.partial(getattr(prox, name), t=0.8))(start)
    moved = np.asarray(end) - start
    ax.quiver(
        *start.T, *moved.T, angles="xy", scale_units="xy", scale=1, color=MINIMIZED, width=0.004
    )
    dead = np.all(np.asarray(end) == 0, axis=1)
    ax.plot(*start[dead].T, "o", color=FOLLOWED, ms=4)
    ax.set(title=f"prox.{name}, t = 0.8: {dead.sum()} of {len(start)} to zero", aspect="equal")

# %% [markdown]
# ## AdamW is the Taylor expansion of AdamProx
#
# With R = ½‖x‖² and p_t = −αu_t the proximal step is **AdamProx**, and expanding 1/(1 + ηλ) = 1 − ηλ + … gives **AdamW**:
#
# $$\frac{x - \eta\alpha u}{1 + \eta\lambda} \;=\; \underbrace{(1 - \eta\lambda)x - \eta\alpha u}_{\text{AdamW}}
#   \;+\; \frac{(\eta\lambda)^2 x + \eta\lambda\cdot\eta\alpha u}{1 + \eta\lambda}.$$
#
# The remainder is of second order in η: halve the schedule and it falls to a quarter. Measured on one step of the
# library's own optimizers, from the same random parameters and gradients:

# %%
ALPHA, WEIGHT_DECAY = 0.1, 0.5


def one_step(make, eta):
    """Parameters after a step from fixed random parameters and gradients."""
    x, g = jax.random.normal(jax.random.key(0), (2, 1000))
    tx = make(ALPHA, weight_decay=WEIGHT_DECAY, schedule=eta)
    updates, _ = tx.update(g, tx.init(x), x)
    return optax.apply_updates(x, updates)


etas = np.logspace(-4, 0, 13)
differences = [
    float(jnp.abs(one_step(adamprox.adamw, eta) - one_step(adamprox.adamprox, eta)).max())
    for eta in etas
]
order = np.polyfit(np.log(etas[:8]), np.log(differences[:8]), 1)[0]

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.loglog(etas, differences, "o-", color=MINIMIZED, label="max |AdamW − AdamProx| after a step")
ax.loglog(etas, differences[0] * (etas / etas[0]) ** 2, "--", color=EXACT, label="slope 2")
ax.set(xlabel="η", title=f"measured order: {order:.3f}")
_ = ax.legend()
assert abs(order - 2) < 0.01

# %% [markdown]
# With a *constant* η = 1 there is even an exact translation: AdamProx(α, λ) is AdamW(α/(1 + λ), λ/(1 + λ)). Over a hundred
# steps the two agree to rounding, so with a constant schedule nothing but the meaning of α and λ differs. They part where η_t changes, and where λη_t is large.


# %%
def descend(tx, gradient, x, steps):
    """The path of the parameters, start included: float64[steps + 1, d]."""

    def step(carry, _):
        x, state = carry
        updates, state = tx.update(gradient(x), state, x)
        x = optax.apply_updates(x, updates)
        return (x, state), x

    return jnp.concatenate([x[None], jax.lax.scan(step, (x, tx.init(x)), length=steps)[1]])


start = jnp.array([3.0, -2.0])
ours = descend(adamprox.adamprox(ALPHA, weight_decay=WEIGHT_DECAY), jnp.sin, start, 100)
scale = 1 / (1 + WEIGHT_DECAY)
translated = adamprox.adamw(ALPHA * scale, weight_decay=WEIGHT_DECAY * scale)
apart = float(jnp.abs(ours - descend(translated, jnp.sin, start, 100)).max())
assert apart < 1e-12
print(f"largest distance in 100 steps: {apart:.1e}")

# %% [markdown]
# ## Where the difference is visible
#
# 1 − ηλ is negative for ηλ > 1 and below −1 for ηλ > 2; 1/(1 + ηλ) never is. No one trains with such a λ on purpose. But a schedule that
# multiplies λ, or a search over λ, gets there, and then AdamW is unstable where AdamProx only regularizes too much. The
# loss here is Σ(1 − cos xᵢ), started at (3, −2).

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
for ax, weight_decay in zip(axes, (0.05, 1.5, 2.2), strict=True):
    for make, color in ((adamprox.adamw, FOLLOWED), (adamprox.adamprox, MINIMIZED)):
        run = descend(make(ALPHA, weight_decay=weight_decay), jnp.sin, start, 20)
        ax.plot(run[:, 0], "o-", ms=3, color=color, label=make.__name__)
    ax.axhline(0, color="#cccccc", lw=1)
    ax.set(title=f"λ = {weight_decay:g}", xlabel="step", ylabel="x₁")
_ = axes[0].legend()
# %% [markdown]
# ## Another R is another optimizer
#
# Nothing above needed R to be ½‖·‖². `proximal` is a transform: put it last in any Optax chain. Behind SGD of step α the
# weight λ solves min f(x) + (λ/α)‖x‖₁, here with f(x) = ½‖x − target‖²: every entry moves 0.2 towards zero, and no farther.

# %%
lasso = optax.chain(optax.sgd(0.1), adamprox.proximal(prox.l1, 0.02))
target = jnp.array([2.0, 0.1, -1.0, 0.05])
run = descend(lasso, lambda x: x - target, jnp.ones(4), 200)
print("target", target)
print("fitted", run[-1].round(3))
assert list(run[-1] == 0) == [False, True, False, True]

# %% [markdown]
# The zeros are exact. What they cost in error on real data, with Adam as the base and with whole groups of weights, is the subject of
# [notebook 04](04_sparsity.ipynb). [Notebook 02](02_scale_freeness.ipynb) asks what Adam's relatives have in common.
#
# **Try:** in the shrinkage maps, set `T` to 4 and see which operators jump. In the last cell, replace `prox.l1` by
# `prox.mcp`: are the large entries still moved?
