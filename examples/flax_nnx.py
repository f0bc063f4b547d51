"""Train a flax.nnx network with AdamProx; biases are not decayed.

``nnx.Optimizer`` calls ``update`` with the parameters, as every optimizer of adamprox needs. The
mask is a function, because nnx passes a state instead of a dictionary.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import adamprox


def kernels(params):
    """Return a mask that is True for matrices."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


@nnx.jit
def step(model, optimizer, x, y):
    """Take one step; return the loss before it."""

    def loss(model):
        return optax.losses.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

    value, grads = nnx.value_and_grad(loss)(model)
    optimizer.update(model, grads)
    return value


def main(steps=200):
    """Train on the handwritten digits; return the test error."""
    data, rngs = adamprox.data.load("digits"), nnx.Rngs(0)
    model = nnx.Sequential(nnx.Linear(64, 64, rngs=rngs), nnx.relu, nnx.Linear(64, 10, rngs=rngs))
    tx = adamprox.adamprox(3e-3, weight_decay=1e-3, mask=kernels)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    x, y = jnp.asarray(data.train.images.reshape(-1, 64) / 255.0), jnp.asarray(data.train.labels)
    for _ in range(steps):
        value = step(model, optimizer, x, y)
    right = model(data.test.images.reshape(-1, 64) / 255.0).argmax(1) == data.test.labels
    error = 1 - float(right.mean())
    print(f"training loss {value:.3f}, test error {error:.1%}")
    return error


if __name__ == "__main__":
    main()
