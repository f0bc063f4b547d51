"""The proximal step in Adam's own metric, to be held against the one of the paper."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from adamprox.prox import Prox
from adamprox.transforms import (
    NO_PARAMS_MSG,
    ScaleFreeAdamState,
    Schedule,
    at_count,
    check_nonnegative,
    scale_by_adam,
)


class ProxgenState(NamedTuple):
    """Steps taken, int32[], and the state of Adam's moments."""

    count: Any
    adam: optax.OptState


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

    Not scale-free, even at ε = 0: the threshold shrinks as the gradient of a coordinate grows. The
    optimizers of this library (M = ηI) use one threshold for all; this one is for comparison.

    Args:
      learning_rate: α, a number or a schedule.
      prox: An operator that treats every coordinate alone, as ``prox.l1``; never ``prox.l2``.
      weight: λ ≥ 0, in units of the loss: the minimizer of loss + λR is a fixed point. A number,
        traced scalar or schedule.
      b1: β₁ in [0, 1).
      b2: β₂ in [0, 1).
      eps: ε ≥ 0; with 0.0 a coordinate that never saw a gradient minimizes R alone, and stays where
        it is while η_t λ α = 0.
      schedule: η_t ≥ 0, a number or a callable of the step count.

    Returns:
      The optimizer; its ``update`` needs ``params``.

    Raises:
      ValueError: ``weight``, ``eps`` or ``schedule`` is a negative number, ``b1`` or ``b2`` one outside
        [0, 1), or ``params`` is not passed.

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
    check_nonnegative(weight=weight, schedule=schedule)
    adam = scale_by_adam(b1, b2, eps)

    def init(params):
        return ProxgenState(jnp.zeros([], jnp.int32), adam.init(params))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        direction, adam_state = adam.update(updates, state.adam, params)
        step_size = at_count(learning_rate, state.count) * at_count(schedule, state.count)
        pull = at_count(weight, state.count) * step_size
        roots = _root_second_moments(adam_state, b2)

        def on_leaf(u, p, root):
            if u is None:
                return None
            # Nothing pulls where λη is 0, whatever the metric: 0/0 is 0.
            threshold = jnp.where(pull == 0, 0, pull / (root + eps)).astype(root.dtype)
            target = p - step_size * u
            new = jax.vmap(prox)(target.ravel(), threshold.ravel())
            return new.reshape(p.shape).astype(p.dtype) - p

        new_updates = jax.tree.map(on_leaf, direction, params, roots, is_leaf=lambda x: x is None)
        return new_updates, ProxgenState(optax.safe_increment(state.count), adam_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _root_second_moments(state, b2):
    """√v̂, from either state of `scale_by_adam`."""
    if isinstance(state, ScaleFreeAdamState):
        correction = jnp.sqrt(1 - b2**state.count)
        return jax.tree.map(lambda s: s / correction.astype(s.dtype), state.root_nu)
    nu_hat = optax.tree.bias_correction(state.nu, b2, state.count)
    return jax.tree.map(lambda v: jnp.sqrt(jnp.real(v)), nu_hat)
