"""A wrapper that keeps the step of any optimizer finite."""

import jax
import jax.numpy as jnp
import optax


def finite(tx: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Keep the step and the state of any Optax optimizer finite while its gradients are finite.

    uᵢ ← uᵢ if it is finite, else 0;   sᵢ ← sᵢ if it is finite, else its value before the step;
    for the entries uᵢ of the step and sᵢ of the state.

    In float16 an ε of 1e-8 rounds to zero, so ``optax.adam`` divides 0 by 0, and squares above
    65,504 are infinite. The wrapper does not change finite entries. (Under ``jit``, XLA may still
    round the operations of ``tx`` in another way.) If a gradient is not finite, step and state pass
    unchanged, so that ``optax.apply_if_finite`` around the wrapper sees it.

    A parameter may still overflow when the step is added to it.

    Args:
      tx: Optimizer or transformation whose state has the same structure before and after a step.

    Returns:
      A transformation with the state of ``tx``.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> x = jnp.ones(2, jnp.float16)
      >>> def first_step(tx):
      ...     return tx.update(jnp.array([0.0, 1.0], jnp.float16), tx.init(x), x)[0]
      >>> print(first_step(optax.adam(0.5)), first_step(finite(optax.adam(0.5))))
      [ nan -0.5] [ 0.  -0.5]

    Source: this project; issues 1754, 1784 and 1789 of Optax.
    """
    tx = optax.with_extra_args_support(tx)

    def update(updates, state, params=None, **extra_args):
        gradients_are_finite = _all_finite(updates)
        steps, after = tx.update(updates, state, params, **extra_args)

        def mend(steps, after):
            return jax.tree.map(lambda u: _keep(u, 0), steps), jax.tree.map(_keep, after, state)

        # A condition is a boundary for XLA, which would fuse a selection with the step.
        fine = _all_finite((steps, after)) | ~gradients_are_finite
        return jax.lax.cond(fine, lambda *same: same, mend, steps, after)

    return optax.GradientTransformationExtraArgs(tx.init, update)


def _keep(new, old):
    """Return ``new`` where it is finite, else ``old``."""
    if not _is_inexact(new):
        return new
    return jnp.where(_is_finite(new), new, old).astype(jnp.result_type(new))


def _all_finite(tree):
    return jnp.all(jnp.array([jnp.all(_is_finite(x)) for x in jax.tree.leaves(tree)]))


def _is_inexact(x) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _is_finite(x):
    """Return True for the finite entries of ``x``, after rounding to the dtype of ``x``."""
    if not _is_inexact(x):
        return jnp.ones(jnp.shape(x), bool)
    limits = jnp.finfo(jnp.result_type(x))
    if limits.bits < 32:
        # A fusion of XLA may hold half precision in float32, in which nothing overflows.
        x = jax.lax.reduce_precision(x, limits.nexp, limits.nmant)
    return jnp.isfinite(x)
