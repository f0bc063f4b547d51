"""One training step, as pure functions to be compiled."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax


class Hyperparameters(NamedTuple):
    """What differs from cell to cell of one compiled program; float32[] each.

    Attributes:
      learning_rate: α.
      weight_decay: λ, per step.
      loss_multiplier: What the loss is multiplied by before it is differentiated.
    """

    learning_rate: Any
    weight_decay: Any
    loss_multiplier: Any


class TrainState(NamedTuple):
    """Everything a step changes.

    Attributes:
      variables: The Flax collections: ``params`` and, with BatchNorm, ``batch_stats``.
      opt_state: State of the optimizer.
      step: Steps taken, int32[].
      diverged_step: Number of the first step (from 1) after which the loss, a parameter or a second
        moment was not finite; 0 while there is none. int32[].
    """

    variables: Any
    opt_state: optax.OptState
    step: Any
    diverged_step: Any


class Sums(NamedTuple):
    """Running sums over examples: loss (not multiplied) float32[], wrong int32[], seen int32[]."""

    loss: Any
    wrong: Any
    seen: Any


def zero_sums() -> Sums:
    """Sums over no examples."""
    return Sums(jnp.zeros([], jnp.float32), jnp.zeros([], jnp.int32), jnp.zeros([], jnp.int32))


def normalize(images: jax.Array, mean: Any, std: Any) -> jax.Array:
    """uint8[N, H, W, C] to float32[N, H, W, C] of zero mean and unit deviation per channel."""
    return (images.astype(jnp.float32) / 255 - mean) / std


def count(logits: Any, labels: Any, there: Any = True) -> Sums:
    """Cross-entropy and errors of logits float[N, K] against labels int32[N], summed.

    Where ``there``, bool[N], is false an example does not count.
    """
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    there = jnp.broadcast_to(there, labels.shape)
    wrong = there & (jnp.argmax(logits, -1) != labels)
    return Sums(
        jnp.sum(jnp.where(there, loss, 0)),
        jnp.sum(wrong, dtype=jnp.int32),
        jnp.sum(there, dtype=jnp.int32),
    )


def all_finite(tree: Any) -> jax.Array:
    """Whether every entry of every leaf is finite, bool[]."""
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]).all()


def make_step(
    model: nn.Module, make_tx: Callable[[Hyperparameters], optax.GradientTransformation]
) -> Callable[[TrainState, Hyperparameters, chex.Array, chex.Array], tuple[TrainState, Sums]]:
    """Build ``step(state, hyperparameters, images, labels) -> (state, sums)``.

    ``images`` are normalized float32[N, H, W, C]. The mean loss times the loss multiplier is what
    is differentiated; the sums are of the plain loss, before the update.
    """

    def loss_fn(params, rest, hp, images, labels):
        logits, updated = model.apply(
            {"params": params, **rest}, images, train=True, mutable=list(rest)
        )
        sums = count(logits, labels)
        return hp.loss_multiplier * sums.loss / labels.size, (updated, sums)

    def step(state, hp, images, labels):
        params = state.variables["params"]
        rest = {k: v for k, v in state.variables.items() if k != "params"}
        gradient = jax.grad(loss_fn, has_aux=True)
        grads, (rest, sums) = gradient(params, rest, hp, images, labels)
        updates, opt_state = make_tx(hp).update(grads, state.opt_state, params)
        params = optax.apply_updates(params, updates)
        second_moment = optax.tree.get_all_with_path(opt_state, "nu")
        finite = jnp.isfinite(sums.loss) & all_finite([params, [v for _, v in second_moment]])
        now = optax.safe_increment(state.step)
        first = (state.diverged_step == 0) & ~finite
        diverged_step = jnp.where(first, now, state.diverged_step)
        return TrainState({"params": params, **rest}, opt_state, now, diverged_step), sums

    return step
