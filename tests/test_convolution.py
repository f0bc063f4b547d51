"""The 3×3 convolution and its gradients on a CPU against ``lax.conv``, whatever way a shape takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adamprox.models.convolution import (
    _conv_of_blocks,
    _cpu_conv,
    _fits_winograd,
    _lax_conv,
    conv3x3,
)

# N, H, W, C, O: one for every way through the module, batches with and without a divisor.
SHAPES = [
    (5, 8, 8, 3, 16),  # rows
    (3, 32, 32, 16, 16),  # lax.conv; the kernel's gradient in chunks
    (6, 16, 16, 32, 32),  # Winograd
    (20, 8, 16, 48, 40),  # Winograd, not square, in several chunks
    (7, 4, 4, 32, 64),  # Winograd, a single tile
    (4, 6, 8, 32, 32),  # Winograd is not for 6
    (5, 2, 2, 8, 4),  # dense
    (3, 1, 2, 4, 6),
    (11, 7, 5, 3, 2),  # odd sizes
]


def run(convolve, x, kernel, dy, stride):
    """The result and both gradients."""
    y, vjp = jax.vjp(lambda x, kernel: convolve(x, kernel, stride), x, kernel)
    return (y, *vjp(dy))


def operands(shape, stride, dtype=jnp.float32):
    n, h, w, c, o = shape
    rng = np.random.default_rng(0)
    sizes = (n, h, w, c), (3, 3, c, o), (n, -(-h // stride), -(-w // stride), o)
    return [jnp.asarray(rng.standard_normal(size), dtype) for size in sizes]


def assert_close(actual, expected, tolerance):
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape and a.dtype == e.dtype
        a, e = (np.asarray(value, np.float64) for value in (a, e))
        np.testing.assert_allclose(a, e, rtol=0, atol=tolerance * abs(e).max())


def both(args, stride):
    return [jax.jit(lambda *a, f=f: run(f, *a, stride))(*args) for f in (_cpu_conv, _lax_conv)]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "shape",
    [*SHAPES[:3], *(pytest.param(s, marks=pytest.mark.slow) for s in SHAPES[3:5]), *SHAPES[5:]],
)
def test_result_and_gradients(shape, stride):
    assert_close(*both(operands(shape, stride), stride), 1e-5)


@pytest.mark.parametrize(("shape", "stride"), [(SHAPES[2], 1), (SHAPES[0], 1), (SHAPES[2], 2)])
def test_double_precision(x64, shape, stride):
    """Nothing on the way is rounded to float32, and no constant of Winograd's is approximate."""
    assert_close(*both(operands(shape, stride, jnp.float64), stride), 1e-11)


@pytest.mark.parametrize("shape", [(5, 8, 8, 3, 16), (4, 6, 8, 16, 32), (3, 2, 2, 1, 3)])
def test_stride_2_as_a_convolution_of_blocks(x64, shape):
    """The way of accelerators, which choose it for even heights and widths."""
    args = operands(shape, 2, jnp.float64)
    blocks = run(lambda x, kernel, _: _conv_of_blocks(x, kernel), *args, 2)
    assert_close(blocks, run(_lax_conv, *args, 2), 1e-13)


@pytest.mark.parametrize(("shape", "stride"), [(SHAPES[2], 1), (SHAPES[1], 1), (SHAPES[2], 2)])
def test_half_precision(shape, stride):
    """Of bfloat16 the result is what float32 gives for the same numbers, rounded once or twice."""
    args = operands(shape, stride, jnp.bfloat16)
    actual = jax.jit(lambda *a: run(_cpu_conv, *a, stride))(*args)
    assert all(a.dtype == jnp.bfloat16 for a in actual)
    expected = run(_lax_conv, *(a.astype(jnp.float32) for a in args), stride)
    assert_close([a.astype(jnp.float32) for a in actual], expected, 2**-7)


@settings(max_examples=8)
@given(
    n=st.integers(1, 9), h=st.integers(1, 9), w=st.integers(1, 9),
    c=st.sampled_from([1, 5, 32]), o=st.sampled_from([2, 33]), stride=st.sampled_from([1, 2]),
)  # fmt: skip
def test_any_shape(n, h, w, c, o, stride):
    assert_close(*both(operands((n, h, w, c, o), stride), stride), 1e-5)


@pytest.mark.parametrize(("shape", "stride"), [(SHAPES[2], 1), (SHAPES[0], 2)])
def test_batched_kernels(shape, stride):
    """``vmap`` over cells: images shared, kernels each their own."""
    x, kernel, dy = operands(shape, stride)
    kernels = jnp.stack([kernel, 2 * kernel, kernel[::-1]])

    def cell(kernel):
        return run(conv3x3, x, kernel, dy, stride)

    batched = jax.jit(jax.vmap(cell))(kernels)
    for number in range(3):
        expected = run(_lax_conv, x, kernels[number], dy, stride)
        assert_close([leaf[number] for leaf in batched], expected, 1e-5)


@pytest.mark.slow  # test_many_devices trains a network on eight devices
def test_images_on_eight_devices(run_with_devices):
    run_with_devices(8, "tests/sharded_convolution.py")


def test_where_winograd_is_taken():
    assert _fits_winograd((128, 16, 16, 32), 32) and _fits_winograd((1, 4, 8, 64), 32)
    for shape, features in [((2, 6, 8, 32), 32), ((2, 8, 8, 16), 32), ((2, 8, 8, 32), 12)]:
        assert not _fits_winograd(shape, features)
