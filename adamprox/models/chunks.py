"""Loops over a batch in chunks that stay in a core's cache."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# Entries of an activation that one chunk covers: 256 KB in float32. Copies several times the size of
# the chunk then still fit in cache. From a quarter to four times of it times are within 10 %.
_ENTRIES = 65536


def _split(x: jax.Array, entries: int) -> int:
    """How many equal chunks of at most ``_ENTRIES`` to cut N images of ``entries`` into.

    A divisor of N, so that there is one compiled body and no remainder. A batch of prime size goes
    image by image, which is still within a factor of two.
    """
    n = x.shape[0]
    most = max(1, _ENTRIES // entries)
    return n // next(size for size in range(min(n, most), 0, -1) if n % size == 0)


def map_chunks(function: Callable, x: jax.Array, entries: int) -> jax.Array:
    """Apply ``function``, float[n, …] to float[n, …], to chunks of ``x`` along its first axis."""
    chunks = _split(x, entries)
    if chunks == 1:
        return function(x)
    y = lax.map(function, x.reshape(chunks, -1, *x.shape[1:]))
    return y.reshape(x.shape[0], *y.shape[2:])


def sum_chunks(function: Callable, x: jax.Array, dy: jax.Array, entries: int) -> jax.Array:
    """Add up ``function(x, dy)`` over chunks of both along their first axes, in its own type."""
    chunks = _split(x, entries)
    if chunks == 1:
        return function(x, dy)
    xs, dys = (a.reshape(chunks, -1, *a.shape[1:]) for a in (x, dy))
    zero = jax.tree.map(
        lambda out: jnp.zeros(out.shape, out.dtype), jax.eval_shape(function, xs[0], dys[0])
    )
    return lax.fori_loop(0, chunks, lambda i, total: total + function(xs[i], dys[i]), zero)
