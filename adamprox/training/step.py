"""One training step of runs stacked on axis 0, as pure functions."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from adamprox.training.recipes import recipe_of


class Hyperparameters(NamedTuple):
    """Numbers in which runs of one compiled program differ; float32[] each, float32[K] for K runs.

    Attributes:
      learning_rate: Learning rate α.
      weight_decay: Weight decay λ per step.
      loss_multiplier: Factor of the loss before differentiation.
    """

    learning_rate: Any
    weight_decay: Any
    loss_multiplier: Any


class TrainState(NamedTuple):
    """Values that a step of K runs changes.

    Attributes:
      variables: Stacked Flax collections ``params`` and, with BatchNorm, ``batch_stats``.
      opt_states: Stacked states of the optimizers, one per group of adjacent runs with the same
        optimizer. Counters of steps are scalars that a group shares, unless one depends on the gradient.
      step: Number of steps taken, int32[].
      diverged_step: Number of the first step (from 1) after which the loss, a parameter or a second
        moment of a run was not finite, or 0; int32[K]. A diverged run does not change any more.
    """

    variables: Any
    opt_states: tuple[optax.OptState, ...]
    step: Any
    diverged_step: Any


class Sums(NamedTuple):
    """Sums over examples: loss (without multiplier) float32, wrong int32, seen int32; [] or [K]."""

    loss: Any
    wrong: Any
    seen: Any


def zero_sums(shape: tuple[int, ...] = ()) -> Sums:
    """Return sums over no examples."""
    return Sums(
        jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.int32), jnp.zeros(shape, jnp.int32)
    )


def normalize(images: jax.Array, mean: Any, std: Any) -> jax.Array:
    """Return uint8[…, H, W, C] as float32, with zero mean and unit deviation per channel."""
    return (images.astype(jnp.float32) / 255 - mean) / std


def count(logits: Any, labels: Any, there: Any = True) -> Sums:
    """Sum cross-entropy and errors of logits float[N, K] for labels int32[N].

    Only examples with a true ``there``, bool[N], count.
    """
    # A sum over a mask instead of an index, whose gradient would be a scatter.
    of_label = jnp.arange(logits.shape[-1]) == labels[:, None]
    loss = jax.nn.logsumexp(logits, axis=-1) - jnp.sum(jnp.where(of_label, logits, 0), axis=-1)
    there = jnp.broadcast_to(there, labels.shape)
    wrong = there & (jnp.argmax(logits, -1) != labels)
    return Sums(
        jnp.sum(jnp.where(there, loss, 0)),
        jnp.sum(wrong, dtype=jnp.int32),
        jnp.sum(there, dtype=jnp.int32),
    )


def make_loss(model: nn.Module) -> Callable:
    """Build ``(params, others, multiplier, images, labels) -> (loss, (others, sums))``.

    The function is for one run. The loss is the mean over examples times the multiplier; the sums are
    without the multiplier. ``others`` are the collections beside ``params``, and ``images`` are
    normalized float32[N, H, W, C].
    """

    def loss(params, others, multiplier, images, labels):
        logits, updated = model.apply(
            {"params": params, **others}, images, train=True, mutable=list(others)
        )
        sums = count(logits, labels)
        return multiplier * sums.loss / labels.size, (updated, sums)

    return loss


def slices(optimizers: Sequence[str]) -> list[tuple[str, slice]]:
    """Return a slice of the runs for each group of adjacent runs with the same optimizer.

    Example:
      >>> slices(["adamw", "adamw", "adam_l2"])
      [('adamw', slice(0, 2, None)), ('adam_l2', slice(2, 3, None))]
    """
    found, start = [], 0
    for name, group in itertools.groupby(optimizers):
        stop = start + len(list(group))
        found.append((name, slice(start, stop)))
        start = stop
    return found


def init_optimizers(optimizers: Sequence[str], params: Any, hps: Hyperparameters) -> tuple:
    """Return the initial states of the optimizers of stacked runs; see `TrainState`."""

    def of_run(name, params, hp):
        recipe = recipe_of(name)(hp.learning_rate, hp.weight_decay)
        return tuple(part.init(params) for part in recipe)

    states = []
    for name, runs in slices(optimizers):
        mine = _part(runs, (params, hps))
        one = jax.eval_shape(lambda m, name=name: of_run(name, *_part(0, m)), mine)
        init = functools.partial(of_run, name)
        shared = jax.vmap(init, out_axes=jax.tree.map(_axis, one))
        try:
            jax.eval_shape(functools.partial(_first_update, name, shared), *mine)
            states.append(shared(*mine))
        except ValueError:  # a counter depends on the gradient, as that of optax.apply_if_finite
            states.append(jax.vmap(init)(*mine))
    return tuple(states)


def _axis(leaf) -> int | None:
    """Return the axis of runs in a leaf of an optimizer's state; a counter has none."""
    is_counter = leaf.ndim == 0 and jnp.issubdtype(leaf.dtype, jnp.integer)
    return None if is_counter else 0


def update_runs(
    optimizers: Sequence[str], state: TrainState, grads: Any, hps: Hyperparameters
) -> tuple[Any, Any, tuple]:
    """Apply each optimizer to its runs.

    Returns:
      Directions, parameters after the step, and the states of the optimizers.
    """

    found = []
    for (name, runs), opt_state in zip(slices(optimizers), state.opt_states, strict=True):
        grads_of, params_of, hps_of = _part(runs, (grads, state.variables["params"], hps))
        found.append(_update(name, grads_of, opt_state, params_of, hps_of))
    directions, params, opt_states = zip(*found, strict=True)
    join = lambda *leaves: leaves[0] if len(leaves) == 1 else jnp.concatenate(leaves)  # noqa: E731
    return jax.tree.map(join, *directions), jax.tree.map(join, *params), opt_states


def _update(name: str, grads: Any, opt_state: Any, params: Any, hps: Hyperparameters) -> tuple:
    """Return directions, parameters and state after a step of stacked runs with one optimizer."""

    def of_run(grads, opt_state, params, hp):
        direction, regularizer = recipe_of(name)(hp.learning_rate, hp.weight_decay)
        step, first = direction.update(grads, opt_state[0], params)
        updates, second = regularizer.update(step, opt_state[1], params)
        return step, optax.apply_updates(params, updates), (first, second)

    axes = jax.tree.map(lambda leaf: 0 if leaf.ndim else None, opt_state)
    return jax.vmap(of_run, (0, axes, 0, 0), (0, 0, axes))(grads, opt_state, params, hps)


def _first_update(name: str, init: Callable, params: Any, hps: Hyperparameters) -> tuple:
    """Return the result of `_update` after ``init``, with the parameters as gradients."""
    return _update(name, params, init(params, hps), params, hps)


def finite_runs(optimizers: Sequence[str], state: TrainState, sums: Sums) -> jax.Array:
    """Return True for runs with finite loss, parameters and second moments; bool[K]."""
    moments = []
    for (_, runs), opt_state in zip(slices(optimizers), state.opt_states, strict=True):
        found = [nu for _, nu in optax.tree.get_all_with_path(opt_state, "nu")]
        some = bool(jax.tree.leaves(found))  # SGD has none
        moments.append(_all_finite(found) if some else jnp.ones(runs.stop - runs.start, bool))
    finite = jnp.isfinite(sums.loss) & _all_finite(state.variables["params"])
    return finite & jnp.concatenate(moments)


def _all_finite(tree: Any) -> jax.Array:
    """Return True for runs with only finite entries in stacked leaves; bool[K]."""
    leaves = jax.tree.leaves(tree)
    return jnp.stack([jnp.isfinite(x).reshape(len(x), -1).all(1) for x in leaves]).all(0)


def frozen_unless(
    alive: jax.Array, optimizers: Sequence[str], new: TrainState, old: TrainState
) -> TrainState:
    """Return ``new`` for runs in ``alive``, bool[K], and ``old`` for the others."""
    opt_states = [
        _frozen_unless(alive[runs], *states)
        for (_, runs), *states in zip(
            slices(optimizers), new.opt_states, old.opt_states, strict=True
        )
    ]
    return new._replace(
        variables=_frozen_unless(alive, new.variables, old.variables),
        opt_states=tuple(opt_states),
    )


def _frozen_unless(alive: jax.Array, new: Any, old: Any) -> Any:
    def choose(after, before):
        if not after.ndim:  # a counter
            return after
        return jnp.where(alive.reshape(-1, *[1] * (after.ndim - 1)), after, before)

    return jax.tree.map(choose, new, old)


def _part(runs: Any, tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[runs], tree)
