"""Training one cell, epoch by epoch, and going on from where an interrupted run was."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from adamprox.training.checkpoints import Checkpoints
from adamprox.training.program import CompiledNetwork, compile_program
from adamprox.training.sharding import replicate
from adamprox.training.specs import Program
from adamprox.training.step import Hyperparameters, Sums, TrainState


class EpochResult(NamedTuple):
    """What one epoch leaves on record, on the host; losses are without the multiplier.

    Attributes:
      epoch: From 1.
      train_loss: Mean over the epoch's steps, each before its update.
      train_error: Likewise, fraction wrong.
      train_set_loss: Of the parameters after the epoch, on the training images as they are; None
        where they were not visited.
      train_set_error: Likewise, fraction wrong.
      validation_loss: Likewise, on the validation split.
      validation_error: Likewise.
      test_loss: Likewise, on the test split.
      test_error: Likewise.
      update_histogram: int32[28] of |update|/α at the epoch's first step, without the decay.
      diverged_step: 0, or the step after which something was not finite.
    """

    epoch: int
    train_loss: float
    train_error: float
    train_set_loss: float | None
    train_set_error: float | None
    validation_loss: float | None
    validation_error: float | None
    test_loss: float | None
    test_error: float | None
    update_histogram: list[int]
    diverged_step: int


class Schedule(NamedTuple):
    """How long, and what is looked at on the way.

    Attributes:
      epochs: Passes over the training set.
      evaluate_every: Epochs between visits to the evaluation sets; the last is always visited.
      evaluate_train: Whether the training set is one of them, as in the published protocol.
    """

    epochs: int
    evaluate_every: int = 1
    evaluate_train: bool = False

    def visits(self, number: int) -> bool:
        """Whether the evaluation sets are visited after epoch ``number``."""
        return number % self.evaluate_every == 0 or number == self.epochs


class Trained(NamedTuple):
    """The outcome of `train`: the state after the last epoch and one result an epoch."""

    state: TrainState
    history: list[EpochResult]


def train(
    program: Program,
    hp: Hyperparameters,
    schedule: Schedule,
    *,
    seed: int,
    init_seed: int,
    checkpoints: Checkpoints | None = None,
    mesh: Mesh | None = None,
) -> Trained:
    """Train one cell; a diverged epoch is the last.

    Args:
      program: What is compiled.
      hp: What is not.
      schedule: How long.
      seed: Of the order of the examples and of their augmentation.
      init_seed: Of the initial parameters.
      checkpoints: Where an interrupted run left its state, and where this one leaves its own.
      mesh: See `compile_program`.

    Returns:
      The final state and the history; the same, bit for bit, whether or not the run was interrupted
      (on one thread).
    """
    *_, last = epochs(
        program, hp, schedule, seed=seed, init_seed=init_seed, checkpoints=checkpoints, mesh=mesh
    )
    return last


def epochs(
    program: Program,
    hp: Hyperparameters,
    schedule: Schedule,
    *,
    seed: int,
    init_seed: int,
    checkpoints: Checkpoints | None = None,
    mesh: Mesh | None = None,
) -> Iterator[Trained]:
    """As `train`, but yield after every epoch; the state yielded is gone after the next."""
    compiled = compile_program(program, mesh)
    network = compiled.network
    hp = replicate(Hyperparameters(*(jnp.float32(value) for value in hp)), mesh)
    variables = replicate(classic_random(network.init, init_seed), mesh)
    now = Trained(compiled.start(variables, hp), [])
    del variables
    if checkpoints:
        now = restored(checkpoints, now)
        if now.history:
            yield now
    while not finished(now.history, schedule):
        number = len(now.history) + 1
        state, sums = classic_random(compiled.jit_epoch, now.state, hp, seed, number, network.pool)
        visits = {
            column: network.evaluate(state.variables, network.pool, *bounds)
            for column, bounds in evaluation_ranges(network, schedule, number).items()
        }
        now = Trained(state, [*now.history, to_host(number, state, sums, visits)])
        if checkpoints:
            checkpoints.save(number, now.state, [r._asdict() for r in now.history])
        yield now


def finished(history: list[EpochResult], schedule: Schedule) -> bool:
    """Whether there is no epoch left to train."""
    return len(history) >= schedule.epochs or bool(history and history[-1].diverged_step)


def restored(checkpoints: Checkpoints, start: Trained) -> Trained:
    """What ``checkpoints`` hold of this run, or its ``start``."""
    found = checkpoints.restore(start.state)
    if found is None:
        return start
    state, rows = found
    return Trained(state, [EpochResult(**row) for row in rows])


def evaluation_ranges(
    network: CompiledNetwork, schedule: Schedule, number: int
) -> dict[str, tuple[int, int]]:
    """What is visited after epoch ``number``: prefix of the columns to a range of the pool."""
    if not schedule.visits(number):
        return {}
    columns = {"validation": "validation", "test": "test"}
    if schedule.evaluate_train:
        columns["train"] = "train_set"
    return {
        column: network.ranges[name] for name, column in columns.items() if name in network.ranges
    }


def to_host(number: int, state: TrainState, train: Sums, visits: dict[str, Sums]) -> EpochResult:
    """The result of an epoch, from what is on the device."""
    histogram = optax.tree.get(state.opt_state, "UpdateHistogramState").direction
    diverged_step, counts, sums = jax.device_get(
        (state.diverged_step, histogram, {"train": train, **visits})
    )
    means: dict[str, Any] = dict.fromkeys(EpochResult._fields)
    for name, total in sums.items():
        means[f"{name}_loss"] = float(total.loss / total.seen)
        means[f"{name}_error"] = float(total.wrong / total.seen)
    return EpochResult(
        **means
        | {
            "epoch": number,
            "update_histogram": [int(c) for c in counts],
            "diverged_step": int(diverged_step),
        }
    )


def classic_random(function, *args):
    """Call ``function`` with JAX's classic layout of random counters.

    The newer, partitionable one compiles several times slower on a CPU; what it buys, generation
    on sharded arrays, is not needed for parameters and permutations.
    """
    with jax.threefry_partitionable(False):
        return function(*args)
