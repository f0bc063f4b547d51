"""3×3 convolutions in Winograd's domain: 36 products for 16 outputs where the definition takes 144.

A tile of 4×4 outputs depends on a window of 6×6 inputs. Evaluate both polynomials of a
one-dimensional convolution at five points and at infinity: there it is six plain products. In two
dimensions, with A, B, G the matrices of one,

  Y = Aᵀ [(G K Gᵀ) ⊙ (Bᵀ X B)] A,    ∂K = Gᵀ [(Bᵀ X B) ⊙ (A ∂Y Aᵀ)] G,

and the sum over channels, or images, makes a matrix product of each of the 36 entries of ⊙.

Source: Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*, 2016. The points 0, 1,
−1, ½, −2 in place of their 0, ±1, ±2 err a third as much: 2e-6 of the largest entry in float32.
"""

import jax
import jax.numpy as jnp
import numpy as np

from adamprox.models.chunks import map_chunks, sum_chunks

TILE = 4
_POINTS = (0, 1, -1, 1 / 2, -2)
_WINDOW = TILE + 2


def _matrices():
    """A float[6, 4], B float[6, 6], G float[6, 3]; row i belongs to point i, the last to infinity."""

    def evaluate(degree):
        at_infinity = np.eye(degree)[-1]
        return np.stack([*(np.power(float(p), np.arange(degree)) for p in _POINTS), at_infinity])

    interpolate = np.linalg.inv(evaluate(_WINDOW)).T
    # A factor may move from B to G; this one makes 1 the largest entry of each row of B. All of B are
    # then short decimals, so rounding removes the inverse's error and makes zeros zero.
    scale = abs(interpolate).max(1, keepdims=True)
    return evaluate(TILE), (interpolate / scale).round(12), evaluate(3) * scale


_A, _B, _G = _matrices()


def _combine(matrix, parts, axis=0):
    """Stack Σ_j matrix[i, j] · parts[j] over i. Written out: no product with a zero is left."""
    rows = [[float(m) * part for m, part in zip(row, parts, strict=True) if m] for row in matrix]
    return jnp.stack([sum(row[1:], row[0]) for row in rows], axis)


def _windows(x):
    """Bᵀ X B of every tile: float[N, H, W, C] to float[36, N·H·W/16, C]."""
    _, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = _combine(_B, [x[:, i : i + h - 3 : TILE] for i in range(_WINDOW)])
    x = _combine(_B, [x[:, :, :, j : j + w - 3 : TILE] for j in range(_WINDOW)])
    return x.reshape(_WINDOW**2, -1, c)


def _spread_tiles(dy):
    """A ∂Y Aᵀ of every tile: float[N, H, W, O] to float[36, N·H·W/16, O]."""
    o = dy.shape[-1]
    dy = _combine(_A, [dy[:, i::TILE] for i in range(TILE)])
    dy = _combine(_A, [dy[:, :, :, j::TILE] for j in range(TILE)])
    return dy.reshape(_WINDOW**2, -1, o)


def _tiles(products, n, h, w):
    """Aᵀ M A of every tile: float[36, N·H·W/16, O] to float[N, H, W, O]."""
    products = products.reshape(_WINDOW, _WINDOW, n, h // TILE, w // TILE, -1)
    rows = _combine(_A.T, list(products), axis=-2)
    return _combine(_A.T, list(rows), axis=2).reshape(n, h, w, -1)


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 3×3 convolution of stride 1 with zero padding.

    Args:
      x: float[N, H, W, C], H and W multiples of 4.
      kernel: float[3, 3, C, O].

    Returns:
      float[N, H, W, O], of x's type; computed in float32 or wider.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    # The second axis is transformed last and is the first of the 36: the kernel's is transposed.
    c, o = kernel.shape[2:]
    g = np.array(_G, wide)  # in the kernel's own precision: nothing is left to convert
    points = jnp.einsum("ai,bj,ijco->baco", g, g, kernel.astype(wide), precision="highest")
    points = points.reshape(_WINDOW**2, c, o).astype(wide)

    def on_chunk(x):
        n, h, w, _ = x.shape
        products = jnp.einsum("tnc,tco->tno", _windows(x.astype(wide)), points)
        return _tiles(products, n, h, w).astype(x.dtype)

    return map_chunks(on_chunk, x, x[0].size)


def kernel_gradient(x: jax.Array, dy: jax.Array) -> jax.Array:
    """The gradient of `convolve` with respect to the kernel.

    Args:
      x: float[N, H, W, C].
      dy: float[N, H, W, O], the gradient with respect to the result.

    Returns:
      float[3, 3, C, O], of x's type; computed in float32 or wider.
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)

    def on_chunk(x, dy):
        windows, tiles = _windows(x.astype(wide)), _spread_tiles(dy.astype(wide))
        return jnp.einsum("tnc,tno->tco", windows, tiles)

    total = sum_chunks(on_chunk, x, dy, x[0].size)
    total = total.reshape(_WINDOW, _WINDOW, *total.shape[1:])
    g = np.array(_G, wide)
    gradient = jnp.einsum("ai,bj,baco->ijco", g, g, total, precision="highest")
    return gradient.astype(x.dtype)
