"""Number of runs to train at once, measured on the device and stored with the records."""

import dataclasses
import json
import logging
import math
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from adamprox.files import read_file, write_atomically
from adamprox.sweep.failures import out_of_memory
from adamprox.training.compiled_network import classic_random
from adamprox.training.program import compile_program
from adamprox.training.specs import Program, ResNetSpec
from adamprox.training.step import Hyperparameters

COUNTS = (1, 4, 8, 16, 32)
_BATCHES = 8  # in a timed epoch
_WORTH = 1.05  # minimum speedup that justifies more runs
_DEPTH = 20  # of the ResNet that is measured for deeper ones, which take minutes to compile
_LARGEST = 2**20  # bytes of the file
_log = logging.getLogger(__name__)


class Measurement(NamedTuple):
    """Speed and cost of training some runs at once.

    Attributes:
      runs: Number of runs.
      images_per_second: Training images per second, summed over runs.
      compile_seconds: Seconds from the call to the first result, minus an epoch.
    """

    runs: int
    images_per_second: float
    compile_seconds: float


def measure(
    program: Program, counts: Sequence[int] = COUNTS, repeats: int = 3
) -> Iterator[Measurement]:
    """Time an epoch for every number of runs.

    Args:
      program: Program of one run, with a ``train_size`` of a few batches, which is one epoch.
      counts: Numbers of runs, ascending.
      repeats: Number of timed epochs; the fastest counts.

    Yields:
      A `Measurement` per number of runs, until the device is out of memory.

    Raises:
      JaxRuntimeError: Any other error of the device, or no memory for the first number of runs.
    """
    for runs in counts:
        try:
            yield timed(program._replace(optimizers=program.optimizers * runs), repeats)
        except jax.errors.JaxRuntimeError as error:
            if runs == counts[0] or not out_of_memory(error):
                raise
            return


def timed(program: Program, repeats: int = 3) -> Measurement:
    """Time an epoch of all runs of a program: the fastest of ``repeats`` after the first."""
    compiled, runs = compile_program(program), len(program.optimizers)
    network = compiled.network
    hps = Hyperparameters(*jnp.tile(jnp.array([[1e-4], [1e-4], [1.0]]), runs))
    seeds = jnp.zeros(runs, jnp.int32)
    state = compiled.start(network.init(0), hps)
    times = []
    for number in range(1, repeats + 2):
        start = time.perf_counter()
        state, *sums = classic_random(compiled.epoch, state, hps, seeds, number, network.pool)
        jax.block_until_ready(sums)
        times.append(time.perf_counter() - start)
    best = min(times[1:])
    size = program.images.train_size or network.ranges["train"][1]
    return Measurement(runs, runs * size / best, times[0] - best)


def runs_at_once(program: Program, folder: pathlib.Path) -> int:
    """Return the number of runs at which a device trains the most images per second.

    The function measures once per device and network, and stores the result in ``folder``. All deep
    ResNets share one measurement, because their layers have the same shapes. On a CPU the number is
    1, because several runs at once are not faster.

    Args:
      program: Program of one of the runs.
      folder: Directory of ``throughput.json``.
    """
    if jax.default_backend() == "cpu":
        return 1
    rates = rates_of(program, folder) or _rates(_measured(program), folder)
    return max(rates, key=lambda runs: rates[runs])


def rates_of(program: Program, folder: pathlib.Path) -> dict[int, float]:
    """Return images per second on this device by number of runs, from the stored ones, or {}.

    The time of a deep ResNet is proportional to its depth.
    """
    measured, known = _measured(program), _known(folder)
    found = known.get(_name(measured), {}) if known else {}
    share = measured.network.depth / program.network.depth
    return {int(runs): float(rate) * share for runs, rate in found.items()}


def _measured(program: Program) -> Program:
    """Return the program whose measurements hold for ``program``."""
    network = program.network
    if not isinstance(network, ResNetSpec) or network.depth <= _DEPTH:
        return program
    return program._replace(network=dataclasses.replace(network, depth=_DEPTH))


def _rates(program: Program, folder: pathlib.Path) -> dict[int, float]:
    """Measure until more runs do not help, and store the results."""
    size = program.images.batch_size * _BATCHES
    available = len(program.images.load().train.labels)
    images = dataclasses.replace(program.images, train_size=min(size, available))
    rates: dict[int, float] = {}
    for found in measure(program._replace(images=images)):
        gains = not rates or found.images_per_second > _WORTH * max(rates.values())
        rates[found.runs] = found.images_per_second
        if not gains:
            break
    known = {**_known(folder), _name(program): {str(runs): rate for runs, rate in rates.items()}}
    write_atomically(folder / _FILE, json.dumps(known, indent=1, sort_keys=True))
    summary = ", ".join(f"{runs}: {rate:,.0f}" for runs, rate in rates.items())
    _log.warning("images per second by runs at once: %s", summary)
    return rates


_FILE = "throughput.json"


def _known(folder: pathlib.Path) -> dict[str, Any]:
    allowed = {str(count) for count in COUNTS}
    try:
        found = json.loads(read_file(folder / _FILE, _LARGEST))
        good = all(
            "1" in rates
            and rates.keys() <= allowed
            and all(0 < r < math.inf for r in rates.values())
            for rates in found.values()
        )
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}  # missing or damaged: measure again
    return found if good else {}


def _name(program: Program) -> str:
    """Return the key of a measurement: device, network, images and batch size."""
    device = jax.local_devices()[0].device_kind
    images = program.images
    size = images.expected.image_shape[0]
    augmented = ", augmented" if images.augment else ""
    return f"{device}, {program.network!r}, {size}×{size}{augmented}, batch {images.batch_size}"
