"""Train an Equinox network with ℓ2 norms of its hidden units as the regularizer.

Equinox stores kernels as [out, in]: the groups of `per_output_channel` lie along axis 0. A module
has leaves that are not arrays, such as functions; ``eqx.filter`` replaces them by None, which
adamprox skips.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import adamprox
from adamprox import prox


def hidden_kernel(params):
    """Return a mask that is True for the kernel of the first layer."""
    nowhere = jax.tree.map(lambda _: False, params)
    return eqx.tree_at(lambda mlp: mlp.layers[0].weight, nowhere, True)


def main(steps=600):
    """Train on the handwritten digits; return the test error and the number of hidden units."""
    data, alpha = adamprox.data.load("digits"), 1e-2
    x, y = jnp.asarray(data.train.images.reshape(-1, 64) / 255.0), jnp.asarray(data.train.labels)
    model = eqx.nn.MLP(64, 10, width_size=128, depth=1, key=jax.random.key(0))
    rows = prox.per_output_channel(prox.size_weighted(prox.l2), axis=0)
    regularizer = adamprox.proximal(rows, 0.3 * alpha, mask=hidden_kernel)
    tx = optax.chain(adamprox.adam_direction(alpha, eps=0.0), regularizer)
    state = tx.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_value_and_grad
    def loss(model, of):
        logits = jax.vmap(model)(x[of])
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, y[of]).mean()

    @eqx.filter_jit
    def step(model, state, key):
        _, grads = loss(model, jax.random.choice(key, len(x), (64,)))
        updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), state

    for key in jax.random.split(jax.random.key(1), steps):
        model, state = step(model, state, key)
    logits = jax.vmap(model)(jnp.asarray(data.test.images.reshape(-1, 64) / 255.0))
    error = float(jnp.mean(logits.argmax(1) != data.test.labels))
    units = int(jnp.any(model.layers[0].weight != 0, axis=1).sum())
    print(f"test error {error:.1%}, {units} of 128 hidden units left")
    return error, units


if __name__ == "__main__":
    main()
