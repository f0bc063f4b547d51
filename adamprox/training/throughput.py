"""How many cells to train at once, and how: measured on the device, remembered, never guessed."""

import itertools
import json
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from adamprox.files import write_atomically
from adamprox.training.loop import classic_random
from adamprox.training.program import compile_program
from adamprox.training.specs import Program
from adamprox.training.step import Hyperparameters
from adamprox.training.together import BATCHINGS, compile_together


class Choice(NamedTuple):
    """How many cells at once, and a key of `BATCHINGS`."""

    cells: int
    batching: str


ALONE = Choice(1, "sequential")


class Measurement(NamedTuple):
    """One way to train cells.

    Attributes:
      choice: The way.
      seconds: An epoch, divided by the number of cells, the best of a few.
      compile_seconds: From the call to the first result, less an epoch.
      peak_bytes: The largest use of the device's memory so far, None where it is not known.
    """

    choice: Choice
    seconds: float
    compile_seconds: float
    peak_bytes: int | None


def measure(
    program: Program, counts: Sequence[int] = (1, 2, 4, 8, 16), repeats: int = 3
) -> Iterator[Measurement]:
    """Time an epoch of every number of cells and every way to batch them, one by one.

    Args:
      program: What is trained; give it a ``train_size`` of some batches, an epoch is all of it.
      counts: Numbers of cells.
      repeats: Epochs timed, the best of which counts.

    Yields:
      A `Measurement` as soon as there is one; a way that runs out of memory is left out.
    """
    ways = [Choice(k, name) for k, name in itertools.product(counts, BATCHINGS) if k > 1]
    for choice in [ALONE, *ways] if 1 in counts else ways:
        try:
            yield _measure(program, choice, repeats)
        except jax.errors.JaxRuntimeError:  # out of memory: more cells would be, too
            continue


def _measure(program: Program, choice: Choice, repeats: int) -> Measurement:
    compiled = compile_together(program, choice.batching)
    network = compile_program(program).network
    hps = Hyperparameters(*jnp.tile(jnp.array([[1e-4], [1e-4], [1.0]]), choice.cells))
    seeds = jnp.arange(choice.cells, dtype=jnp.int32)
    states = compiled.start(classic_random(network.init, 0), hps)
    times = []
    for number in range(1, repeats + 2):
        start = time.perf_counter()
        states, sums = classic_random(compiled.epoch, states, hps, seeds, number, network.pool)
        jax.block_until_ready(sums)
        times.append(time.perf_counter() - start)
    best = min(times[1:])
    memory = jax.devices()[0].memory_stats() or {}
    return Measurement(
        choice, best / choice.cells, times[0] - best, memory.get("peak_bytes_in_use")
    )


def remember(program: Program, measurements: Sequence[Measurement]) -> Choice:
    """Keep the best of ``measurements`` for `choice`, and return it."""
    best = min(measurements, key=lambda m: m.seconds).choice
    path = _path()
    known = _known()
    known[_name(program)] = list(best)
    write_atomically(path, json.dumps(known, indent=1, sort_keys=True))
    return best


def choice(program: Program) -> Choice:
    """What was measured to be best for the network of ``program`` here, else one cell at a time."""
    found = _known().get(_name(program))
    return Choice(*found) if found else ALONE


def _known() -> dict[str, list]:
    try:
        return json.loads(_path().read_text())
    except (OSError, ValueError):
        return {}


def _path() -> pathlib.Path:
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "adamprox" / "cells_at_once.json"


def _name(program: Program) -> str:
    """Device, network, images and batch: what the answer depends on."""
    device = jax.devices()[0].device_kind
    size = program.images.image_size or program.images.load().train.images.shape[1]
    return f"{device}, {program.network!r}, {size}×{size}, batch {program.batch_size}"
