"""Training epoch by epoch, one run or several at once, and going on after an interruption."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from adamprox.interruption import OutOfTimeError
from adamprox.training.checkpoints import Checkpoints
from adamprox.training.program import CompiledNetwork, classic_random, compile_program
from adamprox.training.sharding import RUNS, replicate
from adamprox.training.specs import Program, Schedule
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


class Trained(NamedTuple):
    """A run after its last epoch.

    Attributes:
      variables: The Flax collections, on the host.
      history: One result an epoch.
    """

    variables: Any
    history: list[EpochResult]


class Training(NamedTuple):
    """Runs that are trained at once, between two epochs.

    Attributes:
      state: State of all runs, on the device; gone after the next epoch.
      histories: One result an epoch, of every run; that of a run ends where it diverged.
    """

    state: TrainState
    histories: list[list[EpochResult]]

    @property
    def epoch(self) -> int:
        """Number of epochs that have been trained."""
        return max(map(len, self.histories))

    def run(self, k: int) -> Trained:
        """Return one run."""
        variables = jax.device_get(jax.tree.map(lambda leaf: leaf[k], self.state.variables))
        return Trained(variables, self.histories[k])

    def has_ended(self, k: int, schedule: Schedule) -> bool:
        """Return True if there is nothing left to train in a run."""
        history = self.histories[k]
        return len(history) >= schedule.epochs or bool(history and history[-1].diverged_step)


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
    """Train one run; a diverged epoch is the last.

    Args:
      program: Program of one optimizer.
      hp: Numbers that are not compiled.
      schedule: Length of the run.
      seed: Seed of the order of the examples and of their augmentation.
      init_seed: Seed of the initial parameters.
      checkpoints: Place of the state that an interrupted run left, and of the state that this one
        leaves.
      mesh: See `compile_program`.

    Returns:
      The outcome; the same, bit for bit, whether or not the run was interrupted (on one thread).
    """
    *_, last = epochs(
        program,
        [hp],
        schedule,
        seeds=[seed],
        init_seed=init_seed,
        checkpoints=checkpoints,
        mesh=mesh,
    )
    return last.run(0)


def epochs(
    program: Program,
    hps: Sequence[Hyperparameters],
    schedule: Schedule,
    *,
    seeds: Sequence[int],
    init_seed: int,
    checkpoints: Checkpoints | None = None,
    mesh: Mesh | None = None,
    deadline: float | None = None,
) -> Iterator[Training]:
    """Train runs at once, each to the results that it has alone, and yield after every epoch.

    Args:
      program: Program of their optimizers.
      hps: Numbers of each run; on a mesh, those of one device after the other.
      schedule: Length of all runs.
      seeds: Seeds of the order of the examples, one a run.
      init_seed: Seed of the initial parameters of all.
      checkpoints: Place of the state of interrupted runs; see `train`.
      mesh: See `compile_program`.
      deadline: `time.monotonic` at which training has to be over; None for no limit.

    Yields:
      All runs. An epoch ends when it ends for all; a run that diverged stays as it is.

    Raises:
      OutOfTimeError: The next epoch would not end in time; the state has been saved.
    """
    compiled = compile_program(program, mesh)
    network = compiled.network
    columns = jnp.asarray(hps, jnp.float32).reshape(len(hps), -1).T
    stacked = _divided(Hyperparameters(*columns), mesh)
    orders = _divided(jnp.asarray(seeds, jnp.int32), mesh)
    variables = replicate(network.init(init_seed), mesh)
    now = Training(compiled.start(variables, stacked), [[] for _ in hps])
    del variables
    if checkpoints:
        now = restored(checkpoints, now)
        if now.epoch:
            yield now
    longest = 0.0
    while not all(now.has_ended(k, schedule) for k in range(len(hps))):
        began, number = time.monotonic(), now.epoch + 1
        if deadline is not None and began + longest > deadline:
            if checkpoints:
                checkpoints.save(now.epoch, now.state, _rows(now), force=True)
            raise OutOfTimeError
        state, sums, histograms = classic_random(
            compiled.epoch, now.state, stacked, orders, number, network.pool
        )
        visits = {
            column: compiled.evaluate(state.variables, network.pool, *bounds)
            for column, bounds in evaluation_ranges(network, schedule, number).items()
        }
        found = jax.device_get((state.diverged_step, histograms, {"train": sums, **visits}))
        histories = [
            history
            if now.has_ended(k, schedule)
            else [*history, to_host(number, *jax.tree.map(lambda leaf, k=k: leaf[k], found))]
            for k, history in enumerate(now.histories)
        ]
        now = Training(state, histories)
        if checkpoints:
            checkpoints.save(number, now.state, _rows(now))
        longest = max(longest, time.monotonic() - began)
        yield now


def _rows(training: Training) -> list[list[dict[str, Any]]]:
    return [[result._asdict() for result in history] for history in training.histories]


def _divided(tree: Any, mesh: Mesh | None) -> Any:
    """Place arrays with an axis of runs: over the devices of a mesh of runs, else on all."""
    if mesh is None or RUNS not in mesh.axis_names:
        return replicate(tree, mesh)
    return jax.device_put(tree, NamedSharding(mesh, P(RUNS)))


def restored(checkpoints: Checkpoints, start: Training) -> Training:
    """Return what ``checkpoints`` hold of these runs, or their ``start``."""
    found = checkpoints.restore(start.state)
    if found is None:
        return start
    state, histories = found
    return Training(state, [[EpochResult(**row) for row in rows] for rows in histories])


def evaluation_ranges(
    network: CompiledNetwork, schedule: Schedule, number: int
) -> dict[str, tuple[int, int]]:
    """Return what is visited after epoch ``number``: prefix of the columns to a range of the pool."""
    if not schedule.visits(number):
        return {}
    columns = {"validation": "validation", "test": "test"}
    if schedule.evaluate_train:
        columns["train"] = "train_set"
    return {
        column: network.ranges[name] for name, column in columns.items() if name in network.ranges
    }


def to_host(number: int, diverged_step: Any, histogram: Any, sums: dict[str, Sums]) -> EpochResult:
    """Return the result of an epoch of one run, from what was on the device."""
    means: dict[str, Any] = dict.fromkeys(EpochResult._fields)
    for name, total in sums.items():
        means[f"{name}_loss"] = float(total.loss / total.seen)
        means[f"{name}_error"] = float(total.wrong / total.seen)
    return EpochResult(
        **means
        | {
            "epoch": number,
            "update_histogram": [int(c) for c in histogram],
            "diverged_step": int(diverged_step),
        }
    )
