"""Compiled functions of one network and data set, for one run or several at once.

Runs are stacked on axis 0 of every array. All runs share the number of the step. Therefore no
condition depends on a run, and work that is needed once per epoch is outside of the loop over
steps.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from adamprox.data.augmentation import augment, augmentation_key
from adamprox.histograms import log2_histogram
from adamprox.training.batching import alone, batching, gradient_of, squeezed, vectorized
from adamprox.training.compiled_network import CompiledNetwork, compile_network
from adamprox.training.flat import Layout, as_tree, as_vectors, ravel
from adamprox.training.recipes import ELEMENTWISE
from adamprox.training.rotation import angular_updates
from adamprox.training.sharding import RUNS, batch_sharder
from adamprox.training.specs import ImageSpec, NetworkSpec, Program
from adamprox.training.step import (
    Hyperparameters,
    TrainState,
    count,
    finite_runs,
    frozen_unless,
    init_optimizers,
    make_loss,
    normalize,
    update_runs,
    zero_sums,
)

_EVALUATION_BATCH = 256
# Operations that a CUDA graph may have; XLA's defaults, and the last two. Older versions of JAX were
# not tried.
_GRAPHS = (
    "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,CONDITIONAL,CONVOLUTION,WHILE"
)
_GRAPHS_SINCE = (0, 11)
# Augmentation shifts images by up to 1/8 of their side: 4 pixels of 32, as published.
_SHIFT = 8


class FirstStep(NamedTuple):
    """Measurements of the first step of an epoch, without a decay outside of the moments.

    Attributes:
      histograms: Counts of |step|/α, int32[K, 28].
      angles: Angular updates of all N neurons in radians, float32[K, N].
    """

    histograms: Any
    angles: Any


class CompiledProgram(NamedTuple):
    """Jitted functions of a `Program` on the stacked arrays of K runs.

    Attributes:
      network: Parts that do not depend on the optimizers.
      start: Function (variables of one run, hyperparameters) -> TrainState.
      epoch: Function (TrainState, hyperparameters, seeds int32[K], number, pool) -> (TrainState,
        Sums, `FirstStep`); it donates the state.
      evaluate: Function (variables, pool, start, stop) -> Sums, compiled once for all ranges.
    """

    network: CompiledNetwork
    start: Callable
    epoch: Callable
    evaluate: Callable


def compile_program(
    program: Program,
    mesh: Mesh | None = None,
    way: Callable | None = None,
    vectors: bool | None = None,
) -> CompiledProgram:
    """Build the functions of ``program`` once per process; JAX compiles them at their first call.

    Args:
      program: Network, data set, and the optimizers of the runs on one device.
      mesh: Devices, or None for one device. A mesh with axis ``runs`` divides the runs; each device
        has as many as ``program`` has optimizers. A mesh with axis ``batch`` divides the batches of
        one run; BatchNorm still uses statistics of the whole batch.
      way: Function `vectorized`, `sequential` or `alone`; None for the choice of `batching`.
      vectors: True to update the parameters of a run as one vector; None to do so on accelerators,
        if all optimizers act on single coordinates.
    """
    if vectors is None:
        elementwise = all(name in ELEMENTWISE for name in program.optimizers)
        vectors = elementwise and jax.default_backend() != "cpu"
    return _program(program, mesh, way or batching(len(program.optimizers)), vectors)


@functools.cache
def _program(program: Program, mesh: Mesh | None, way: Callable, vectors: bool) -> CompiledProgram:
    network = compile_network(program.images, program.network, mesh)

    def start(variables, hps):
        runs = len(hps.learning_rate)
        stacked = jax.tree.map(lambda x: jnp.broadcast_to(x, (runs, *x.shape)), variables)
        opt_states = init_optimizers(program.optimizers, stacked["params"], hps)
        return TrainState(stacked, opt_states, jnp.int32(0), jnp.zeros(runs, jnp.int32))

    evaluate = _evaluation(program.images, program.network, mesh, way)
    epoch = _epoch(program, network, batch_sharder(mesh), way, as_vectors if vectors else as_tree)
    if mesh is not None and RUNS in mesh.axis_names:
        shapes = _shapes(start, program, network)
        spec = jax.tree.map(lambda leaf: P(RUNS) if leaf.ndim else P(), shapes)
        divide = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)
        start = divide(start, in_specs=(P(), P(RUNS)), out_specs=spec)
        epoch = divide(
            epoch,
            in_specs=(spec, P(RUNS), P(RUNS), P(), P()),
            out_specs=(spec, P(RUNS), P(RUNS)),
        )
    compiled = jax.jit(epoch, donate_argnums=0, compiler_options=_compiler_options())
    return CompiledProgram(network, jax.jit(start), compiled, evaluate)


def _compiler_options() -> dict[str, str] | None:
    """Return options of XLA for the loop over steps.

    By default a CUDA graph has neither convolutions nor loops. With them, the whole loop is one graph.
    """
    cuda = jax.default_backend() == "gpu" and "cuda" in jax.devices()[0].client.platform_version
    if not cuda or jax.__version_info__ < _GRAPHS_SINCE:
        return None
    return {"xla_gpu_enable_command_buffer": _GRAPHS}


def _shapes(start: Callable, program: Program, network: CompiledNetwork) -> TrainState:
    """Return the shapes of the state of the runs on one device."""
    one = jax.ShapeDtypeStruct((len(program.optimizers),), jnp.float32)
    return jax.eval_shape(start, network.init(0), Hyperparameters(one, one, one))


@functools.cache
def _evaluation(
    images: ImageSpec, network: NetworkSpec, mesh: Mesh | None, way: Callable
) -> Callable:
    """Build ``evaluate``, which all optimizers share."""
    common = compile_network(images, network, mesh)
    shard = batch_sharder(mesh)

    def of_one(variables, pool, start, stop):
        def on_batch(k, sums):
            index = start + k * _EVALUATION_BATCH + jnp.arange(_EVALUATION_BATCH)
            there = index < stop
            index = shard(jnp.minimum(index, stop - 1))
            batch = normalize(pool.images[index], common.mean, common.std)
            logits = common.model.apply(variables, batch, train=False)
            return jax.tree.map(jnp.add, sums, count(logits, pool.labels[index], there))

        batches = (stop - start + _EVALUATION_BATCH - 1) // _EVALUATION_BATCH
        return jax.lax.fori_loop(0, batches, on_batch, zero_sums())

    evaluate = way(of_one, (False, True, True, True))
    if mesh is not None and RUNS in mesh.axis_names:
        evaluate = jax.shard_map(
            evaluate,
            mesh=mesh,
            in_specs=(P(RUNS), P(), P(), P()),
            out_specs=P(RUNS),
            check_vma=False,
        )
    return jax.jit(evaluate)


def _epoch(
    program: Program,
    network: CompiledNetwork,
    shard: Callable,
    way: Callable,
    layout_of: Callable[[TrainState], Layout],
) -> Callable:
    size = program.images.train_size or network.ranges["train"][1]
    full, rest = divmod(size, program.images.batch_size)
    by_order = alone if program.one_order else vectorized
    batch = _batch(program, network, shard, by_order)
    take_step = _step(program, network, way)

    def epoch(state, hps, seeds, number, pool):
        seeds = seeds[:1] if program.one_order else seeds

        def order(seed):
            return jax.random.permutation(jax.random.fold_in(jax.random.key(seed), number), size)

        orders = by_order(order, (False,))(seeds)
        layout, before = layout_of(state), state.variables["params"]

        def on_batch(k, carry, index):
            images, labels = batch(seeds, carry[0].step, pool, index)
            return take_step(k, carry, hps, images, labels, layout)

        def go_on(carry):
            k, (state, *_) = carry
            return (k < full) & jnp.any(state.diverged_step == 0)

        def on_full_batch(carry):
            k, carry = carry
            begin = (0, k * program.images.batch_size)
            index = jax.lax.dynamic_slice(orders, begin, (len(seeds), program.images.batch_size))
            return k + 1, on_batch(k, carry, index)

        state = layout.start(state)
        zeros = jax.tree.map(jnp.zeros_like, state.variables["params"])
        carry = state, zero_sums(state.diverged_step.shape), zeros
        if full:  # JAX would trace the loop even for zero iterations
            _, carry = jax.lax.while_loop(go_on, on_full_batch, (0, carry))
        if rest:
            carry = on_batch(full, carry, orders[:, size - rest :])
        state, sums, first = carry
        histograms = jax.vmap(log2_histogram)(ravel(first), hps.learning_rate)
        angles = jax.vmap(angular_updates)(before, layout.read(first))
        return layout.end(state), sums, FirstStep(histograms, angles)

    return epoch


def _batch(
    program: Program, network: CompiledNetwork, shard: Callable, by_order: Callable
) -> Callable:
    """Build the function ``(seeds, step, pool, index) -> (images, labels)``.

    Its results are [N, …] if all runs see the same images, else [K, N, …].
    """

    def batch(seeds, step, pool, index):
        def of_order(seed, index):
            index = shard(index)
            images = pool.images[index]
            if program.images.augment:
                images = augment(augmentation_key(seed, step), images, images.shape[1] // _SHIFT)
            return shard(normalize(images, network.mean, network.std)), pool.labels[index]

        found = by_order(of_order, (False, False))(seeds, index)
        return squeezed(found) if program.one_order else found

    return batch


def _step(program: Program, network: CompiledNetwork, way: Callable) -> Callable:
    """Build the function for step k of an epoch, of all runs that have not diverged.

    It is ``(k, carry, hyperparameters, images, labels, layout) -> carry``. The carry has the state,
    the sums, and the directions of the epoch's first step.
    """
    same = program.one_order
    gradient = gradient_of(make_loss(network.model), way, (False, False, False, same, same))

    def take_step(k, carry, hps, images, labels, layout):
        state, sums, first = carry
        others = {name: values for name, values in state.variables.items() if name != "params"}
        params = layout.read(state.variables["params"])
        grads, (others, new) = gradient(params, others, hps.loss_multiplier, images, labels)
        grads = layout.write(grads)
        direction, params, opt_states = update_runs(program.optimizers, state, grads, hps)
        now, alive = state.step + 1, state.diverged_step == 0
        after = TrainState({"params": params, **others}, opt_states, now, state.diverged_step)
        after = frozen_unless(alive, program.optimizers, after, state)
        diverges = alive & ~finite_runs(program.optimizers, after, new)
        after = after._replace(diverged_step=jnp.where(diverges, now, state.diverged_step))
        sums = jax.tree.map(lambda total, more: total + jnp.where(alive, more, 0), sums, new)
        first = jax.tree.map(lambda old, d: jnp.where(k == 0, d, old), first, direction)
        return after, sums, first

    return take_step
