"""Variants of weight decay, each in place of `decay_weights` at the end of a chain.

λ (``weight_decay``) is a decay per step, as everywhere in this package.
"""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from adamprox import prox
from adamprox.arguments import (
    Mask,
    Schedule,
    at_count,
    check_nonnegative,
    is_static_number,
    warn_of_large_decay,
)
from adamprox.transforms import (
    NO_PARAMS_MSG,
    add_scaled,
    decay_weights_unwarned,
    map_updates,
    masked,
    proximal,
    with_params,
)


class DecayToInitState(NamedTuple):
    """Number of steps taken, int32[], and a copy of the initial parameters."""

    count: Any
    initial: optax.Params


def cautious_decay(
    weight_decay: Schedule, schedule: Schedule = 1.0, mask: Mask | None = None
) -> optax.GradientTransformation:
    """Decay the coordinates that the step does not move away from zero.

    uᵢ ← uᵢ − η_t λ xᵢ  if uᵢxᵢ ≤ 0,  else uᵢ.

    The source writes I(dᵢxᵢ ≥ 0) for the descent direction d; the incoming update u is −αd. Place
    the transform after the learning rate. The test compares signs, so it is also right where uᵢxᵢ
    underflows to zero.

    Args:
      weight_decay: λ ≥ 0 per step, a number, traced scalar or schedule; *not* multiplied by the
        learning rate (optax's ``weight_decay`` is λ/α). Plain numbers with λη ≥ 0.1 cause a warning.
      schedule: Multiplier η_t ≥ 0 of λ, a number or a callable of the step count.
      mask: Pytree of booleans, or a callable that returns one; False leaves do not decay.

    Returns:
      A transformation whose ``update`` needs ``params``; parameters must be real.

    Raises:
      ValueError: ``weight_decay`` or ``schedule`` is a negative number, or ``params`` is not
        passed.

    Example:
      >>> import jax.numpy as jnp
      >>> tx, x = cautious_decay(0.0625), jnp.array([2.0, 2.0])
      >>> print(tx.update(jnp.array([-1.0, 1.0]), tx.init(x), x)[0])
      [-1.125  1.   ]

    Source: Chen et al., *Cautious Weight Decay*, 2025 (arXiv 2510.12402).
    """
    warn_of_large_decay(weight_decay, schedule)
    check_nonnegative(weight_decay=weight_decay, schedule=schedule)

    def step(updates, params, weight):
        def against(u, p):
            if jnp.iscomplexobj(p):
                raise TypeError(f"params must be real for cautious_decay, got {jnp.result_type(p)}")
            return jnp.where(jnp.sign(u) * jnp.sign(p) <= 0, p, 0)

        decayed = map_updates(against, updates, params)
        return add_scaled(updates, decayed, -weight)

    return with_params(step, weight_decay, schedule, mask)


def corrected_decay(
    weight_decay: Schedule,
    schedule: Schedule = 1.0,
    mask: Mask | None = None,
    *,
    peak: chex.Numeric = 1.0,
) -> optax.GradientTransformation:
    """Decay in proportion to the square of the schedule of the learning rate, as in AdamC.

    u ← u − λ (η_t²/η_max) x.

    The gradient norm of a layer with normalization then does not grow as η_t falls. The source
    corrects the layers that normalization follows and decays the others by `decay_weights`; select
    them by ``mask``.

    Args:
      weight_decay: λ ≥ 0 per step at η = 1, a number, traced scalar or schedule; *not* multiplied by
        the learning rate (optax's ``weight_decay`` is λ/α). Plain numbers with λη ≥ 0.1 cause a
        warning.
      schedule: Multiplier η_t ≥ 0 of the learning rate, a number or a callable of the step count.
      mask: Pytree of booleans, or a callable that returns one; False leaves do not decay.
      peak: η_max > 0, the largest value of ``schedule``.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      ValueError: ``weight_decay`` or ``schedule`` is a negative number, ``peak`` is not a positive
        number, or ``params`` is not passed.

    Example:
      >>> import jax.numpy as jnp
      >>> tx, x = corrected_decay(0.0625, lambda t: 0.5), jnp.array([2.0])
      >>> print(tx.update(jnp.array([0.0]), tx.init(x), x)[0])
      [-0.03125]

    Source: Defazio, *Why Gradients Rapidly Increase Near the End of Training*, 2025 (arXiv
    2506.02285), with wd · γ_t²/γ_max written as λ η_t²/η_max for γ_t = αη_t, λ = α · wd.
    """
    warn_of_large_decay(weight_decay, schedule)
    check_nonnegative(schedule=schedule)
    if is_static_number(peak) and not float(peak) > 0:
        raise ValueError(f"peak must be a number > 0, got {peak}")

    def squared(count: Any) -> Any:
        return at_count(schedule, count) ** 2 / peak

    return decay_weights_unwarned(weight_decay, squared, mask)


def huber_decay(
    weight_decay: Schedule,
    schedule: Schedule = 1.0,
    mask: Mask | None = None,
    *,
    delta: chex.Numeric = 1.0,
) -> optax.GradientTransformation:
    """Minimize Huber's function after a step: a decay that is linear up to δ and constant beyond.

    z = x + u,   x ← z/(1 + η_t λ) where |z| ≤ (1 + η_t λ)δ,   z − η_t λ δ sign(z) beyond.

    This is ``proximal(partial(prox.huber, delta=delta), weight_decay)``, which must be the last
    transform. AdamHD also adapts δ to each layer; δ is fixed here.

    Args:
      weight_decay: λ ≥ 0 per step, a number, traced scalar or schedule; *not* multiplied by the
        learning rate (optax's ``weight_decay`` is λ/α).
      schedule: Multiplier η_t ≥ 0 of λ, a number or a callable of the step count.
      mask: Pytree of booleans, or a callable that returns one; False leaves do not decay.
      delta: Finite δ > 0, in the units of the parameters.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      ValueError: ``weight_decay`` or ``schedule`` is a negative number, ``delta`` is not a positive
        number, or ``params`` is not passed.

    Example:
      >>> import jax.numpy as jnp
      >>> tx, x = huber_decay(0.25, delta=1.0), jnp.array([1.25, 8.0])
      >>> print(tx.update(jnp.zeros(2), tx.init(x), x)[0])
      [-0.25 -0.25]

    Source: Guo and Fan, *AdamHD: Decoupled Huber Decay Regularization*, 2025 (arXiv 2511.14721).
    """
    check_nonnegative(weight_decay=weight_decay)  # `proximal` would name it weight
    if is_static_number(delta) and not 0 < float(delta) < float("inf"):
        raise ValueError(f"delta must be a number in (0, ∞), got {delta}")
    operator = functools.partial(prox.huber, delta=delta)
    return proximal(operator, weight_decay, schedule, mask)


def decay_to_init(
    weight_decay: Schedule, schedule: Schedule = 1.0, mask: Mask | None = None
) -> optax.GradientTransformation:
    """Decay toward the parameters passed to ``init``: u ← u − η_t λ (x − x₀).

    This is the decoupled form of L2-SP, for fine-tuning. The state has a copy of x₀.

    Args:
      weight_decay: λ ≥ 0 per step, a number, traced scalar or schedule; *not* multiplied by the
        learning rate (optax's ``weight_decay`` is λ/α). Plain numbers with λη ≥ 0.1 cause a warning.
      schedule: Multiplier η_t ≥ 0 of λ, a number or a callable of the step count.
      mask: Pytree of booleans, or a callable that returns one; False leaves do not decay.

    Returns:
      A transformation whose ``update`` needs ``params``.

    Raises:
      ValueError: ``weight_decay`` or ``schedule`` is a negative number, or ``params`` is not
        passed.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = decay_to_init(0.0625)
      >>> state = tx.init(jnp.array([1.0]))
      >>> print(tx.update(jnp.array([0.0]), state, jnp.array([3.0]))[0])
      [-0.125]

    Source: Li, Grandvalet and Davoine, *Explicit Inductive Bias for Transfer Learning with
    Convolutional Networks*, 2018 (L2-SP), decoupled as in AdamW.
    """
    warn_of_large_decay(weight_decay, schedule)
    check_nonnegative(weight_decay=weight_decay, schedule=schedule)

    def init(params):
        copy = jax.tree.map(jnp.copy, params)
        return DecayToInitState(jnp.zeros([], jnp.int32), copy)

    def update(updates, state, params=None):
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        weight = at_count(weight_decay, state.count) * at_count(schedule, state.count)
        distance = jax.tree.map(jnp.subtract, params, state.initial)
        count = optax.safe_increment(state.count)
        return add_scaled(updates, distance, -weight), DecayToInitState(count, state.initial)

    transform = optax.GradientTransformation(init, update)
    return masked(transform, mask)
