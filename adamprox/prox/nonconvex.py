"""Nonconvex penalties, which do not shrink large entries; their operators are discontinuous.

If two points minimize the objective, the operator returns the smaller one, which is zero.
"""

import chex
import jax.numpy as jnp

from adamprox.prox._arithmetic import (
    Tree,
    check_between,
    check_weight,
    elementwise,
    soft_threshold,
    times,
)


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
      ValueError: ``gamma`` is a number outside (1, ∞), ``scale`` one outside (0, ∞), or ``t`` a
        negative one.

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


def _root_of_twice(t):
    """Return √(2t), computed as 2√(t/2) where 2t might overflow; both round equally."""
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
