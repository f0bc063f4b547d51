"""The optimizers of the paper, each written as one Optax chain.

All of them take Adam's direction u_t of the loss (`adam_l2`: of the *regularized* loss). They
differ only in the treatment of the regularizer:

    adam_l2     x ← x − η_t α u_t(∇f + λx)               gradient of the regularizer in the moments
    adamw       x ← x − η_t α u_t − η_t λ x              gradient of the regularizer in the step
    adamprox    x ← (x − η_t α u_t) / (1 + η_t λ)        exact minimization of the regularizer
    adamprox_l2, adamprox_l1                             the same with ‖x‖₂ and ‖x‖₁

λ (``weight_decay``) is a decay *per step* and is not multiplied by the learning rate:
``optax.adamw(α, weight_decay=w)`` is ``adamw(α, weight_decay=α·w)`` here.
"""

from typing import Any

import chex
import optax

from adamprox import prox
from adamprox.arguments import (
    Mask,
    Schedule,
    check_nonnegative,
    check_numbers,
    one_mask,
    warn_of_large_decay,
)
from adamprox.moments import scale_by_adam
from adamprox.transforms import add_l2_gradient, decay_weights_unwarned, proximal


def adam_direction(
    learning_rate: Schedule,
    b1: chex.Numeric = 0.9,
    b2: chex.Numeric = 0.999,
    eps: chex.Numeric = 1e-8,
    eps_root: chex.Numeric = 0.0,
    mu_dtype: Any | None = None,
    *,
    schedule: Schedule = 1.0,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Adam's step −η_t α u_t, the η_t p_t of eq. (3), which all optimizers here share.

    u_t = m̂_t / (√v̂_t + ε). Follow it with `decay_weights` or `proximal` to make an optimizer.

    Args:
      learning_rate: Learning rate α > 0, in units of the parameters per step; a number or a
        schedule.
      b1: β₁ in [0, 1), decay of the first moment.
      b2: β₂ in [0, 1), decay of the second moment.
      eps: ε ≥ 0, added to √v̂ after bias correction; ``0.0`` selects the ε-free, overflow-safe
        moments (see `scale_by_adam`).
      eps_root: Constant ≥ 0 added to v̂ inside the root.
      mu_dtype: dtype of the first moment; None means the dtype of the parameters.
      schedule: Multiplier η_t ≥ 0 of α, a number or a callable of the step count (0 at the first
        step).
      nesterov: True for Nesterov momentum, as in NAdam.

    Returns:
      A transformation.

    Raises:
      TypeError: A hyperparameter is no number, array or schedule.
      ValueError: ``eps``, ``eps_root`` or ``schedule`` is a negative number, or ``b1`` or ``b2`` is a
        number outside [0, 1).

    Example:
      >>> import jax.numpy as jnp, numpy as np
      >>> tx = adam_direction(0.1, eps=0.0)
      >>> g = jnp.array([5.0, -1e-3])
      >>> print(np.asarray(tx.update(g, tx.init(g))[0]).round(4))
      [-0.1  0.1]

    Source: Algorithm 1 and eq. (3) of the paper.
    """
    check_numbers(learning_rate=learning_rate)
    check_nonnegative(schedule=schedule)
    scale_by_multiplier = optax.scale_by_schedule if callable(schedule) else optax.scale
    return optax.chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        optax.scale_by_learning_rate(learning_rate),
        scale_by_multiplier(schedule),  # pyright: ignore[reportArgumentType]
    )


def adam_l2(
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
    """Adam on the ℓ2-regularized loss: the gradient of the regularizer enters the moments.

    g_t = ∇f(x) + λx,   x ← x − η_t α m̂_t / (√v̂_t + ε).

    The optimizer is not scale-free: the effect of λ depends on the scale of ∇f.

    Args:
      learning_rate: Learning rate α, in units of the parameters per step; a number, traced scalar
        or schedule.
      b1: β₁ in [0, 1), decay of the first moment.
      b2: β₂ in [0, 1), decay of the second moment.
      eps: ε ≥ 0, added to √v̂ after bias correction; ``0.0`` selects the ε-free, overflow-safe
        moments.
      eps_root: Constant ≥ 0 added to v̂ inside the root.
      mu_dtype: dtype of the first moment; None means the dtype of the parameters.
      weight_decay: λ ≥ 0, in units of gradient per parameter; a number, traced scalar or schedule,
        *not* multiplied by the learning rate. It is the weight of ``optax.add_decayed_weights``
        before Adam; the ``weight_decay`` of ``optax.adamw`` is another term.
      mask: Pytree of booleans, True for regularized leaves, or a callable that returns one. None
        (the paper's choice) regularizes every parameter, including biases and BatchNorm.
      schedule: Multiplier η_t ≥ 0 of α, a number or a callable of the step count (0 at the first
        step).
      nesterov: True for Nesterov momentum, as in NAdam.
      weight_decay_mask: Second name of ``mask``, which some optimizers of Optax use.

    Returns:
      The optimizer; its ``update`` needs ``params``.

    Raises:
      TypeError: A hyperparameter is no number, array or schedule.
      ValueError: ``eps``, ``eps_root``, ``weight_decay`` or ``schedule`` is a negative number,
        ``b1`` or ``b2`` is a number outside [0, 1), or both masks are passed; ``update`` is called
        without ``params``.

    Example:
      >>> import jax.numpy as jnp, numpy as np, optax
      >>> tx = adam_l2(0.1, weight_decay=0.1)
      >>> x = jnp.array([1.0, -1.0])
      >>> u, _ = tx.update(jnp.array([3.0, 0.0]), tx.init(x), x)
      >>> print(np.asarray(optax.apply_updates(x, u)).round(4))
      [ 0.9 -0.9]

    Source: Algorithm 1 of the paper (Adam-ℓ2).
    """
    return optax.chain(
        add_l2_gradient(weight_decay, one_mask(mask, weight_decay_mask)),
        adam_direction(
            learning_rate, b1, b2, eps, eps_root, mu_dtype, schedule=schedule, nesterov=nesterov
        ),
    )


def adamw(
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
    """Adam with decoupled weight decay.

    x ← x − η_t α m̂_t / (√v̂_t + ε) − η_t λ x.

    The optimizer is scale-free at ε = 0. It decays the parameter from which the step started.

    Args:
      learning_rate: Learning rate α, in units of the parameters per step; a number, traced scalar
        or schedule.
      b1: β₁ in [0, 1), decay of the first moment.
      b2: β₂ in [0, 1), decay of the second moment.
      eps: ε ≥ 0, added to √v̂ after bias correction; ``0.0`` selects the ε-free, overflow-safe
        moments.
      eps_root: Constant ≥ 0 added to v̂ inside the root.
      mu_dtype: dtype of the first moment; None means the dtype of the parameters.
      weight_decay: λ ≥ 0 per step, a number, traced scalar or schedule; *not* multiplied by the
        learning rate (optax's ``weight_decay`` is λ/α). Plain numbers with λη ≥ 0.1 cause a warning.
      mask: Pytree of booleans, True for regularized leaves, or a callable that returns one. None
        (the paper's choice) regularizes every parameter, including biases and BatchNorm.
      schedule: Multiplier η_t ≥ 0 of α and λ, a number or a callable of the step count (0 at the
        first step).
      nesterov: True for Nesterov momentum, as in NAdam.
      weight_decay_mask: Second name of ``mask``, which some optimizers of Optax use.

    Returns:
      The optimizer; its ``update`` needs ``params``.

    Raises:
      TypeError: A hyperparameter is no number, array or schedule.
      ValueError: ``eps``, ``eps_root``, ``weight_decay`` or ``schedule`` is a negative number,
        ``b1`` or ``b2`` is a number outside [0, 1), or both masks are passed; ``update`` is called
        without ``params``.

    Example:
      >>> import jax.numpy as jnp, numpy as np, optax
      >>> tx = adamw(0.1, weight_decay=0.05)
      >>> x = jnp.array([1.0, -1.0])
      >>> u, _ = tx.update(jnp.array([3.0, 0.0]), tx.init(x), x)
      >>> print(np.asarray(optax.apply_updates(x, u)).round(4))
      [ 0.85 -0.95]

    Source: Algorithm 1 of the paper (AdamW); Loshchilov and Hutter, 2019.
    """
    warn_of_large_decay(weight_decay, schedule, learning_rate)
    return optax.chain(
        adam_direction(
            learning_rate, b1, b2, eps, eps_root, mu_dtype, schedule=schedule, nesterov=nesterov
        ),
        decay_weights_unwarned(weight_decay, schedule, one_mask(mask, weight_decay_mask)),
    )


def adamprox(
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
    """Adam with the squared ℓ2 norm minimized by a proximal step.

    x ← (x − η_t α m̂_t / (√v̂_t + ε)) / (1 + η_t λ).

    The optimizer is scale-free at ε = 0 and shrinks *after* the Adam step. AdamW is its first-order
    expansion in η_t.

    Args:
      learning_rate: Learning rate α, in units of the parameters per step; a number, traced scalar
        or schedule.
      b1: β₁ in [0, 1), decay of the first moment.
      b2: β₂ in [0, 1), decay of the second moment.
      eps: ε ≥ 0, added to √v̂ after bias correction; ``0.0`` selects the ε-free, overflow-safe
        moments.
      eps_root: Constant ≥ 0 added to v̂ inside the root.
      mu_dtype: dtype of the first moment; None means the dtype of the parameters.
      weight_decay: λ ≥ 0 per step, a number, traced scalar or schedule; *not* multiplied by the
        learning rate (optax's ``weight_decay`` is λ/α). Plain numbers with λη ≥ 0.1 cause a warning.
      mask: Pytree of booleans, True for regularized leaves, or a callable that returns one. None
        (the paper's choice) regularizes every parameter, including biases and BatchNorm.
      schedule: Multiplier η_t ≥ 0 of α and λ, a number or a callable of the step count (0 at the
        first step).
      nesterov: True for Nesterov momentum, as in NAdam.
      weight_decay_mask: Second name of ``mask``, which some optimizers of Optax use.

    Returns:
      The optimizer; its ``update`` needs ``params``.

    Raises:
      TypeError: A hyperparameter is no number, array or schedule.
      ValueError: ``eps``, ``eps_root``, ``weight_decay`` or ``schedule`` is a negative number,
        ``b1`` or ``b2`` is a number outside [0, 1), or both masks are passed; ``update`` is called
        without ``params``.

    Example:
      >>> import jax.numpy as jnp, numpy as np, optax
      >>> tx = adamprox(0.1, weight_decay=0.05)
      >>> x = jnp.array([1.0, -1.0])
      >>> u, _ = tx.update(jnp.array([3.0, 0.0]), tx.init(x), x)
      >>> print(np.asarray(optax.apply_updates(x, u)).round(4))
      [ 0.8571 -0.9524]

    Source: eq. (5) of the paper.
    """
    check_nonnegative(weight_decay=weight_decay)  # `proximal` would name it weight
    warn_of_large_decay(weight_decay, schedule, learning_rate)
    return optax.chain(
        adam_direction(
            learning_rate, b1, b2, eps, eps_root, mu_dtype, schedule=schedule, nesterov=nesterov
        ),
        proximal(prox.squared_l2, weight_decay, schedule, one_mask(mask, weight_decay_mask)),
    )


def adamprox_l2(
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
    """Adam with the unsquared ℓ2 norm of the whole tree minimized by a proximal step.

    z = x − η_t α m̂_t / (√v̂_t + ε),   x ← max(1 − η_t λ/‖z‖₂, 0) · z.

    The optimizer is scale-free at ε = 0. All parameters become exactly zero at once when
    ‖z‖₂ ≤ η_t λ. Inside ``shard_map`` the norm would be that of one shard; there, chain
    `adam_direction` and `proximal` with ``functools.partial(prox.l2, axis_name=…)``.

    Args:
      learning_rate: Learning rate α, in units of the parameters per step; a number, traced scalar
        or schedule.
      b1: β₁ in [0, 1), decay of the first moment.
      b2: β₂ in [0, 1), decay of the second moment.
      eps: ε ≥ 0, added to √v̂ after bias correction; ``0.0`` selects the ε-free, overflow-safe
        moments.
      eps_root: Constant ≥ 0 added to v̂ inside the root.
      mu_dtype: dtype of the first moment; None means the dtype of the parameters.
      weight_decay: λ ≥ 0 per step, in units of the parameters' norm; a number, traced scalar or
        schedule, *not* multiplied by the learning rate (optax's ``weight_decay`` is λ/α).
      mask: Pytree of booleans, True for regularized leaves, or a callable that returns one. None
        (the paper's choice) regularizes every parameter, including biases and BatchNorm.
      schedule: Multiplier η_t ≥ 0 of α and λ, a number or a callable of the step count (0 at the
        first step).
      nesterov: True for Nesterov momentum, as in NAdam.
      weight_decay_mask: Second name of ``mask``, which some optimizers of Optax use.

    Returns:
      The optimizer; its ``update`` needs ``params``.

    Raises:
      TypeError: A hyperparameter is no number, array or schedule.
      ValueError: ``eps``, ``eps_root``, ``weight_decay`` or ``schedule`` is a negative number,
        ``b1`` or ``b2`` is a number outside [0, 1), or both masks are passed; ``update`` is called
        without ``params``.

    Example:
      >>> import jax.numpy as jnp, numpy as np, optax
      >>> tx = adamprox_l2(0.1, weight_decay=0.5)
      >>> x = jnp.array([3.1, 4.0])
      >>> u, _ = tx.update(jnp.array([3.0, 0.0]), tx.init(x), x)
      >>> print(np.asarray(optax.apply_updates(x, u)).round(4))
      [2.7 3.6]

    Source: §5 of the paper, AdamProxL2.
    """
    check_nonnegative(weight_decay=weight_decay)  # `proximal` would name it weight
    return optax.chain(
        adam_direction(
            learning_rate, b1, b2, eps, eps_root, mu_dtype, schedule=schedule, nesterov=nesterov
        ),
        proximal(prox.l2, weight_decay, schedule, one_mask(mask, weight_decay_mask)),
    )


def adamprox_l1(
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
    """Adam with the ℓ1 norm minimized by a proximal step, for parameters that are exactly zero.

    z = x − η_t α m̂_t / (√v̂_t + ε),   x ← sign(z) · max(|z| − η_t λ, 0).

    The optimizer is scale-free at ε = 0.

    Args:
      learning_rate: Learning rate α, in units of the parameters per step; a number, traced scalar
        or schedule.
      b1: β₁ in [0, 1), decay of the first moment.
      b2: β₂ in [0, 1), decay of the second moment.
      eps: ε ≥ 0, added to √v̂ after bias correction; ``0.0`` selects the ε-free, overflow-safe
        moments.
      eps_root: Constant ≥ 0 added to v̂ inside the root.
      mu_dtype: dtype of the first moment; None means the dtype of the parameters.
      weight_decay: λ ≥ 0 per step, in units of a parameter; a number, traced scalar or schedule,
        *not* multiplied by the learning rate (optax's ``weight_decay`` is λ/α).
      mask: Pytree of booleans, True for regularized leaves, or a callable that returns one. None
        (the paper's choice) regularizes every parameter, including biases and BatchNorm.
      schedule: Multiplier η_t ≥ 0 of α and λ, a number or a callable of the step count (0 at the
        first step).
      nesterov: True for Nesterov momentum, as in NAdam.
      weight_decay_mask: Second name of ``mask``, which some optimizers of Optax use.

    Returns:
      The optimizer; its ``update`` needs ``params``.

    Raises:
      TypeError: A hyperparameter is no number, array or schedule.
      ValueError: ``eps``, ``eps_root``, ``weight_decay`` or ``schedule`` is a negative number,
        ``b1`` or ``b2`` is a number outside [0, 1), or both masks are passed; ``update`` is called
        without ``params``.

    Example:
      >>> import jax.numpy as jnp, numpy as np, optax
      >>> tx = adamprox_l1(0.1, weight_decay=0.1)
      >>> x = jnp.array([0.15, -1.0])
      >>> u, _ = tx.update(jnp.array([3.0, 0.0]), tx.init(x), x)
      >>> print(np.asarray(optax.apply_updates(x, u)).round(4))
      [ 0.  -0.9]

    Source: §5 of the paper, the ℓ1 variant.
    """
    check_nonnegative(weight_decay=weight_decay)  # `proximal` would name it weight
    return optax.chain(
        adam_direction(
            learning_rate, b1, b2, eps, eps_root, mu_dtype, schedule=schedule, nesterov=nesterov
        ),
        proximal(prox.l1, weight_decay, schedule, one_mask(mask, weight_decay_mask)),
    )
