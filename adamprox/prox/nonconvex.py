"""Nonconvex penalties, which shrink large entries less than ℓ1 does, or not at all.

For large t the operators jump. At a jump two points minimize the objective, and the operator returns
the smaller one.
"""

import math

import chex
import jax
import jax.numpy as jnp

from adamprox.prox._arithmetic import (
    Tree,
    check_between,
    check_weight,
    elementwise,
    soft_threshold,
    times,
)
from adamprox.prox._vectors import magnitude, with_magnitude


def l0(tree: Tree, t: chex.Numeric) -> Tree:
    """Hard thresholding, the prox of R(x) = ‖x‖₀, the number of nonzero entries.

    prox(x)ᵢ = xᵢ where |xᵢ| > √(2t), else 0. At |xᵢ| = √(2t) both xᵢ and 0 are minimizers and the
    result is 0.

    Args:
      tree: Pytree of real or complex arrays, any shapes.
      t: Scalar ≥ 0, in the units of the parameters squared.

    Returns:
      Pytree like ``tree``; every entry is unchanged or exactly zero. The derivative is 1 or 0.

    Raises:
      ValueError: ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l0(jnp.array([-3.0, 0.5, 2.0]), 2.0))
      [-3.  0.  0.]

    Source: Blumensath and Davies, *Iterative Thresholding for Sparse Approximations*, 2008.
    """
    check_weight(t)
    return elementwise(lambda x, t: _hard_threshold(x, _root_of_twice(t)), tree, t)


def mcp(tree: Tree, t: chex.Numeric, gamma: chex.Numeric = 3.0, scale: chex.Numeric = 1.0) -> Tree:
    """Firm thresholding, the prox of the minimax concave penalty.

    R(x) = Σᵢ ρ(|xᵢ|), ρ(r) = λr − r²/(2γ) where r ≤ γλ and γλ²/2 beyond; λ is ``scale``. The
    penalty has slope λ near zero and is flat beyond γλ. ``t`` multiplies R and is neither λ nor γ.

    - t < γ (convex objective): prox(x)ᵢ = xᵢ where |xᵢ| > γλ, else
      sign(xᵢ) · max(|xᵢ| − tλ, 0) · γ/(γ − t).
    - t ≥ γ (only 0 and xᵢ can be minimizers): prox(x)ᵢ = xᵢ where |xᵢ| > λ√(γt), else 0.

    Args:
      tree: Pytree of real or complex arrays, any shapes; a complex entry keeps its phase.
      t: Scalar ≥ 0, dimensionless.
      gamma: Finite γ > 1, dimensionless; the limit γ → ∞ of the penalty is λ‖x‖₁.
      scale: Finite λ > 0, in the units of the parameters. For t ≤ γ, entries beyond γλ are not
        shrunk: choose λ such that the weights to keep are larger than γλ.

    Returns:
      Pytree like ``tree``; entries with |xᵢ| ≤ tλ (t < γ) or ≤ λ√(γt) (t ≥ γ) are exactly zero.

    Raises:
      ValueError: ``gamma`` is a number outside (1, ∞), ``scale`` is a number outside (0, ∞), or ``t``
        is a negative number.

    Example:
      >>> import jax.numpy as jnp
      >>> print(mcp(jnp.array([-4.0, 0.5, 2.0]), 1.0))
      [-4.   0.   1.5]

    Source: Zhang, *Nearly Unbiased Variable Selection under Minimax Concave Penalty*, 2010.
    """
    check_weight(t)
    check_between("gamma", gamma, 1, float("inf"), inclusive=False)
    check_between("scale", scale, 0, float("inf"), inclusive=False)
    return elementwise(_firm_threshold, tree, t, gamma, scale)


def scad(tree: Tree, t: chex.Numeric, *, a: chex.Numeric = 3.7, scale: chex.Numeric = 1.0) -> Tree:
    """Thresholding of the smoothly clipped absolute deviation, a penalty flat beyond aλ.

    R(x) = Σᵢ ρ(|xᵢ|), ρ(r) = λr where r ≤ λ, (2aλr − r² − λ²)/(2(a − 1)) where λ < r ≤ aλ, and
    (a + 1)λ²/2 beyond; λ is ``scale``. ``t`` multiplies R and is neither λ nor a.

    - t < a − 1 (convex objective): prox(x)ᵢ = sign(xᵢ) · max(|xᵢ| − tλ, 0) where |xᵢ| ≤ (1 + t)λ,
      ((a − 1)xᵢ − sign(xᵢ) t aλ)/(a − 1 − t) where |xᵢ| ≤ aλ, and xᵢ beyond.
    - t ≥ a − 1: prox(x)ᵢ = sign(xᵢ) · max(|xᵢ| − tλ, 0) where |xᵢ| ≤ c, and xᵢ beyond;
      c = (a + 1 + t)λ/2 for t ≤ a + 1, and c = λ√((a + 1)t) for larger t.

    Args:
      tree: Pytree of real or complex arrays, any shapes; a complex entry keeps its phase.
      t: Scalar ≥ 0, dimensionless.
      a: Finite a > 2, dimensionless.
      scale: Finite λ > 0, in the units of the parameters. For t ≤ a − 1, entries beyond aλ are not
        shrunk.

    Returns:
      Pytree like ``tree``; entries with |xᵢ| ≤ tλ (t ≤ a + 1) or ≤ c (larger t) are exactly zero.

    Raises:
      ValueError: ``a`` is a number outside (2, ∞), ``scale`` is a number outside (0, ∞), or ``t`` is a
        negative number.

    Example:
      >>> import jax.numpy as jnp
      >>> print(scad(jnp.array([-5.0, 0.5, 1.5]), 1.0))
      [-5.   0.   0.5]

    Source: Fan and Li, *Variable Selection via Nonconcave Penalized Likelihood*, 2001.
    """
    check_weight(t)
    check_between("a", a, 2, float("inf"), inclusive=False)
    check_between("scale", scale, 0, float("inf"), inclusive=False)
    return elementwise(_scad, tree, t, a, scale)


def log_sum(tree: Tree, t: chex.Numeric, *, eps: chex.Numeric = 1.0) -> Tree:
    """Thresholding of the log-sum penalty R(x) = Σᵢ log(1 + |xᵢ|/ε).

    prox(x)ᵢ = sign(xᵢ) · r, where r is 0 or the larger root of (r − |xᵢ|)(r + ε) + t = 0,
    whichever has the smaller objective.

    Args:
      tree: Pytree of real or complex arrays, any shapes; a complex entry keeps its phase.
      t: Scalar ≥ 0, in the units of the parameters squared.
      eps: Finite ε > 0, in the units of the parameters. The objective is convex for t ≤ ε².

    Returns:
      Pytree like ``tree``; small entries are exactly zero, those with |xᵢ| ≤ t/ε if t ≤ ε².

    Raises:
      ValueError: ``eps`` is a number outside (0, ∞), or ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(log_sum(jnp.array([-3.0, 0.5, 1.0]), 1.5))
      [-2.5811388  0.         0.       ]

    Source: Candès, Wakin and Boyd, *Enhancing Sparsity by Reweighted ℓ1 Minimization*, 2008.
    """
    check_weight(t)
    check_between("eps", eps, 0, float("inf"), inclusive=False)
    return elementwise(_log_sum, tree, t, eps)


def l_half(tree: Tree, t: chex.Numeric) -> Tree:
    """Half thresholding, the prox of R(x) = Σᵢ √|xᵢ|.

    prox(x)ᵢ = xᵢ · ⅔(1 + cos(⅔π − ⅔φᵢ)), cos φᵢ = (t/4)(3/|xᵢ|)^(3/2), where |xᵢ| > (3/2) t^(2/3),
    else 0.

    Args:
      tree: Pytree of real or complex arrays, any shapes; a complex entry keeps its phase.
      t: Scalar ≥ 0, in the units of the parameters to the power 3/2.

    Returns:
      Pytree like ``tree``; every entry is exactly zero or keeps at least ⅔ of its magnitude.

    Raises:
      ValueError: ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l_half(jnp.array([-3.0, 0.5, 1.5]), 1.0))
      [-2.6954532  0.         0.       ]

    Source: Xu, Chang, Xu and Zhang, *L1/2 Regularization: A Thresholding Representation Theory and
    a Fast Solver*, 2012.
    """
    check_weight(t)
    return elementwise(_half_threshold, tree, t)


def _root_of_twice(t):
    """Return √(2t), 0 for t < 0; computed as 2√(t/2) where 2t might overflow. Both round equally."""
    t = jnp.maximum(t, 0)  # a schedule may undershoot by a rounding
    large = t > 1
    return jnp.where(large, 2, 1) * jnp.sqrt(jnp.where(large, t / 2, 2 * t))


def _hard_threshold(x, threshold):
    kept = jnp.where(jnp.abs(x) <= threshold, 0, x)
    return jnp.where(jnp.isnan(threshold), jnp.nan, kept)


def _firm_threshold(x, t, gamma, scale):
    convex = t < gamma
    ratio = gamma / jnp.where(convex, gamma - t, 1)
    firm = jnp.where(jnp.abs(x) > gamma * scale, x, times(soft_threshold(x, t * scale), ratio))
    # γ√(t/γ) is √(γt), and exactly γ at t = γ, where both cases agree.
    return jnp.where(convex, firm, _hard_threshold(x, scale * gamma * jnp.sqrt(t / gamma)))


def _scad(x, t, a, scale):
    convex = t < a - 1
    size = magnitude(x)
    soft = soft_threshold(x, t * scale)
    ratio = (a - 1) / jnp.where(convex, a - 1 - t, 1)
    middle = times(soft_threshold(x, jnp.where(convex, t, 0) * (a * scale / (a - 1))), ratio)
    shrunk = jnp.where(convex & (size > (1 + t) * scale), middle, soft)
    # (a + 1)√(t/(a + 1)) is √((a + 1)t), and exactly a + 1 at t = a + 1, where both cases agree.
    far = jnp.where(t <= a + 1, (a + 1 + t) / 2, (a + 1) * jnp.sqrt(t / (a + 1)))
    return jnp.where(size > jnp.where(convex, a, far) * scale, x, shrunk)


def _log_sum(x, t, eps):
    size = magnitude(x)
    finite = jnp.isfinite(size)
    size = jnp.where(finite, size, 0)
    root, real = _larger_root(size, t, eps)
    # Compare r(|x| − r/2) with t log(1 + r/ε) without squares.
    positive = real & (root > 0)
    safe = jnp.where(positive, root, 1)
    gain = jnp.where(safe > 1e6 * eps, jnp.log(safe + eps) - jnp.log(eps), jnp.log1p(safe / eps))
    better = positive & ((t == 0) | (t * (gain / safe) < size - safe / 2))
    shrunk = with_magnitude(x, jnp.where(better, root, 0), size)
    return jnp.where(finite, shrunk, x)


def _larger_root(size, t, eps):
    """Return the larger r with (r − size)(r + eps) + t = 0, and where it is real."""
    middle = size + eps
    real = 2 * jnp.sqrt(t) < middle
    # ratio² is 4t/middle². XLA may compute 4t/middle/middle as 4t/(middle · middle), which is NaN
    # where the product underflows. √t has no finite derivative at 0.
    held = real & (t > 0)
    ratio = 2 * jnp.sqrt(jnp.where(held, t, 1)) / jnp.where(held, middle, 1)
    ratio = jnp.where(held, ratio, 0)
    step = jnp.where(real, t, 0) / middle
    return size - 2 * step / (1 + jnp.sqrt((1 - ratio) * (1 + ratio))), real


def _half_threshold(x, t):
    size = magnitude(x)
    kept = (size > 1.5 * jnp.cbrt(t) ** 2) & jnp.isfinite(size)
    weight, safe = jnp.where(kept, t, 0), jnp.where(kept, size, 1)
    near = jax.lax.stop_gradient(_largest_half_root(safe, weight))
    # One Newton step on r − |x| + t/(2√r) = 0: it has the derivatives of the root.
    curvature = 1 - jax.lax.stop_gradient(weight / near / jnp.sqrt(near)) / 4
    root = near - (near - safe + weight / (2 * jnp.sqrt(near))) / curvature
    return jnp.where(jnp.isfinite(size), with_magnitude(x, jnp.where(kept, root, 0), size), x)


def _largest_half_root(size, t):
    """Return size · ⅔(1 + cos(⅔π − ⅔φ)) for cos φ = (t/4)(3/size)^(3/2), and size for t = 0."""
    cosine = 0.75 * (t / size) * jnp.sqrt(3 / size)
    delta = (2 / 3) * jnp.arcsin(cosine)
    return size - size * ((2 / 3) * jnp.sin(delta / 2) ** 2 + jnp.sin(delta) / math.sqrt(3))
