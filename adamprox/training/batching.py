"""Ways to apply a function of one run to runs that are stacked on axis 0."""

from collections.abc import Callable, Sequence
from typing import Any

import jax


def vectorized(function: Callable, shared: Sequence[bool]) -> Callable:
    """Have all runs advance in step: convolutions with a kernel a run become grouped ones."""
    return jax.vmap(function, [None if same else 0 for same in shared])


def sequential(function: Callable, shared: Sequence[bool]) -> Callable:
    """Have one run after the other take its turn."""

    def of_all(*args):
        def of_one(own):
            own = iter(own)
            return function(
                *(a if same else next(own) for a, same in zip(args, shared, strict=True))
            )

        return jax.lax.map(of_one, [a for a, same in zip(args, shared, strict=True) if not same])

    return of_all


def alone(function: Callable, shared: Sequence[bool]) -> Callable:
    """Have the only run take its turn, without any trace of an axis of runs."""

    def of_all(*args):
        own = (a if same else squeezed(a) for a, same in zip(args, shared, strict=True))
        return jax.tree.map(lambda leaf: leaf[None], function(*own))

    return of_all


def squeezed(tree: Any) -> Any:
    """Return the only run of a tree."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def batching(runs: int) -> Callable:
    """Return the way in which a device trains this many runs.

    On a CPU, where grouped convolutions are slow, they take turns.
    """
    if runs == 1:
        return alone
    return sequential if jax.default_backend() == "cpu" else vectorized
