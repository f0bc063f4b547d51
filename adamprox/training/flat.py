"""All P parameters of each of K runs as one vector, which an accelerator updates in a few kernels.

A deep network has a hundred small arrays of parameters. An optimizer that acts on single coordinates
can treat them as one vector.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from adamprox.training.step import TrainState


class Layout(NamedTuple):
    """Conversions between the state of an epoch and that of its loop over steps.

    Attributes:
      read: Function that converts the loop's parameters to the pytree of the network.
      write: Its inverse, also for gradients.
      start: Function that converts the state of an epoch to the loop's state.
      end: Its inverse.
    """

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    start: Callable[[TrainState], TrainState]
    end: Callable[[TrainState], TrainState]


def as_tree(whole: TrainState) -> Layout:
    """Return the layout that changes nothing."""
    del whole
    return Layout(*[lambda x: x] * 4)


def as_vectors(whole: TrainState) -> Layout:
    """Return the layout with one vector per run, float32[K, P].

    Args:
      whole: State at the start of an epoch, or one with its shapes.
    """
    params = whole.variables["params"]
    structure = jax.tree.structure(params)

    def like_params(tree):
        return jax.tree.structure(tree) == structure

    def start(state):
        moments = jax.tree.map(
            lambda tree: ravel(tree) if like_params(tree) else tree,
            state.opt_states,
            is_leaf=like_params,
        )
        variables = {**state.variables, "params": ravel(state.variables["params"])}
        return state._replace(variables=variables, opt_states=moments)

    def end(state):
        moments = jax.tree.map(
            lambda tree, now: unravel(now, tree) if like_params(tree) else now,
            whole.opt_states,
            state.opt_states,
            is_leaf=like_params,
        )
        variables = {**state.variables, "params": read(state.variables["params"])}
        return state._replace(variables=variables, opt_states=moments)

    def read(vectors):
        return unravel(vectors, params)

    return Layout(read, ravel, start, end)


def ravel(tree: Any) -> jax.Array:
    """Join stacked leaves [K, …] to one array [K, P]."""
    return jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(tree)], axis=1)


def unravel(vectors: jax.Array, like: Any) -> Any:
    """Divide an array [K, P] into leaves with the shapes of those of ``like``."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf[0].size for leaf in leaves])[:-1]
    parts = jnp.split(vectors, ends, axis=1)
    shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, shaped)
