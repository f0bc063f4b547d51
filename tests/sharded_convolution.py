"""Run with eight devices: a batch sharded over them gives what one device gives."""

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from adamprox.models.convolution import _lax_conv, conv3x3

SHAPES_AND_STRIDES = (((16, 8, 8, 32), 1), ((64, 32, 32, 4), 1), ((16, 8, 8, 32), 2))


def gradients(convolve, x, kernel, stride):
    return jax.grad(lambda x, k: (convolve(x, k, stride) ** 2).mean(), (0, 1))(x, kernel)


def check(shape, stride):
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (3, 3, shape[-1], 32))
    expected = gradients(_lax_conv, x, kernel, stride)
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("batch")))
    actual = jax.jit(gradients, static_argnums=(0, 3))(conv3x3, sharded, kernel, stride)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-5 * float(abs(e).max()))


if __name__ == "__main__":
    for shape, stride in SHAPES_AND_STRIDES:
        check(shape, stride)
