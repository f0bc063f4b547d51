"""Many cells of one program at once: on one device, and divided over the devices of a mesh."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from adamprox.training.loop import (
    EpochResult,
    Schedule,
    Trained,
    classic_random,
    evaluation_ranges,
    to_host,
)
from adamprox.training.program import Pool, compile_program
from adamprox.training.sharding import CELLS, replicate
from adamprox.training.specs import Program
from adamprox.training.step import Hyperparameters, TrainState

Batching = Callable[[Callable], Callable]
"""What turns a function of one cell's arguments into one of many cells', stacked on axis 0."""


def vectorized(function: Callable) -> Callable:
    """All cells advance in step: convolutions with a kernel a cell become grouped ones."""
    return jax.vmap(function)


def sequential(function: Callable) -> Callable:
    """One cell after the other, within one program: no dispatch between them."""
    return lambda *args: jax.lax.map(lambda one: function(*one), args)


BATCHINGS: dict[str, Batching] = {"vectorized": vectorized, "sequential": sequential}
"""The ways to train many cells at once; which is faster is a matter of device and network."""


class CompiledTogether(NamedTuple):
    """Functions of many cells, stacked on axis 0; as in `CompiledProgram` otherwise."""

    start: Callable
    epoch: Callable
    evaluate: Callable


def compile_together(
    program: Program, batching: str = "sequential", mesh: Mesh | None = None
) -> CompiledTogether:
    """Build the functions of many cells once a process.

    Args:
      program: What is common to the cells.
      batching: A key of `BATCHINGS`.
      mesh: Of the devices over which the cells are divided along its axis ``cells``; they never
        speak to each other.
    """
    return _together(program, batching, mesh)


@functools.cache
def _together(program: Program, batching: str, mesh: Mesh | None) -> CompiledTogether:
    one = compile_program(program)
    batched = BATCHINGS[batching]

    def epoch(states, hps, seeds, number, pool):
        return batched(lambda s, h, seed: one.epoch(s, h, seed, number, pool))(states, hps, seeds)

    def evaluate(variables, pool, start, stop):
        return batched(lambda v: one.network.evaluate(v, pool, start, stop))(variables)

    def start(variables, hps):
        return jax.vmap(one.start, in_axes=(None, 0))(variables, hps)

    cell, same = P(CELLS), P()
    return CompiledTogether(
        start=jax.jit(_divided(start, mesh, (same, cell))),
        epoch=jax.jit(_divided(epoch, mesh, (cell, cell, cell, same, same)), donate_argnums=0),
        evaluate=jax.jit(_divided(evaluate, mesh, (cell, same, same, same))),
    )


def _divided(function: Callable, mesh: Mesh | None, in_specs: tuple) -> Callable:
    if mesh is None:
        return function
    return jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=P(CELLS), check_vma=False
    )


def train_together(
    program: Program,
    hps: Sequence[Hyperparameters],
    schedule: Schedule,
    *,
    seeds: Sequence[int],
    init_seed: int,
    batching: str = "sequential",
    mesh: Mesh | None = None,
) -> list[Trained]:
    """Train cells of one program at once, each to the results that `train` gives it alone.

    Args:
      program: What is compiled.
      hps: One a cell; on a mesh, a multiple of the number of devices.
      schedule: How long.
      seeds: One a cell.
      init_seed: Of the initial parameters of all.
      batching: A key of `BATCHINGS`.
      mesh: See `compile_together`.

    Returns:
      One outcome a cell, its state on the host. Epochs end when all cells' do; a cell that diverged
      goes on beside the others, and its history ends where it would have alone.
    """
    compiled = compile_together(program, batching, mesh)
    network = compile_program(program).network
    pool = Pool(*replicate(network.pool, mesh))
    stacked = _place(Hyperparameters(*jnp.asarray(hps, jnp.float32).T), mesh)
    order = _place(jnp.asarray(seeds, jnp.int32), mesh)
    variables = replicate(classic_random(network.init, init_seed), mesh)
    states = compiled.start(variables, stacked)
    histories: list[list[EpochResult]] = [[] for _ in hps]
    for number in range(1, schedule.epochs + 1):
        states, sums = classic_random(compiled.epoch, states, stacked, order, number, pool)
        visits = {
            column: compiled.evaluate(states.variables, pool, *bounds)
            for column, bounds in evaluation_ranges(network, schedule, number).items()
        }
        # Fetched whole: to take one cell's part on the devices, they would have to speak.
        found = jax.device_get((_reported(states), sums, visits))
        for k, history in enumerate(histories):
            if not (history and history[-1].diverged_step):
                history.append(to_host(number, *_cell(k, found)))
    states = jax.device_get(states)
    return [Trained(_cell(k, states), history) for k, history in enumerate(histories)]


def _reported(states: TrainState) -> TrainState:
    """What of the states `to_host` reads."""
    histogram = optax.tree.get(states.opt_state, "UpdateHistogramState")
    return states._replace(variables=None, opt_state=(histogram,))


def _place(tree: Any, mesh: Mesh | None) -> Any:
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, P(CELLS)))


def _cell(k: int, tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[k], tree)
