"""Compiled programs for one network, optimizer and data set, shared by all their cells."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from adamprox.data import Dataset, load
from adamprox.models import ResNet
from adamprox.training.recipes import RECIPES
from adamprox.training.step import (
    Hyperparameters,
    Sums,
    TrainState,
    count,
    make_step,
    normalize,
    zero_sums,
)

_EVALUATION_BATCH = 256


class Program(NamedTuple):
    """What is fixed when a training program is compiled: everything but `Hyperparameters`, seeds.

    Attributes:
      dataset: Name of a data set.
      train_size: How many of its training images, the first ones; None for all.
      depth: Depth of the ResNet.
      batch_norm: Whether it has BatchNorm.
      optimizer: A key of `RECIPES`.
      batch_size: Examples a step.
    """

    dataset: str
    train_size: int | None
    depth: int
    batch_norm: bool
    optimizer: str
    batch_size: int


class EpochResult(NamedTuple):
    """What one epoch leaves on record, on the host.

    Attributes:
      epoch: From 1.
      train_loss: Mean over the epoch's steps, each before its update, without the multiplier.
      train_error: Likewise, fraction wrong.
      test_loss: Of the parameters after the epoch; None where the test set was not visited.
      test_error: Likewise, fraction wrong.
      update_histogram: int32[28] of |update|/α at the epoch's first step, without the decay.
      diverged_step: 0, or the step after which something was not finite.
    """

    epoch: int
    train_loss: float
    train_error: float
    test_loss: float | None
    test_error: float | None
    update_histogram: list[int]
    diverged_step: int


class Network(NamedTuple):
    """What all programs on one network and data set share; ``test`` is on the device."""

    model: ResNet
    data: Dataset
    init: Any  # init_seed -> variables
    evaluate: Any  # (variables, test) -> Sums
    test: Any


class Compiled(NamedTuple):
    """The jitted functions of a `Program`; ``train`` is on the device."""

    network: Network
    init: Any  # (variables, hyperparameters) -> TrainState
    epoch: Any  # (TrainState, hyperparameters, seed, epoch, train) -> (TrainState, Sums)
    train: Any


@functools.cache
def compile_network(dataset: str, depth: int, batch_norm: bool) -> Network:
    """Build what does not depend on the optimizer, once a process."""
    data = load(dataset)
    model = ResNet(depth, data.num_classes, batch_norm)

    def init(seed):
        shape = (1, *data.train.images.shape[1:])
        return model.init(jax.random.key(seed), jnp.zeros(shape), train=False)

    def evaluate(variables, test):
        def on_batch(sums, index):
            images = normalize(test[0][index], data.mean, data.std)
            logits = model.apply(variables, images, train=False)
            return jax.tree.map(jnp.add, sums, count(logits, test[1][index])), None

        order = jnp.arange(len(data.test.labels))
        return _over_batches(on_batch, zero_sums(), order, _EVALUATION_BATCH)

    test = jax.tree.map(jnp.asarray, (data.test.images, data.test.labels))
    return Network(model, data, jax.jit(init), jax.jit(evaluate), test)


@functools.cache
def compile_program(program: Program) -> Compiled:
    """Build the functions of ``program`` once a process; JAX compiles them at their first call."""
    network = compile_network(program.dataset, program.depth, program.batch_norm)
    data = network.data
    size = program.train_size or len(data.train.labels)
    steps = -(-size // program.batch_size)

    def make_tx(hp: Hyperparameters) -> optax.GradientTransformation:
        return RECIPES[program.optimizer](hp.learning_rate, hp.weight_decay, steps)

    def init(variables, hp):
        # Distinct buffers: the first epoch is given the state for good, the variables stay ours.
        variables = jax.tree.map(jnp.copy, variables)
        zero = jnp.zeros([], jnp.int32)
        return TrainState(variables, make_tx(hp).init(variables["params"]), zero, zero)

    step = make_step(network.model, make_tx)

    def epoch(state, hp, seed, number, train):
        def on_batch(carry, index):
            state, sums = carry
            images = normalize(train[0][index], data.mean, data.std)
            state, new = step(state, hp, images, train[1][index])
            return (state, jax.tree.map(jnp.add, sums, new)), None

        order = jax.random.permutation(jax.random.fold_in(jax.random.key(seed), number), size)
        return _over_batches(on_batch, (state, zero_sums()), order, program.batch_size)

    train = jax.tree.map(jnp.asarray, (data.train.images[:size], data.train.labels[:size]))
    return Compiled(network, jax.jit(init), jax.jit(epoch, donate_argnums=0), train)


def _over_batches(body, carry, indices: jax.Array, size: int):
    """Scan ``body`` over full batches of ``indices``, then once more over the remainder."""
    full = indices.size // size
    if full:
        carry, _ = jax.lax.scan(body, carry, indices[: full * size].reshape(full, size))
    if indices.size % size:
        carry, _ = body(carry, indices[full * size :])
    return carry


def train(
    program: Program,
    hp: Hyperparameters,
    *,
    seed: int,
    init_seed: int,
    epochs: int,
    evaluate_every: int = 1,
) -> Iterator[EpochResult]:
    """Train one cell, one result an epoch; a diverged epoch is the last.

    Args:
      program: What is compiled.
      hp: What is not.
      seed: Of the order of the examples.
      init_seed: Of the initial parameters.
      epochs: Passes over the training set.
      evaluate_every: Visit the test set after every so many epochs, and after the last.

    Yields:
      An `EpochResult` after every epoch.
    """
    compiled = compile_program(program)
    hp = Hyperparameters(*(jnp.float32(value) for value in hp))
    network = compiled.network
    state = compiled.init(_classic_random(network.init, init_seed), hp)
    for number in range(1, epochs + 1):
        state, sums = _classic_random(compiled.epoch, state, hp, seed, number, compiled.train)
        visit = number % evaluate_every == 0 or number == epochs
        test = network.evaluate(state.variables, network.test) if visit else None
        result = _to_host(number, state, sums, test)
        yield result
        if result.diverged_step:
            return


def _classic_random(function, *args):
    """Call ``function`` with JAX's classic layout of random counters.

    The newer, partitionable one compiles several times slower on a CPU; what it buys, generation
    on sharded arrays, is not needed for parameters and permutations.
    """
    with jax.threefry_partitionable(False):
        return function(*args)


def _to_host(number: int, state: TrainState, train: Sums, test: Sums | None) -> EpochResult:
    histogram = optax.tree.get(state.opt_state, "UpdateHistogramState").direction
    diverged_step, counts, train, test = jax.device_get(
        (state.diverged_step, histogram, train, test)
    )
    return EpochResult(
        epoch=number,
        train_loss=float(train.loss / train.seen),
        train_error=float(train.wrong / train.seen),
        test_loss=float(test.loss / test.seen) if test else None,
        test_error=float(test.wrong / test.seen) if test else None,
        update_histogram=[int(c) for c in counts],
        diverged_step=int(diverged_step),
    )
