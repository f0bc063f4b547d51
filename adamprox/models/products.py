"""3×3 convolutions and their gradients as matrix products, for shapes where these are faster."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from adamprox.models.chunks import map_chunks, sum_chunks


def _views(x, stride):
    """Return the nine views of ``x`` under a 3×3 kernel, each float[N, H/stride, W/stride, C]."""
    h, w = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i : i + h : stride, j : j + w : stride] for i in range(3) for j in range(3)]


def _across(x):
    """Concatenate three horizontal shifts of ``x``: float[N, H, W, 3C]."""
    w = x.shape[2]
    wide = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    return jnp.concatenate([wide[:, :, j : j + w] for j in range(3)], -1)


def _sum_products(a, b):
    """Return Aᵀ B over all but the last axes, summed in float32 or wider."""
    wide = jnp.promote_types(a.dtype, jnp.float32)
    a, b = (m.reshape(-1, m.shape[-1]) for m in (a, b))
    return lax.dot_general(a, b, (((0,), (0,)), ((), ())), preferred_element_type=wide)


def convolve_rows(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve at stride 1: one product of three horizontal shifts with all rows of the kernel.

    The function shifts the three results vertically and adds them. It moves the height to the first
    axis of a chunk, where a vertical shift is a contiguous block.
    """
    c, o = kernel.shape[2:]
    matrix = kernel.transpose(1, 2, 0, 3).reshape(3 * c, 3 * o)

    def on_chunk(x):
        n, h, w, _ = x.shape
        turned = _across(x.swapaxes(0, 1)).reshape(-1, 3 * c)
        rows = (turned @ matrix).reshape(h, n, w, 3, o)
        zero = jnp.zeros((1, n, w, o), x.dtype)
        above = jnp.concatenate([zero, rows[:-1, :, :, 0]])
        below = jnp.concatenate([rows[1:, :, :, 2], zero])
        return (above + rows[:, :, :, 1] + below).swapaxes(0, 1)

    return map_chunks(on_chunk, x, x.shape[1] * x.shape[2] * max(c, o))


def convolve_patches(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolve at any stride: one product of the nine concatenated views with the whole kernel."""
    n, h, w, c = x.shape
    patches = jnp.concatenate(_views(x, stride), -1).reshape(-1, 9 * c)
    out = patches @ kernel.reshape(9 * c, -1)
    return out.reshape(n, -(-h // stride), -(-w // stride), kernel.shape[-1])


def _taps(h, w):
    """Return the kernel entry, 0 … 8, between input pixel p and output pixel q; int[HW, HW]."""
    row, column = np.divmod(np.arange(h * w), w)
    return 3 * (row[:, None] - row + 1) + column[:, None] - column + 1


def convolve_dense(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve images of at most 2×2 at stride 1 as a dense layer: all pixels are neighbors."""
    n, h, w, c = x.shape
    blocks = kernel.reshape(9, c, -1)[_taps(h, w)]
    matrix = blocks.transpose(0, 2, 1, 3).reshape(h * w * c, -1)
    return (x.reshape(n, -1) @ matrix).reshape(n, h, w, -1)


def dense_kernel_gradient(x: jax.Array, dy: jax.Array) -> jax.Array:
    """Return the gradient of `convolve_dense` with respect to the kernel, float[3, 3, C, O]."""
    n, h, w, c = x.shape
    o = dy.shape[-1]
    products = _sum_products(x.reshape(n, -1), dy.reshape(n, -1)).reshape(h * w, c, h * w, o)
    blocks = products.transpose(0, 2, 1, 3).reshape(-1, c, o)
    own = [np.flatnonzero(_taps(h, w).ravel() == tap) for tap in range(9)]
    taps = jnp.stack([blocks[places].sum(0) for places in own])
    return taps.reshape(3, 3, c, o).astype(x.dtype)


def strided_input_gradient(dy: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return the gradient with respect to an input of even height and width, at stride 2.

    Input row 2p + a contributes to output p by kernel row 1 if a = 0, and to outputs p and p + 1 by
    kernel rows 2 and 0 if a = 1; columns are alike. Therefore 2×2 neighbors of dy give 2×2 pixels
    in one matrix product. 9 of its 16 blocks are nonzero; with dy spread over a grid of zeros, only
    9 of 36 would be.
    """
    c, o = kernel.shape[2:]
    taps = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))  # entry 3 is zero
    rows = np.array([[1, 2], [3, 0]])  # [neighbor, a]
    blocks = taps[rows[:, None, :, None], rows[None, :, None, :]]  # [2, 2, a, b, C, O]
    matrix = blocks.transpose(0, 1, 5, 2, 3, 4).reshape(4 * o, 4 * c)

    def on_chunk(dy):
        n, h, w, _ = dy.shape
        padded = jnp.pad(dy, ((0, 0), (0, 1), (0, 1), (0, 0)))
        views = [padded[:, i : i + h, j : j + w] for i in range(2) for j in range(2)]
        pixels = jnp.concatenate(views, -1).reshape(-1, 4 * o) @ matrix
        return pixels.reshape(n, h, w, 2, 2, c).swapaxes(2, 3).reshape(n, 2 * h, 2 * w, c)

    return map_chunks(on_chunk, dy, dy.shape[1] * dy.shape[2] * max(o, 4 * c))


def kernel_gradient(x: jax.Array, dy: jax.Array) -> jax.Array:
    """Return the kernel gradient at stride 1: one product of three shifts of x and three of dy."""
    c, o = x.shape[-1], dy.shape[-1]

    def on_chunk(x, dy):
        h = x.shape[1]
        tall = jnp.pad(dy, ((0, 0), (1, 1), (0, 0), (0, 0)))
        down = jnp.concatenate([tall[:, 2 - i : 2 - i + h] for i in range(3)], -1)
        return _sum_products(_across(x), down)

    total = sum_chunks(on_chunk, x, dy, x.shape[1] * x.shape[2] * max(c, o))
    return total.reshape(3, c, 3, o).transpose(2, 0, 1, 3).astype(x.dtype)


def strided_kernel_gradient(x: jax.Array, dy: jax.Array, stride: int) -> jax.Array:
    """Return the kernel gradient at any stride: one product for each of the nine views of x."""

    def on_chunk(x, dy):
        return jnp.stack([_sum_products(view, dy) for view in _views(x, stride)])

    total = sum_chunks(on_chunk, x, dy, x[0].size)
    return total.reshape(3, 3, x.shape[-1], dy.shape[-1]).astype(x.dtype)
