"""Shared by the operators that sort or rank: one vector of all entries, and magnitudes."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from adamprox.prox._arithmetic import largest_part, relative_norm, safe_scale, times, widen


def on_vector(function: Callable[[jax.Array], jax.Array], tree):
    """Apply ``function`` to one vector of all entries, float32 or wider, and rebuild the tree.

    The function does not run on an empty vector.
    """
    leaves, structure = jax.tree.flatten(tree)
    wide = [widen(leaf) for leaf in leaves]
    if not sum(x.size for x in wide):
        return tree
    dtype = functools.reduce(jnp.promote_types, (x.dtype for x in wide))
    result = function(jnp.concatenate([x.ravel().astype(dtype) for x in wide]))
    ends = np.cumsum([x.size for x in wide])[:-1]
    parts = [_cast(*pair) for pair in zip(jnp.split(result, ends), leaves, strict=True)]
    return jax.tree.unflatten(structure, parts)


def _cast(part, leaf):
    leaf = jnp.asarray(leaf)
    real = jnp.iscomplexobj(part) and not jnp.iscomplexobj(leaf)
    return (jnp.real(part) if real else part).reshape(leaf.shape).astype(leaf.dtype)


def magnitude(x):
    """Return |x| without overflow of squares; its derivative at zero is 0."""
    if not jnp.iscomplexobj(x):
        return jnp.abs(x)
    scale = safe_scale(largest_part(x))
    return scale * jnp.vectorize(relative_norm)(x, scale)


def with_magnitude(x, new, old):
    """Return x with magnitude ``new`` instead of ``old`` = |x|: the sign or the phase stays."""
    if jnp.iscomplexobj(x):
        zero = old == 0
        return times(x, jnp.where(zero, 0, new / jnp.where(zero, 1, old)))
    return jnp.where(new == 0, 0, jnp.sign(x) * new)  # no negative zeros
