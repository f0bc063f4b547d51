"""Test problems with a known minimizer and a chosen condition number."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Quadratic(NamedTuple):
    """f(x) = ½ Σᵢ hᵢ (xᵢ − x*ᵢ)², with diagonal Hessian h.

    Attributes:
      curvatures: Curvatures h, float[d], all > 0.
      minimizer: Minimizer x*, float[d].
    """

    curvatures: jax.Array
    minimizer: jax.Array

    def value(self, x: jax.Array) -> jax.Array:
        """Return f(x), float[]."""
        return 0.5 * jnp.sum(self.curvatures * (x - self.minimizer) ** 2)

    def gradient(self, x: jax.Array) -> jax.Array:
        """Return ∇f(x) = h ∘ (x − x*), float[d]."""
        return self.curvatures * (x - self.minimizer)


def quadratic(
    condition_number: float, minimizer: jax.typing.ArrayLike | tuple[float, ...] = (1.0, 1.0)
) -> Quadratic:
    """Return a quadratic with curvatures in geometric progression from 1 to κ.

    Args:
      condition_number: Ratio κ ≥ 1 of the largest to the smallest curvature.
      minimizer: Minimizer x*, float[d] with d ≥ 2.

    Returns:
      The problem, in the default float type.

    Raises:
      ValueError: ``condition_number`` is below 1 or not finite, or ``minimizer`` is not a vector
        of at least two entries.

    Example:
      >>> problem = quadratic(100.0)
      >>> print(problem.curvatures, problem.value(problem.minimizer))
      [  1. 100.] 0.0

    Source: §3 and Fig. 1 of the paper.
    """
    if not 1 <= condition_number < float("inf"):
        raise ValueError(f"condition_number must be finite and >= 1, got {condition_number}")
    target = np.asarray(minimizer, float)
    if target.ndim != 1 or target.size < 2:
        raise ValueError(
            f"minimizer must be a vector of 2 or more entries, got shape {target.shape}"
        )
    curvatures = np.geomspace(1.0, condition_number, target.size)
    return Quadratic(jnp.asarray(curvatures), jnp.asarray(target))


def descent_calls(kappa: float, minimizer: np.ndarray, goal: float) -> int:
    """Return the number of gradients that tuned gradient descent needs on `quadratic`, from 0.

    Its errors are (1 − s hᵢ)^t x*ᵢ, with the best step size s of a grid around 2/(M + μ).

    Args:
      kappa: Condition number κ ≥ 1.
      minimizer: x*, float[d].
      goal: Largest error |xᵢ − x*ᵢ| at the end.

    Example:
      >>> minimizer = np.array([1.0, -1.0])
      >>> descent_calls(1.0, minimizer, 0.01), descent_calls(100.0, minimizer, 0.01)
      (1, 231)
    """
    curvatures = np.geomspace(1.0, kappa, len(minimizer))
    steps = 2 / (1 + kappa) * np.concatenate([[1.0], np.geomspace(0.5, 1.0, 200)])
    with np.errstate(divide="ignore"):
        rates = -np.log(np.abs(1 - steps[:, None] * curvatures))
    halvings = np.maximum(np.log(np.abs(minimizer) / goal), 0)
    return max(1, int(np.ceil((halvings / rates).max(axis=1).min())))
