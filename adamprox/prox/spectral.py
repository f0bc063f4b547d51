"""Operators on the singular values of matrices, one matrix per leaf.

A kernel with more than two axes counts as a matrix with shape [product of all axes but the last,
last axis]. Leaves with fewer than two axes and leaves without entries do not change. An infinite or
NaN entry makes its leaf NaN. Inside ``shard_map`` an operator sees one device's part, whose
singular values are not those of the whole matrix.
"""

import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from adamprox.axes import on_whole_arrays
from adamprox.checks import is_integer, is_known
from adamprox.prox._arithmetic import (
    Tree,
    check_between,
    check_weight,
    elementwise,
    largest_magnitude,
    power_of_two,
    times,
)


@on_whole_arrays
def nuclear(tree: Tree, t: chex.Numeric) -> Tree:
    """Soft thresholding of singular values, the prox of the nuclear norm R(X) = Σᵢ σᵢ(X).

    prox(X) = U diag(max(σᵢ − t, 0)) Vᴴ for X = U diag(σ) Vᴴ; R is a sum over the leaves.

    Args:
      tree: Pytree of real or complex arrays, any shapes; each leaf is a matrix.
      t: Scalar ≥ 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``. Singular values ≤ t become zero to rounding; the leaf is exactly zero if
      all do, and does not change if t = 0.

    Raises:
      ValueError: ``t`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(nuclear(jnp.diag(jnp.array([3.0, 0.5])), 1.0))
      [[2. 0.]
       [0. 0.]]

    Source: Cai, Candès and Shen, *A Singular Value Thresholding Algorithm for Matrix Completion*,
    2010.
    """
    check_weight(t)
    return _on_matrices(_soft, tree, t)


@on_whole_arrays
def rank(tree: Tree, t: chex.Numeric, *, r: chex.Numeric) -> Tree:
    """Keep the r largest singular values: the projection on matrices of rank ≤ r.

    prox(X) = Σᵢ σᵢ uᵢ vᵢᴴ over the r largest σᵢ.

    Args:
      tree: Pytree of real or complex arrays, any shapes; each leaf is a matrix.
      t: Ignored, for a common signature.
      r: Largest rank, an integer ≥ 0.

    Returns:
      Pytree like ``tree``; a leaf does not change if r is at least its smaller side.

    Raises:
      ValueError: ``r`` is a number that is not an integer ≥ 0.

    Example:
      >>> import jax.numpy as jnp
      >>> print(rank(jnp.diag(jnp.array([3.0, 0.5])), 1.0, r=1))
      [[3. 0.]
       [0. 0.]]

    Source: Eckart and Young, *The Approximation of One Matrix by Another of Lower Rank*, 1936.
    """
    del t
    if is_known(r) and not is_integer(r, 0):
        raise ValueError(f"r must be an integer >= 0, got {r}")
    return _on_matrices(_leading, tree, r, unit=1)


@on_whole_arrays
def orthogonal(tree: Tree, t: chex.Numeric) -> Tree:
    """Nearest matrix with orthonormal columns, or rows if it is wider than tall.

    prox(X) = U Vᴴ for X = U diag(σ) Vᴴ: every singular value becomes 1.

    Args:
      tree: Pytree of real or complex arrays, any shapes; each leaf is a matrix.
      t: Ignored, for a common signature.

    Returns:
      Pytree like ``tree``. Where X has less than full rank, several matrices are nearest and the
      result is one of them; derivatives along such directions are 0.

    Example:
      >>> import jax.numpy as jnp
      >>> print(orthogonal(jnp.diag(jnp.array([3.0, 0.5])), 1.0))
      [[1. 0.]
       [0. 1.]]

    Source: Schönemann, *A Generalized Solution of the Orthogonal Procrustes Problem*, 1966.
    """
    del t
    return _on_matrices(_ones, tree, 1, unit=1, homogeneous=False)


@on_whole_arrays
def spectral_ball(tree: Tree, t: chex.Numeric, *, radius: chex.Numeric = 1.0) -> Tree:
    """Projection on the ball ‖X‖₂ ≤ r of the spectral norm, the prox of its indicator function.

    prox(X) = U diag(min(σᵢ, r)) Vᴴ for X = U diag(σ) Vᴴ, for each leaf.

    Args:
      tree: Pytree of real or complex arrays, any shapes; each leaf is a matrix.
      t: Ignored, for a common signature.
      radius: Largest singular value r ≥ 0, in the units of the parameters.

    Returns:
      Pytree like ``tree``. Inside the ball it is x, bit for bit.

    Raises:
      ValueError: ``radius`` is a negative number or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(spectral_ball(jnp.diag(jnp.array([3.0, 0.5])), 1.0))
      [[1.  0. ]
       [0.  0.5]]

    Source: Parikh and Boyd, *Proximal Algorithms*, 2014, §6.7 (functions of singular values).
    """
    del t
    check_between("radius", radius, 0, float("inf"), inclusive=True)
    return _on_matrices(_clipped, tree, radius)


def _soft(s, t):
    return jnp.maximum(s - t, 0)


def _clipped(s, radius):
    return jnp.minimum(s, radius)


def _leading(s, r):
    return jnp.where(jnp.arange(s.size, dtype=s.dtype) < r, s, 0)


def _ones(s, one):
    return jnp.broadcast_to(one, s.shape).astype(s.dtype)


def _on_matrices(shrink, tree, parameter, *, unit: int | None = None, homogeneous: bool = True):
    """Apply ``shrink(singular values, parameter)`` to each leaf, computed at a scale near 1.

    The parameter is a length, and scaled like the leaf, unless ``unit`` is 1. The result is scaled
    back if ``homogeneous``.
    """

    def on_leaf(x, parameter):
        if x.ndim < 2 or not x.size:
            return x
        matrix = x.reshape(-1, x.shape[-1])
        scale = power_of_two(largest_magnitude(matrix))
        new = _on_singular_values(shrink, times(matrix, 1 / scale), parameter / (unit or scale))
        return (times(new, scale) if homogeneous else new).reshape(x.shape)

    return elementwise(on_leaf, tree, parameter)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _on_singular_values(shrink: Callable, x: jax.Array, parameter: jax.Array) -> jax.Array:
    """Return U diag(shrink(σ, parameter)) Vᴴ, and x itself where no singular value changes."""
    u, s, vh = jnp.linalg.svd(x, full_matrices=False)
    return _recombined(shrink, x, parameter, u, s, vh)


def _recombined(shrink, x, parameter, u, s, vh):
    new = shrink(s, parameter)
    return jnp.where(jnp.all(new == s), x, _product(u * new[None], vh))


def _product(*factors):
    return functools.reduce(functools.partial(jnp.matmul, precision="highest"), factors)


@_on_singular_values.defjvp
def _derivative(shrink, primals, tangents):
    """Differentiate without the derivative of the SVD, which is NaN for equal singular values.

    With M = Uᴴ dX V, the Hermitian part of M is multiplied by (fᵢ − fⱼ)/(σᵢ − σⱼ), its
    skew-Hermitian part by (fᵢ + fⱼ)/(σᵢ + σⱼ), and the rest of dX by fᵢ/σᵢ, where f are the new
    singular values. Where rounding decides the divisor, the factor is a mean of f′.
    """
    (x, parameter), (dx, dp) = primals, tangents
    u, s, vh = jnp.linalg.svd(x, full_matrices=False)
    new, slope = jax.jvp(lambda s: shrink(s, parameter), (s,), (jnp.ones_like(s),))
    _, by_parameter = jax.jvp(lambda p: shrink(s, p), (parameter,), (dp,))
    uh, v = u.conj().T, vh.conj().T
    m = _product(uh, dx, v)
    symmetric, skew = (m + m.conj().T) / 2, (m - m.conj().T) / 2
    noise = jnp.finfo(s.dtype).eps * max(x.shape) * s[0]
    mean = (slope[:, None] + slope[None]) / 2
    wide = jnp.sqrt(jnp.finfo(s.dtype).eps) * s[0]
    difference = _ratio(new[:, None] - new[None], s[:, None] - s[None], mean, wide)
    total = _ratio(new[:, None] + new[None], s[:, None] + s[None], mean, noise)
    core = symmetric * difference + skew * total
    share = _ratio(new, s, slope, noise)[None]
    left = _product((_product(dx, v) - _product(u, m)) * share, vh)
    right = _product(u * share, _product(uh, dx) - _product(m, vh))
    tangent = _product(u, core, vh) + left + right + _product(u * by_parameter[None], vh)
    return _recombined(shrink, x, parameter, u, s, vh), tangent


def _ratio(a, b, otherwise, smallest):
    zero = jnp.abs(b) <= smallest
    return jnp.where(zero, otherwise, a / jnp.where(zero, 1, b))
