"""Loops over a batch in chunks that fit in the cache of a core."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# Entries of an activation in one chunk: 256 KB in float32. Temporary copies several times this size
# still fit in the cache. Chunks between 1/4 and 4 times this size are within 10 % of its speed.
_ENTRIES = 65536


def _split(x: jax.Array, entries: int) -> int:
    """Return the number of equal chunks of at most ``_ENTRIES``, for N images of ``entries``.

    The number divides N, which avoids a second compiled body for a remainder. A batch of prime size
    is cut into single images, at most twice as slow.
    """
    n = x.shape[0]
    most = max(1, _ENTRIES // entries)
    return n // next(size for size in range(min(n, most), 0, -1) if n % size == 0)


def map_chunks(function: Callable, x: jax.Array, entries: int) -> jax.Array:
    """Apply ``function``, float[n, …] -> float[n, …], to chunks of ``x`` along its first axis."""
    chunks = _split(x, entries)
    if chunks == 1:
        return function(x)
    y = lax.map(function, x.reshape(chunks, -1, *x.shape[1:]))
    return y.reshape(x.shape[0], *y.shape[2:])


def sum_chunks(function: Callable, x: jax.Array, dy: jax.Array, entries: int) -> jax.Array:
    """Sum ``function(x, dy)`` over chunks along the first axes, in the dtype of its result."""
    chunks = _split(x, entries)
    if chunks == 1:
        return function(x, dy)
    xs, dys = (a.reshape(chunks, -1, *a.shape[1:]) for a in (x, dy))
    zero = jax.tree.map(
        lambda out: jnp.zeros(out.shape, out.dtype), jax.eval_shape(function, xs[0], dys[0])
    )
    return lax.fori_loop(0, chunks, lambda i, total: total + function(xs[i], dys[i]), zero)
