"""Training epoch by epoch, of one run or several at once, with continuation from checkpoints."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from adamprox.interruption import OutOfTimeError
from adamprox.training.checkpoints import Checkpoints
from adamprox.training.compiled_network import CompiledNetwork, classic_random
from adamprox.training.program import FirstStep, compile_program
from adamprox.training.rotation import percentiles
from adamprox.training.sharding import RUNS, replicate
from adamprox.training.specs import Program, Schedule
from adamprox.training.step import Hyperparameters, Sums, TrainState


class EpochResult(NamedTuple):
    """Results of one epoch, on the host; losses are without the multiplier.

    The evaluation columns (``train_set_*``, ``validation_*``, ``test_*``) are None for epochs
    without evaluation.

    Attributes:
      epoch: Number of the epoch, from 1.
      train_loss: Mean loss over the epoch's batches, each before its update.
      train_error: Fraction of wrong predictions over the epoch's batches, each before its update.
      train_set_loss: Loss after the epoch on the training images without augmentation.
      train_set_error: Error after the epoch on the training images without augmentation.
      validation_loss: Loss after the epoch on the validation split.
      validation_error: Error after the epoch on the validation split.
      test_loss: Loss after the epoch on the test split.
      test_error: Error after the epoch on the test split.
      update_histogram: Counts int32[28] of |update|/α at the epoch's first step, without the decay.
      diverged_step: Number of the step after which a value was not finite, or 0.
      angular_update: Percentiles 10, 50 and 90, over all neurons, of the angle in radians by which the
        epoch's first step turns the weights of a neuron, without the decay.
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
    angular_update: list[float | None]


class Trained(NamedTuple):
    """A run after its last epoch.

    Attributes:
      variables: Flax collections, on the host.
      history: Results, one per epoch.
    """

    variables: Any
    history: list[EpochResult]


class Training(NamedTuple):
    """Runs that train at once, between two epochs.

    Attributes:
      state: State of all runs, on the device; the next epoch deletes it.
      histories: Results of every run, one per epoch; the history of a diverged run ends early.
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
        """Return True if a run is complete or has diverged."""
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
    """Train one run; it ends early if it diverges.

    Args:
      program: Program of one optimizer.
      hp: Hyperparameters that are arguments of the compiled program.
      schedule: Length of the run.
      seed: Seed of the order of the examples and of their augmentation.
      init_seed: Seed of the initial parameters.
      checkpoints: Checkpoints to continue from and to write; None for none.
      mesh: Devices, see `compile_program`.

    Returns:
      The trained run. On one thread an interruption does not change a bit of it.
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
    """Train runs at once, with the results that each has alone; yield after every epoch.

    Args:
      program: Program of their optimizers.
      hps: Hyperparameters of each run; on a mesh, ordered by device.
      schedule: Length of all runs.
      seeds: Seeds of the order of the examples, one per run.
      init_seed: Seed of the initial parameters of all runs.
      checkpoints: Checkpoints to continue from and to write; None for none.
      mesh: Devices, see `compile_program`.
      deadline: Time of `time.monotonic` at which training must end; None for no limit.

    Yields:
      All runs after an epoch. A diverged run does not change any more.

    Raises:
      OutOfTimeError: The next epoch would miss the deadline; the state is saved.
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
    limit = _TimeLimit(deadline)
    while not all(now.has_ended(k, schedule) for k in range(len(hps))):
        number = now.epoch + 1
        if limit.is_near():
            if checkpoints and now.epoch:
                checkpoints.save(now.epoch, now.state, _rows(now), force=True)
            raise OutOfTimeError
        state, sums, first = classic_random(
            compiled.epoch, now.state, stacked, orders, number, network.pool
        )
        visits = {
            column: compiled.evaluate(state.variables, network.pool, *bounds)
            for column, bounds in evaluation_ranges(network, schedule, number).items()
        }
        found = jax.device_get((state.diverged_step, first, {"train": sums, **visits}))
        histories = [
            history
            if now.has_ended(k, schedule)
            else [*history, to_host(number, *jax.tree.map(lambda leaf, k=k: leaf[k], found))]
            for k, history in enumerate(now.histories)
        ]
        now = Training(state, histories)
        if checkpoints:
            checkpoints.save(number, now.state, _rows(now))
        limit.note_epoch(schedule.visits(number))
        yield now


class _TimeLimit:
    """A deadline, and the longest epoch so far.

    The first epoch, and the first with an evaluation, do not count: they are compiled.
    """

    def __init__(self, deadline: float | None):
        self.deadline, self.began, self.longest = deadline, 0.0, 0.0
        self.compiled: set[bool] = set()

    def is_near(self) -> bool:
        """Return True if an epoch that begins now would end after the deadline."""
        self.began = time.monotonic()
        return self.deadline is not None and self.began + self.longest > self.deadline

    def note_epoch(self, evaluates: bool) -> None:
        if evaluates in self.compiled:
            self.longest = max(self.longest, time.monotonic() - self.began)
        self.compiled.add(evaluates)


def _rows(training: Training) -> list[list[dict[str, Any]]]:
    return [[result._asdict() for result in history] for history in training.histories]


def _divided(tree: Any, mesh: Mesh | None) -> Any:
    """Place arrays with an axis of runs: divide them over a mesh of runs, else replicate them."""
    if mesh is None or RUNS not in mesh.axis_names:
        return replicate(tree, mesh)
    return jax.device_put(tree, NamedSharding(mesh, P(RUNS)))


def restored(checkpoints: Checkpoints, start: Training) -> Training:
    """Return the runs from their newest checkpoint, or ``start`` without one."""
    found = checkpoints.restore(start.state)
    if found is None:
        return start
    state, histories = found
    return Training(state, [[EpochResult(**row) for row in rows] for rows in histories])


def evaluation_ranges(
    network: CompiledNetwork, schedule: Schedule, number: int
) -> dict[str, tuple[int, int]]:
    """Return ranges of the pool to evaluate after epoch ``number``, by prefix of the columns."""
    if not schedule.visits(number):
        return {}
    columns = {"validation": "validation", "test": "test"}
    if schedule.evaluate_train:
        columns["train"] = "train_set"
    return {
        column: network.ranges[name] for name, column in columns.items() if name in network.ranges
    }


def to_host(
    number: int, diverged_step: Any, first: FirstStep, sums: dict[str, Sums]
) -> EpochResult:
    """Convert the results of an epoch of one run from device arrays."""
    means: dict[str, Any] = dict.fromkeys(EpochResult._fields)
    for name, total in sums.items():
        means[f"{name}_loss"] = float(total.loss / total.seen)
        means[f"{name}_error"] = float(total.wrong / total.seen)
    return EpochResult(
        **means
        | {
            "epoch": number,
            "update_histogram": [int(c) for c in first.histograms],
            "diverged_step": int(diverged_step),
            "angular_update": percentiles(first.angles),
        }
    )
