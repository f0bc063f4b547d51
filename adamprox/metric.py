"""Adam with decay in its moments only, or in its metric only.

These are the intermediate optimizers of the factorial experiment.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from adamprox.arguments import Mask, Schedule, at_count, check_nonnegative, check_numbers, one_mask
from adamprox.moments import ScaleFreeAdamState, scale_by_adam
from adamprox.prox import Prox
from adamprox.prox._arithmetic import check_operator
from adamprox.transforms import NO_PARAMS_MSG, add_l2_gradient, difference, map_updates, stepped


def proxgen(
    learning_rate: Schedule,
    prox: Prox,
    weight: Schedule,
    b1: chex.Numeric = 0.9,
    b2: chex.Numeric = 0.999,
    eps: chex.Numeric = 1e-8,
    *,
    schedule: Schedule = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Adam with a *separable* regularizer minimized in Adam's own diagonal metric.

    D = diag(√v̂_t + ε)/α,   x ← argmin_z ½‖z − (x − η_t α u_t)‖²_D + η_t λ R(z), which is
    xᵢ ← prox_{tᵢ R}(xᵢ − η_t α u_{t,i}) with tᵢ = η_t λ α / (√v̂_{t,i} + ε).

    The optimizer is not scale-free, even at ε = 0: the threshold shrinks as the gradient of a
    coordinate grows. The other optimizers of this library use one threshold for all coordinates.

    Args:
      learning_rate: Learning rate α, a number or a schedule.
      prox: Operator that treats every coordinate separately, such as ``prox.l1``, not ``prox.l2``.
      weight: Weight λ ≥ 0 of the regularizer, in units of the loss per unit of R; a number, traced
        scalar or schedule. The minimizer of loss + λR is a fixed point.
      b1: β₁ in [0, 1), decay of the first moment.
      b2: β₂ in [0, 1), decay of the second moment.
      eps: ε ≥ 0. With 0.0 a coordinate that never saw a gradient minimizes R alone, or does not
        move while η_t λ α = 0.
      schedule: Multiplier η_t ≥ 0 of α, a number or a callable of the step count.

    Returns:
      The optimizer; its ``update`` needs ``params``.

    Raises:
      ValueError: ``weight``, ``eps`` or ``schedule`` is a negative number, ``b1`` or ``b2`` is a
        number outside [0, 1), or ``params`` is not passed.

    Example:
      >>> import jax.numpy as jnp, numpy as np, optax
      >>> from adamprox import prox
      >>> tx = proxgen(0.1, prox.l1, 1.0)
      >>> x = jnp.ones(2)
      >>> u, _ = tx.update(jnp.array([1.0, 100.0]), tx.init(x), x)
      >>> print(np.asarray(optax.apply_updates(x, u)).round(3))
      [0.8   0.899]

    Source: Yun, Lozano and Yang, *Adaptive Proximal Gradient Methods for Structured Neural
    Networks*, 2021.
    """
    check_operator(prox)
    check_numbers(learning_rate=learning_rate)
    check_nonnegative(weight=weight, schedule=schedule)
    adam = scale_by_adam(b1, b2, eps)

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        step_size = at_count(learning_rate, state.count) * at_count(schedule, state.count)
        pull = at_count(weight, state.count) * step_size
        direction, state = adam.update(updates, state, params)
        roots = _root_second_moments(state, b2)

        def on_leaf(u, p, root):
            metric = root + eps
            # No gradients and no ε: R alone, or without a weight nothing. Derivatives stay finite.
            alone = jnp.where(pull == 0, 0, jnp.inf)
            threshold = jnp.where(metric == 0, alone, pull / jnp.where(metric == 0, 1, metric))
            threshold = threshold.astype(root.dtype)
            target = stepped(-jnp.asarray(step_size, root.dtype) * u, p)
            return difference(jnp.vectorize(prox)(target, threshold), p)

        return map_updates(on_leaf, direction, params, roots), state

    return optax.GradientTransformationExtraArgs(adam.init, update)


def _root_second_moments(state, b2):
    """Return √v̂ from either state of `scale_by_adam`; before the first step it has no meaning."""
    count = jnp.maximum(state.count, 1)  # 0/0 would be NaN, also in derivatives
    if isinstance(state, ScaleFreeAdamState):
        correction = jnp.sqrt(1 - b2**count)
        return jax.tree.map(lambda s: s / correction.astype(s.dtype), state.root_nu)

    def root(v):
        """Return a root that is finite where v overflowed, and whose derivative at 0 is 0."""
        v = jnp.minimum(jnp.real(v), jnp.finfo(v.dtype).max)
        zero = v == 0  # without a gradient so far
        return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, v)))

    return jax.tree.map(root, optax.tree.bias_correction(state.nu, b2, count))


class ScaleFreeAdamL2State(NamedTuple):
    """The states of the regularizer's gradient and of Adam's moments."""

    decay: optax.OptState
    adam: optax.OptState


def scale_free_adam_l2(
    learning_rate: Schedule,
    b1: chex.Numeric = 0.9,
    b2: chex.Numeric = 0.999,
    eps: chex.Numeric = 1e-8,
    eps_root: chex.Numeric = 0.0,
    mu_dtype: Any | None = None,
    weight_decay: Schedule = 1e-4,
    mask: Mask | None = None,
    *,
    schedule: Schedule = 1.0,
    nesterov: bool = False,
    weight_decay_mask: Mask | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam-ℓ2 that adds (λ/α) √v̂ x instead of λx to the gradient: scale-free at ε = 0.

    g_t = ∇f(x) + (λ/α) √v̂_{t−1} x,   x ← x − η_t α m̂_t / (√v̂_t + ε),   with √v̂₀ = 0.

    Adam-ℓ2 does two things to λx: it mixes λx into the moments, and it divides λx by √v̂. This
    optimizer only mixes, `proxgen` only divides, and `adamw` does neither. Multiplying a gradient
    coordinate by a constant multiplies its √v̂ by the same constant: at ε = 0 the optimizer is
    scale-free.

    The arguments are those of `adam_l2`, except that λ is a decay per step, *not* multiplied by the
    learning rate (optax's ``weight_decay`` is λ/α). While α is 0 there is no decay.

    Returns:
      The optimizer; its ``update`` needs ``params``.

    Raises:
      ValueError: Under the conditions of `adam_l2`.

    Example:
      >>> import jax.numpy as jnp, numpy as np, optax
      >>> x, g = jnp.array([1.0, -1.0]), jnp.array([3.0, 0.3])
      >>> def two_steps(scale):
      ...     tx, y = scale_free_adam_l2(0.1, eps=0.0, weight_decay=0.05), x
      ...     state = tx.init(y)
      ...     for _ in range(2):
      ...         u, state = tx.update(scale * g, state, y)
      ...         y = optax.apply_updates(y, u)
      ...     return np.asarray(y)
      >>> bool((two_steps(1.0) == two_steps(jnp.array([4.0, 0.25]))).all())
      True

    Source: this project, to separate the two effects of Adam-ℓ2 (Algorithm 1 of the paper).
    """
    check_numbers(learning_rate=learning_rate)
    check_nonnegative(schedule=schedule)
    decay = add_l2_gradient(weight_decay, one_mask(mask, weight_decay_mask))
    adam = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)

    def init(params):
        return ScaleFreeAdamL2State(decay.init(params), adam.init(params))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        count = state.adam.count
        alpha = jnp.asarray(at_count(learning_rate, count))
        nothing = jax.tree.map(jnp.zeros_like, updates)
        pull, decay_state = decay.update(nothing, state.decay, params)
        started = (count > 0) & (alpha != 0)
        divisor = jnp.where(alpha == 0, 1, alpha)
        roots = _root_second_moments(state.adam, b2)

        def on_leaf(g, d, root):
            # d/α first, because √v̂/α may overflow.
            decay = jnp.where(started, root * (d / divisor.astype(root.dtype)), 0)
            return g + decay.astype(jnp.result_type(g))

        mixed = map_updates(on_leaf, updates, pull, roots)
        direction, adam_state = adam.update(mixed, state.adam, params)
        step_size = -alpha * at_count(schedule, count)
        steps = map_updates(lambda u: jnp.asarray(step_size, jnp.result_type(u)) * u, direction)
        return steps, ScaleFreeAdamL2State(decay_state, adam_state)

    return optax.GradientTransformationExtraArgs(init, update)
