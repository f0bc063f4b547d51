"""A 3×3 convolution with fast gradients on a CPU, also inside ``lax.scan``.

XLA's CPU backend runs some forward convolutions at full speed. Its gradients are slow, and tens of
times slower inside a loop. On a CPU this module computes the result, the input gradient and the
kernel gradient by the fastest of a few exact algorithms for the shape. On accelerators it uses
``lax.conv`` and its gradients. ``python -m benchmarks.convolution`` measures the algorithms.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from adamprox.models import products, winograd

# Up to this height and width most of a convolution's time goes to padding.
_SMALL = 2
# With at least this many input and output channels, Winograd's transforms cost less than they save.
_WINOGRAD_CHANNELS = 32
# With fewer input channels ``lax.conv`` leaves most of its vector registers empty.
_FEW_CHANNELS = 8


def _lax_conv(x, kernel, stride):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _conv_of_blocks(x, kernel):
    """Convolve with stride 2 as a 2×2 convolution of 2×2 blocks, whose pixels become channels.

    cuDNN has no grouped kernels for strides: it copies every group, and convolves one by one. The
    block p of the result depends on the blocks p − 1 and p, the first row and column of which count
    with a kernel of zero.
    """
    n, h, w, c = x.shape
    blocks = x.reshape(n, h // 2, 2, w // 2, 2, c).swapaxes(2, 3)
    padded = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
    taps = padded.reshape(2, 2, 2, 2, c, -1).swapaxes(1, 2)
    return lax.conv_general_dilated(
        blocks.reshape(n, h // 2, w // 2, 4 * c),
        taps.reshape(2, 2, 4 * c, -1),
        (1, 1),
        ((1, 0), (1, 0)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _fits_winograd(shape, features):
    _, h, w, c = shape
    whole_tiles = h % winograd.TILE == w % winograd.TILE == 0
    return whole_tiles and min(c, features) >= _WINOGRAD_CHANNELS


def _forward(x, kernel, stride):
    size = max(x.shape[1:3])
    if stride > 1:
        small = size <= _SMALL * stride
        return (products.convolve_patches if small else _lax_conv)(x, kernel, stride)
    if size <= _SMALL:
        return products.convolve_dense(x, kernel)
    if _fits_winograd(x.shape, kernel.shape[-1]):
        return winograd.convolve(x, kernel)
    if x.shape[-1] < _FEW_CHANNELS:
        return products.convolve_rows(x, kernel)
    return _lax_conv(x, kernel, 1)


def _input_gradient(dy, kernel, stride, shape):
    """Return the transposed convolution; at stride 1, a convolution with the flipped kernel."""
    if stride == 1:
        return _forward(dy, kernel[::-1, ::-1].swapaxes(2, 3), 1)
    if stride == 2 and shape[1] % 2 == shape[2] % 2 == 0:
        return products.strided_input_gradient(dy, kernel)
    # Undo the stride: spread dy over a grid of zeros of the input's size.
    spread = [(0, full - (small - 1) * stride - 1, stride - 1)
              for full, small in zip(shape[1:3], dy.shape[1:3], strict=True)]  # fmt: skip
    dy = lax.pad(dy, jnp.zeros([], dy.dtype), [(0, 0, 0), *spread, (0, 0, 0)])
    return _input_gradient(dy, kernel, 1, shape)


def _kernel_gradient(x, dy, stride):
    if stride > 1:
        return products.strided_kernel_gradient(x, dy, stride)
    if max(x.shape[1:3]) <= _SMALL:
        return products.dense_kernel_gradient(x, dy)
    if _fits_winograd(x.shape, dy.shape[-1]):
        return winograd.kernel_gradient(x, dy)
    return products.kernel_gradient(x, dy)


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
      x: Images, float[N, H, W, C].
      kernel: Kernel, float[3, 3, C, O].
      stride: Stride s, 1 or 2.

    Returns:
      float[N, ⌈H/s⌉, ⌈W/s⌉, O], equal to ``lax.conv_general_dilated`` to 1e-5 of the largest entry.

    Example:
      >>> import jax.numpy as jnp
      >>> print(conv3x3(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0])
      [[4. 6. 4.]
       [6. 9. 6.]
       [4. 6. 4.]]
    """
    if x.size == 0:  # an empty batch has no chunks
        return _lax_conv(x, kernel, stride)
    whole_blocks = stride == 2 and x.shape[1] % 2 == x.shape[2] % 2 == 0
    # JAX chooses at lowering, for the platform on which the program runs.
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: _cpu_conv(x, kernel, stride),
        default=_conv_of_blocks if whole_blocks else lambda x, kernel: _lax_conv(x, kernel, stride),
    )
