"""Remove hidden units with Muon and a group lasso, and find λ.

A step of Muon moves a channel of a kernel by about α, and `proximal` pulls it back by λ. The search
tries shares of α. It takes the largest λ within two standard errors of the error at λ = 0.
"""

import jax
import jax.numpy as jnp
import optax

import adamprox
from adamprox import prox

ALPHA, UNITS, SHARES = 0.02, 256, (0.0, 0.3, 0.6, 0.9, 1.2, 1.5)  # α, units, λ/α
LOSSES = optax.losses.softmax_cross_entropy_with_integer_labels
MASK = {"kernel": True, "bias": False, "output": False}


def logits(params, x):
    """Return the outputs of a network with one hidden layer."""
    return jax.nn.relu(x @ params["kernel"] + params["bias"]) @ params["output"]


def fit(weight, x, y, steps):
    """Train with one λ; return the parameters."""
    schedule, he = optax.linear_schedule(1.0, 0.0, steps), jax.nn.initializers.he_normal()
    regularizer = adamprox.proximal(prox.per_output_channel(prox.l2), weight, schedule, mask=MASK)
    tx = optax.chain(optax.contrib.muon(lambda count: ALPHA * schedule(count)), regularizer)
    keys = jax.random.split(jax.random.key(0), steps)
    kernel, output = he(keys[0], (64, UNITS)), he(keys[1], (UNITS, 10))
    params = {"kernel": kernel, "bias": jnp.zeros(UNITS), "output": output}

    def step(carry, key):
        of = jax.random.choice(key, len(x), (64,))
        grads = jax.grad(lambda p: LOSSES(logits(p, x[of]), y[of]).mean())(carry[0])
        updates, state = tx.update(grads, carry[1], carry[0])
        return (optax.apply_updates(carry[0], updates), state), None

    return jax.lax.scan(step, (params, tx.init(params)), keys)[0][0]


def main(steps=600):
    """Return λ/α, the number of units, and validation and test error of the chosen network."""
    data, found = adamprox.data.load("digits").with_validation(128), []
    parts = (data.train, data.validation, data.test)
    splits = [(jnp.asarray(p.images.reshape(-1, 64) / 255), jnp.asarray(p.labels)) for p in parts]
    train = jax.jit(lambda weight: fit(weight, *splits[0], steps))  # compiled once for all λ
    for share in SHARES:
        params = train(share * ALPHA)
        units = int((params["kernel"] != 0).any(axis=0).sum())
        errors = [float((logits(params, x).argmax(1) != y).mean()) for x, y in splits[1:]]
        found.append((share, units, *errors))
        print(f"λ = {share} α: {units} units, validation error {errors[0]:.1%}")
    limit = found[0][2] + 2 * (found[0][2] * (1 - found[0][2]) / 128) ** 0.5
    return max(row for row in found if row[2] <= limit)


if __name__ == "__main__":
    print("λ/α, units, validation and test error of the choice:", main())
