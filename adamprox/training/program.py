"""Compiled functions of one network, optimizer and data set, shared by all their cells."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from adamprox.data.augmentation import augment, augmentation_key
from adamprox.training.recipes import RECIPES
from adamprox.training.sharding import batch_sharder, replicate
from adamprox.training.specs import ImageSpec, NetworkSpec, Program
from adamprox.training.step import (
    Hyperparameters,
    TrainState,
    count,
    make_step,
    normalize,
    zero_sums,
)

_EVALUATION_BATCH = 256
# Kept a network: all cells of a grid start from one, a few seeds from a few.
_INITIALIZATIONS = 4
# Images are shifted by up to this part of their side: the published 4 pixels of 32.
_SHIFT = 8


class Pool(NamedTuple):
    """All images of a data set on the device: training, validation, test, one after the other.

    Attributes:
      images: uint8[N, H, W, C].
      labels: int32[N].
    """

    images: Any
    labels: Any


class CompiledNetwork(NamedTuple):
    """What all programs on one network and data set share.

    Attributes:
      model: The Flax module.
      pool: On the device, or on every device of the mesh.
      ranges: Where in the pool ``train``, ``validation`` and ``test`` begin and end.
      mean: Per channel of the training images, float32[C].
      std: Likewise.
      init: init_seed -> variables; the last few are kept.
      evaluate: (variables, pool, start, stop) -> Sums; one compilation serves every range.
    """

    model: nn.Module
    pool: Pool
    ranges: dict[str, tuple[int, int]]
    mean: Any
    std: Any
    init: Callable
    evaluate: Callable


class CompiledProgram(NamedTuple):
    """The functions of a `Program`.

    Attributes:
      network: What does not depend on the optimizer.
      start: (variables, hyperparameters) -> TrainState, jitted.
      epoch: (TrainState, hyperparameters, seed, number, pool) -> (TrainState, Sums), not jitted.
      jit_epoch: The same, jitted; the state is donated.
    """

    network: CompiledNetwork
    start: Callable
    epoch: Callable
    jit_epoch: Callable


def compile_network(
    images: ImageSpec, network: NetworkSpec, mesh: Mesh | None = None
) -> CompiledNetwork:
    """Build what does not depend on the optimizer, once a process; see `CompiledNetwork`."""
    return _network(images, network, mesh)


@functools.cache
def _network(images: ImageSpec, network: NetworkSpec, mesh: Mesh | None) -> CompiledNetwork:
    data = images.load()
    model = network.build(data.num_classes)
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    pool, ranges = _pool({name: split for name, split in splits.items() if split is not None})
    shape = jax.ShapeDtypeStruct((1, *data.train.images.shape[1:]), jnp.float32)
    shard = batch_sharder(mesh)

    @functools.lru_cache(maxsize=_INITIALIZATIONS)
    def init(seed):
        # Evaluated layer by layer: layers share their few shapes, and the program of a hundred
        # different random draws takes longer to compile than all of them to run.
        return model.lazy_init(jax.random.key(seed), shape, train=False)  # pyright: ignore

    def evaluate(variables, pool, start, stop):
        def on_batch(k, sums):
            index = start + k * _EVALUATION_BATCH + jnp.arange(_EVALUATION_BATCH)
            there = index < stop
            index = shard(jnp.minimum(index, stop - 1))
            batch = normalize(pool.images[index], data.mean, data.std)
            logits = model.apply(variables, batch, train=False)
            return jax.tree.map(jnp.add, sums, count(logits, pool.labels[index], there))

        batches = (stop - start + _EVALUATION_BATCH - 1) // _EVALUATION_BATCH
        return jax.lax.fori_loop(0, batches, on_batch, zero_sums())

    return CompiledNetwork(
        model, replicate(pool, mesh), ranges, data.mean, data.std, init, jax.jit(evaluate)
    )


def _pool(splits) -> tuple[Pool, dict[str, tuple[int, int]]]:
    pool = Pool(*(jnp.concatenate([getattr(s, name) for s in splits.values()])
                  for name in Pool._fields))  # fmt: skip
    ranges, start = {}, 0
    for name, split in splits.items():
        ranges[name] = (start, start + len(split.labels))
        start += len(split.labels)
    return pool, ranges


def compile_program(program: Program, mesh: Mesh | None = None) -> CompiledProgram:
    """Build the functions of ``program`` once a process; JAX compiles them at their first call.

    Args:
      program: A network, an optimizer and a data set.
      mesh: Of the devices over which a batch is divided along its axis ``batch``; None for one
        device. BatchNorm's statistics are those of the whole batch, on any number of devices.
    """
    return _program(program, mesh)


@functools.cache
def _program(program: Program, mesh: Mesh | None) -> CompiledProgram:
    network = compile_network(program.images, program.network, mesh)
    size = program.images.train_size or network.ranges["train"][1]
    full, rest = divmod(size, program.batch_size)
    steps = full + bool(rest)
    shard = batch_sharder(mesh)

    def make_tx(hp: Hyperparameters) -> optax.GradientTransformation:
        return RECIPES[program.optimizer](hp.learning_rate, hp.weight_decay, steps)

    def start(variables, hp):
        # Distinct buffers: the first epoch is given the state for good, the variables stay ours.
        variables = jax.tree.map(jnp.copy, variables)
        zero = jnp.zeros([], jnp.int32)
        return TrainState(variables, make_tx(hp).init(variables["params"]), zero, zero)

    step = make_step(network.model, make_tx)

    def epoch(state, hp, seed, number, pool):
        order = jax.random.permutation(jax.random.fold_in(jax.random.key(seed), number), size)

        def on_batch(state, sums, index):
            index = shard(index)
            images = pool.images[index]
            if program.augment:
                key = augmentation_key(seed, state.step)
                images = augment(key, images, images.shape[1] // _SHIFT)
            images = shard(normalize(images, network.mean, network.std))
            state, new = step(state, hp, images, pool.labels[index])
            return state, jax.tree.map(jnp.add, sums, new)

        def go_on(carry):
            k, state, _ = carry
            return (k < full) & (state.diverged_step == 0)

        def on_full_batch(carry):
            k, state, sums = carry
            index = jax.lax.dynamic_slice(order, (k * program.batch_size,), (program.batch_size,))
            return (k + 1, *on_batch(state, sums, index))

        sums = zero_sums()
        if full:  # a loop is traced even if it takes no turn
            _, state, sums = jax.lax.while_loop(go_on, on_full_batch, (0, state, sums))
        return on_batch(state, sums, order[size - rest :]) if rest else (state, sums)

    return CompiledProgram(network, jax.jit(start), epoch, jax.jit(epoch, donate_argnums=0))
