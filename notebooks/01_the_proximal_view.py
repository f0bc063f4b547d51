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
# An optimizer can take a step along the gradient of a regularizer, or it can minimize the regularizer. Weight
# decay does the first, a proximal step the second. This notebook plots the difference, derives AdamProx, and
# measures that AdamW is its first-order expansion. It takes a few seconds.

# %%
import functools
import warnings

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import adamprox
from adamprox import prox

jax.config.update("jax_enable_x64", True)  # second-order errors are below the rounding of float32
plt.rcParams.update(
    {
        "figure.dpi": 70,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)
GRADIENT, PROXIMAL, EXACT = "#c2543c", "#3a8f6b", "#888888"

# %% [markdown]
# ## Gradient steps overshoot, proximal steps do not
#
# Take R(x) = ½x² alone, without a loss. A gradient step of size t gives (1 − t)x. The *proximal* step is
#
# $$\operatorname{prox}_{tR}(x) = \arg\min_z\ \tfrac{1}{2} (z - x)^2 + t R(z)$$
#
# and gives x/(1 + t). It uses the gradient at the point where the step *ends*. Continuous gradient flow gives
# e⁻ᵗx. All three agree to first order in t.
#
# For t > 1 the gradient step changes the sign of x, and for t > 2 it moves away from the minimum. The proximal
# step does neither.
#
# For R(x) = |x| every gradient step has length t, so the iterates jump across zero forever.

# %%
figure, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")

t = np.linspace(0, 3, 200)
axes[0].plot(t, 1 - t, color=GRADIENT, label="gradient step: 1 − t")
axes[0].plot(t, 1 / (1 + t), color=PROXIMAL, label="proximal step: 1/(1 + t)")
axes[0].plot(t, np.exp(-t), "--", color=EXACT, label="gradient flow: exp(−t)")
axes[0].axhline(0, color="#cccccc", lw=1)
axes[0].set(title="R = ½x²: x after a step from 1", xlabel="t", ylim=(-2.1, 1.1))
_ = axes[0].legend()


def path(step, start, steps):
    """Return the iterates of a map, including the start."""
    xs = [start]
    for _ in range(steps):
        xs.append(float(step(xs[-1])))
    return xs


for size, style in ((1.8, "-"), (2.2, ":")):
    axes[1].plot(path(lambda x, t=size: x - t * x, 1.0, 8), style, marker="o", ms=3, color=GRADIENT)
    axes[1].plot(
        path(lambda x, t=size: prox.squared_l2(x, t), 1.0, 8),
        style,
        marker="o",
        ms=3,
        color=PROXIMAL,
    )
axes[1].axhline(0, color="#cccccc", lw=1)
axes[1].set(title="R = ½x², t = 1.8 (solid), 2.2 (dotted)", xlabel="step", ylabel="x")

axes[2].plot(
    path(lambda x: x - 0.3 * np.sign(x), 1.0, 12), "o-", ms=3, color=GRADIENT, label="gradient step"
)
axes[2].plot(
    path(lambda x: prox.l1(x, 0.3), 1.0, 12), "o-", ms=3, color=PROXIMAL, label="proximal step"
)
axes[2].axhline(0, color="#cccccc", lw=1)
axes[2].set(title="R = |x|, t = 0.3", xlabel="step", ylabel="x")
axes[2].legend()

assert path(lambda x: prox.l1(x, 0.3), 1.0, 12)[-1] == 0.0  # exactly zero

# %% [markdown]
# ## From the problem to the step
#
# The problem is F(x) = f(x) + λR(x), with loss f and regularizer R. An optimizer computes a direction p_t from f:
# minus the gradient for SGD, −αu_t for Adam, where u_t is Adam's ratio of moments. Replace f by this direction and
# keep R:
#
# $$x_t = \arg\min_z\ \tfrac{1}{2} \lVert z - (x_{t-1} + \eta_t p_t)\rVert^2 + \eta_t\lambda R(z)
#       = \operatorname{prox}_{\eta_t\lambda R}(x_{t-1} + \eta_t p_t).$$
#
# p_t is arbitrary, and R need not be differentiable. The schedule η_t multiplies both α and λ.
#
# The plot shows the function that is minimized, for R = |x| and x + ηp = 1. As t = ηλ grows, its minimum moves from
# 1 to 0. For t ≥ 1 the minimum stays at 0.

# %%
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
z = np.linspace(-1, 1.8, 400)
for size, shade in ((0.0, 0.3), (0.4, 0.5), (0.8, 0.75), (1.3, 1.0)):
    ax.plot(
        z,
        0.5 * (z - 1) ** 2 + size * np.abs(z),
        color=PROXIMAL,
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
# `adamprox.prox` contains the operators. Each is a pure function `(tree, t) -> tree`. A shrinkage map plots the
# result against the parameter; on the grey line the parameter is unchanged. Operators with a flat piece at zero
# produce exact zeros. Operators that return to the grey line do not shrink large weights.
#
# The dots are a check: a brute-force minimization of ½(z − x)² + tR(z) on a fine grid.

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
grid = np.linspace(-5, 5, 10_001)  # includes zero
probes = np.array([-3.7, -2.1, -1.2, -0.4, 0.7, 1.1, 1.9, 2.6, 3.9])

figure, axes = plt.subplots(2, 4, figsize=(12, 5.4), layout="constrained", sharex=True, sharey=True)
for ax, (name, (operator, penalty)) in zip(axes.flat, OPERATORS.items(), strict=True):
    ax.plot(xs, xs, color="#cccccc", lw=1)
    ax.plot(xs, operator(xs, T), color=PROXIMAL, lw=2)
    found = [grid[np.argmin(0.5 * (grid - x) ** 2 + T * penalty(grid))] for x in probes]
    ax.plot(probes, found, "o", color="#222222", ms=3.5)
    np.testing.assert_allclose(operator(probes, T), found, atol=1.1e-3)
    ax.set_title(f"prox.{name}")
for ax in axes[-1]:
    ax.set_xlabel("x")

# %% [markdown]
# `prox.l2` acts on groups. The *unsquared* norm ‖x‖₂ shortens a whole group by t and sets the group to zero if its
# norm is below t. A combinator selects the groups:
#
# * `prox.l2`: all parameters form one group, as in the paper's AdamProxL2.
# * `prox.per_leaf(prox.l2)`: each leaf is a group.
# * `prox.per_output_channel(prox.l2)`: each output channel is a group.
#
# Notebook 04 uses them. Red dots below mark points that become zero.

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained", sharex=True, sharey=True)
a, b = np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-2, 2, 9))
start = np.stack([a.ravel(), b.ravel()], axis=1)
for ax, name in zip(axes, ("squared_l2", "l1", "l2"), strict=True):
    end = jax.vmap(functools.partial(getattr(prox, name), t=0.8))(start)
    moved = np.asarray(end) - start
    ax.quiver(
        *start.T, *moved.T, angles="xy", scale_units="xy", scale=1, color=PROXIMAL, width=0.004
    )
    dead = np.all(np.asarray(end) == 0, axis=1)
    ax.plot(*start[dead].T, "o", color=GRADIENT, ms=4)
    ax.set(title=f"prox.{name}, t = 0.8: {dead.sum()} of {len(start)} to zero", aspect="equal")

# %% [markdown]
# ## AdamW is the Taylor expansion of AdamProx
#
# With R = ½‖x‖² and p_t = −αu_t the proximal step is **AdamProx**. Expanding 1/(1 + ηλ) = 1 − ηλ + … gives **AdamW**:
#
# $$\frac{x - \eta\alpha u}{1 + \eta\lambda} \;=\; \underset{\text{AdamW}}{\underbrace{(1 - \eta\lambda)x - \eta\alpha u}}
#   \;+\; \frac{(\eta\lambda)^2 x + \eta\lambda\cdot\eta\alpha u}{1 + \eta\lambda}.$$
#
# The remainder is of second order in η: half the η gives a quarter of the difference. The next cell measures it
# after one step of both optimizers from the same random parameters and gradients.

# %%
warnings.filterwarnings("ignore", "λ = weight_decay")  # λ is large on purpose
ALPHA, WEIGHT_DECAY = 0.1, 0.5


def one_step(make, eta):
    """Return the parameters after one step from fixed random parameters and gradients."""
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
ax.loglog(etas, differences, "o-", color=PROXIMAL, label="max |AdamW − AdamProx| after a step")
ax.loglog(etas, differences[0] * (etas / etas[0]) ** 2, "--", color=EXACT, label="slope 2")
ax.set(xlabel="η", title=f"measured order: {order:.3f}")
_ = ax.legend()
assert abs(order - 2) < 0.01

# %% [markdown]
# With a *constant* η = 1 the two are equivalent: AdamProx(α, λ) is AdamW(α/(1 + λ), λ/(1 + λ)). Over 100 steps they
# agree to rounding. They differ if η_t changes during the run, or if α and λ are the same for both and λη_t is large.


# %%
def descend(tx, gradient, x, steps):
    """Return the path of the parameters, including the start: float64[steps + 1, d]."""

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
# AdamW's factor 1 − ηλ is negative for ηλ > 1 and below −1 for ηλ > 2. AdamProx's factor 1/(1 + ηλ) is always
# positive. A schedule that multiplies λ, or a search over λ, can reach such values. AdamW then becomes unstable,
# while AdamProx only regularizes too strongly. The loss below is Σ(1 − cos xᵢ), started at (3, −2).

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
for ax, weight_decay in zip(axes, (0.05, 1.5, 2.2), strict=True):
    for make, color in ((adamprox.adamw, GRADIENT), (adamprox.adamprox, PROXIMAL)):
        run = descend(make(ALPHA, weight_decay=weight_decay), jnp.sin, start, 20)
        ax.plot(run[:, 0], "o-", ms=3, color=color, label=make.__name__)
    ax.axhline(0, color="#cccccc", lw=1)
    ax.set(title=f"λ = {weight_decay:g}", xlabel="step", ylabel="x₁")
_ = axes[0].legend()
# %% [markdown]
# ## Another R gives another optimizer
#
# The derivation holds for every R. `proximal` is a transform: put it last in any Optax chain. After SGD with step
# size α it minimizes f(x) + (λ/α)‖x‖₁. Here f(x) = ½‖x − target‖² and λ/α = 0.2, so every entry of the target moves
# 0.2 towards zero and stops at zero.

# %%
lasso = optax.chain(optax.sgd(0.1), adamprox.proximal(prox.l1, 0.02))
target = jnp.array([2.0, 0.1, -1.0, 0.05])
run = descend(lasso, lambda x: x - target, jnp.ones(4), 200)
print("target", target)
print("fitted", run[-1].round(3))
assert list(run[-1] == 0) == [False, True, False, True]

# %% [markdown]
# The zeros are exact. [Notebook 04](04_sparsity.ipynb) measures the error that they cost on real data, with Adam and
# with groups of weights. [Notebook 02](02_scale_freeness.ipynb) tests which optimizers are scale-free.
#
# **Try:** in the shrinkage maps, set `T` to 4 and see which operators jump. In the last cell, replace `prox.l1` by
# `prox.mcp` and see whether the large entries still move.
