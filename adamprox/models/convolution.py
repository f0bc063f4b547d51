"""A 3×3 convolution whose gradients stay fast on a CPU, also inside ``lax.scan``.

XLA's CPU backend runs the forward convolution at full speed everywhere, but the gradient with
respect to the kernel slowly, and inside a loop both gradients fall to a path that is tens of times
slower. Here, on a CPU, the input gradient is written as one more forward convolution and the kernel
gradient as matrix products; on accelerators ``lax.conv`` keeps its own gradients.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# How many images one matrix product of the kernel gradient covers: small enough that the shifted
# copies of a chunk stay in cache.
_CHUNK = 16
# Up to this height and width XLA's convolution spends its time on padding. Every pixel sees every
# other, so the convolution is one matrix product, several times faster.
_SMALL = 2


def _lax_conv(x, kernel, stride):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _patch_conv(x, kernel, stride):
    n, h, w, c = x.shape
    patches = jnp.concatenate(_shifts(x, stride), -1)
    out = patches.reshape(-1, 9 * c) @ kernel.reshape(9 * c, -1)
    return out.reshape(n, -(-h // stride), -(-w // stride), -1)


def _shifts(x, stride):
    """The nine views of ``x`` that a 3×3 kernel sees, each float[N, H/stride, W/stride, C]."""
    h, w = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i : i + h : stride, j : j + w : stride] for i in range(3) for j in range(3)]


def _taps(h, w):
    """Which entry of the kernel, 0 … 8, joins input pixel p to output pixel q; int[HW, HW]."""
    row, column = np.divmod(np.arange(h * w), w)
    return 3 * (row[:, None] - row + 1) + column[:, None] - column + 1


def _dense_conv(x, kernel):
    n, h, w, c = x.shape
    blocks = kernel.reshape(9, c, -1)[_taps(h, w)]
    matrix = blocks.transpose(0, 2, 1, 3).reshape(h * w * c, -1)
    return (x.reshape(n, -1) @ matrix).reshape(n, h, w, -1)


def _dense_kernel_gradient(x, dy):
    n, h, w, c = x.shape
    products = (x.reshape(n, -1).T @ dy.reshape(n, -1)).reshape(h * w, c, h * w, -1)
    blocks = products.transpose(0, 2, 1, 3).reshape(-1, c, dy.shape[-1])
    zero = jnp.zeros((9, c, dy.shape[-1]), x.dtype)
    return zero.at[_taps(h, w).ravel()].add(blocks).reshape(3, 3, c, -1)


def _forward(x, kernel, stride):
    size = max(x.shape[1:3])
    if stride == 1 and size <= _SMALL:
        return _dense_conv(x, kernel)
    return (_patch_conv if size <= _SMALL * stride else _lax_conv)(x, kernel, stride)


def _input_gradient(dy, kernel, stride, shape):
    """The transposed convolution, as a stride-1 convolution with the flipped kernel."""
    if stride > 1:
        # Undo the stride by spreading dy over a grid of zeros of the input's size.
        spread = [(0, full - (small - 1) * stride - 1, stride - 1)
                  for full, small in zip(shape[1:3], dy.shape[1:3], strict=True)]  # fmt: skip
        dy = lax.pad(dy, jnp.zeros([], dy.dtype), [(0, 0, 0), *spread, (0, 0, 0)])
    return _forward(dy, kernel[::-1, ::-1].swapaxes(2, 3), 1)


def _kernel_gradient(x, dy, stride):
    n = x.shape[0]
    if stride > 1:
        d = dy.reshape(-1, dy.shape[-1])
        gradient = jnp.stack([view.reshape(-1, x.shape[-1]).T @ d for view in _shifts(x, stride)])
        return gradient.reshape(3, 3, x.shape[-1], dy.shape[-1])
    if max(x.shape[1:3]) <= _SMALL:
        return _dense_kernel_gradient(x, dy)
    if n % _CHUNK or n == _CHUNK:
        return _kernel_gradient_chunk(x, dy)
    xs, dys = (a.reshape(n // _CHUNK, _CHUNK, *a.shape[1:]) for a in (x, dy))
    zero = jnp.zeros((3, 3, x.shape[-1], dy.shape[-1]), x.dtype)
    return lax.fori_loop(
        0, n // _CHUNK, lambda i, total: total + _kernel_gradient_chunk(xs[i], dys[i]), zero
    )


def _kernel_gradient_chunk(x, dy):
    """Three horizontal shifts of x against three vertical shifts of dy: one matrix product."""
    _, h, w, c = x.shape
    o = dy.shape[-1]
    wide = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    tall = jnp.pad(dy, ((0, 0), (1, 1), (0, 0), (0, 0)))
    across = jnp.concatenate([wide[:, :, j : j + w] for j in range(3)], -1).reshape(-1, 3 * c)
    down = jnp.concatenate([tall[:, 2 - i : 2 - i + h] for i in range(3)], -1).reshape(-1, 3 * o)
    return (across.T @ down).reshape(3, c, 3, o).transpose(2, 0, 1, 3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _cpu_conv(x, kernel, stride):
    return _forward(x, kernel, stride)


def _cpu_conv_fwd(x, kernel, stride):
    return _forward(x, kernel, stride), (x, kernel)


def _cpu_conv_bwd(stride, residuals, dy):
    x, kernel = residuals
    return _input_gradient(dy, kernel, stride, x.shape), _kernel_gradient(x, dy, stride)


_cpu_conv.defvjp(_cpu_conv_fwd, _cpu_conv_bwd)


def conv3x3(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Convolve with a 3×3 kernel and one pixel of zero padding on every side.

    y[n, p, q, o] = Σ_{i,j,c} x[n, sp+i−1, sq+j−1, c] · kernel[i, j, c, o]

    Args:
      x: float[N, H, W, C].
      kernel: float[3, 3, C, O].
      stride: s, 1 or 2.

    Returns:
      float[N, ⌈H/s⌉, ⌈W/s⌉, O], the value of ``lax.conv_general_dilated``.

    Example:
      >>> import jax.numpy as jnp
      >>> print(conv3x3(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0])
      [[4. 6. 4.]
       [6. 9. 6.]
       [4. 6. 4.]]
    """
    # Chosen when lowered, for the platform the program really runs on.
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: _cpu_conv(x, kernel, stride),
        default=lambda x, kernel: _lax_conv(x, kernel, stride),
    )


class Conv3x3(nn.Module):
    """A bias-free 3×3 convolution, parameters as those of ``nn.Conv``: kernel float[3, 3, C, O]."""

    features: int
    stride: int = 1
    kernel_init: Callable[..., jax.Array] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Float[N, H, W, C] to float[N, ⌈H/stride⌉, ⌈W/stride⌉, features]."""
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features))
        return conv3x3(x, kernel, self.stride)
