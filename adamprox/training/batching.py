"""Ways to apply a function of one run to several runs, stacked on axis 0."""

from collections.abc import Callable, Sequence
from typing import Any

import jax


def vectorized(function: Callable, shared: Sequence[bool]) -> Callable:
    """Advance all runs in lockstep; convolutions with one kernel per run become grouped ones."""
    return jax.vmap(function, [None if same else 0 for same in shared])


def sequential(function: Callable, shared: Sequence[bool]) -> Callable:
    """Advance one run after the other."""

    def of_all(*args):
        def of_one(own):
            own = iter(own)
            return function(
                *(a if same else next(own) for a, same in zip(args, shared, strict=True))
            )

        return jax.lax.map(of_one, [a for a, same in zip(args, shared, strict=True) if not same])

    return of_all


def alone(function: Callable, shared: Sequence[bool]) -> Callable:
    """Advance the only run, without an axis of runs inside the function."""

    def of_all(*args):
        own = (a if same else squeezed(a) for a, same in zip(args, shared, strict=True))
        return jax.tree.map(lambda leaf: leaf[None], function(*own))

    return of_all


def squeezed(tree: Any) -> Any:
    """Return the only run of a tree."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def gradient_of(loss: Callable, way: Callable, shared: Sequence[bool]) -> Callable:
    """Return the gradients of a loss with respect to its first argument, for stacked runs.

    Vectorized runs differentiate the sum of their losses. The gradient of a grouped convolution has
    ``batch_group_count``, for which cuDNN has GPU kernels. The vectorized gradient of one convolution
    has ``feature_group_count`` instead, and XLA computes it as a convolution with a filter as large
    as the image.

    Args:
      loss: Function of one run, with results (loss, other results).
      way: `vectorized`, `sequential` or `alone`.
      shared: One boolean per argument, True if all runs share it.

    Returns:
      A function of all runs, with results (gradients, other results).
    """
    if way is not vectorized:
        return way(jax.grad(loss, has_aux=True), shared)
    losses = vectorized(loss, shared)

    def total(*args):
        of_each, others = losses(*args)
        return of_each.sum(), others

    return jax.grad(total, has_aux=True)


def batching(runs: int) -> Callable:
    """Return the way in which a device trains this number of runs.

    A CPU trains them one after the other, because its grouped convolutions are slow.
    """
    if runs == 1:
        return alone
    return sequential if jax.default_backend() == "cpu" else vectorized
