"""Estimated cost of runs, from finished runs of the same program or from operation counts."""

import dataclasses
import functools
import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from adamprox.sweep import Run
from adamprox.sweep.record import Record
from adamprox.training import TrainingRun, throughput
from adamprox.training.specs import Program, ResNetSpec

# Measured on one core with ResNet-20, forward and backward; an accelerator reaches some thousands.
_GFLOPS_A_CORE = 50.0
_OTHER_KINDS = 5.0  # seconds: experiments without a network


def cost_in_seconds(
    runs: Sequence[Run], records: Sequence[Record], folder: pathlib.Path | None = None
) -> float:
    """Return the seconds of one core, or of one accelerator, that ``runs`` will take.

    The estimate does not include compilation.

    Args:
      runs: Runs without a record.
      records: Records of finished runs, which may have the same programs.
      folder: Directory of the throughput on this accelerator, which takes precedence if measured.
    """
    known = _measured(records)
    return sum(
        _seconds(run, known, folder) if isinstance(run, TrainingRun) else _OTHER_KINDS
        for run in runs
    )


def at_once(runs: Sequence[Run], folder: pathlib.Path) -> list[str]:
    """Return a line for every network whose throughput was measured on this device."""
    programs = {
        c.program._replace(optimizers=("adamw",)) for c in runs if isinstance(c, TrainingRun)
    }
    lines = []
    for program in sorted(programs, key=repr):
        if rates := throughput.rates_of(program, folder):
            best = max(rates, key=lambda count: rates[count])
            dtype = getattr(program.network, "compute_dtype", "float32")
            name = f"{program.network.title}, {dtype}"
            lines.append(
                f"{name}: {best} runs at once, {rates[best]:,.0f} images/s "
                f"({rates.get(1, math.nan):,.0f} by one run)"
            )
    return lines


def _measured(records: Sequence[Record]) -> dict[tuple, float]:
    """Return the median seconds per epoch, by network and data set."""
    times: dict[tuple, list[float]] = {}
    for record in records:
        if record.kind == TrainingRun.kind and not record.diverged:
            seconds = record.seconds / len(record.epochs)
            times.setdefault(_like(record), []).append(seconds)
    return {key: statistics.median(values) for key, values in times.items()}


def _like(record: Mapping[str, Any]) -> tuple:
    names = ("network", "depth", "growth_rate", "width", "batch_norm", "statistics_groups")
    names += ("skip_init", "compute_dtype", "augment")
    data = ("dataset", "image_size", "train_size", "batch_size")
    usual = TrainingRun.defaults()
    return tuple(record.get(name, usual.get(name)) for name in names + data)


def _seconds(run: TrainingRun, known: dict[tuple, float], folder: pathlib.Path | None) -> float:
    if folder and (rates := throughput.rates_of(run.program, folder)):
        return _passes(run) / 3 / max(rates.values())
    if measured := known.get(_like(run.config())):
        return measured * run.schedule.epochs
    return _passes(run) * _operations(run.program) / (1e9 * _GFLOPS_A_CORE)


def _passes(run: TrainingRun) -> int:
    """Return the number of forward passes of an image; a backward pass costs two of them."""
    data, schedule = run.images.expected, run.schedule
    visits = -(-schedule.epochs // schedule.evaluate_every)
    visited = data.test + run.images.validation_size + schedule.evaluate_train * data.train
    return 3 * data.train * schedule.epochs + visited * visits


def _operations(program: Program) -> float:
    """Return the operations on one image, of a deep ResNet by those of 8 and 14 layers.

    Every 6 layers add one block a stage. Tracing 218 layers would take seconds.
    """
    program, network = program._replace(optimizers=()), program.network
    if not isinstance(network, ResNetSpec) or network.depth <= 14:
        return _forward_flops(program)
    small, more = (
        _forward_flops(program._replace(network=dataclasses.replace(network, depth=depth)))
        for depth in (8, 14)
    )
    return small + (network.depth - 8) / 6 * (more - small)


@functools.cache
def _forward_flops(program: Program) -> float:
    """Return the operations of the network's matrix products on one image, without compilation."""
    data = program.images.expected
    model = program.network.build(data.num_classes)
    image = jax.ShapeDtypeStruct((1, *data.image_shape), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    traced = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, image)
    return _flops(traced.jaxpr)


def _flops(jaxpr) -> float:
    """Return the operations of a program, each loop times its length; XLA counts a loop once."""
    total = 0.0
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            total += _product_flops(equation)
        inside = [_flops(inner) for inner in _inner(equation.params)]
        # The last one is the body of a loop, or the version for all platforms other than CPUs.
        total += inside[-1] * equation.params.get("length", 1) if inside else 0.0
    return total


def _product_flops(equation) -> float:
    result, right = equation.outvars[0].aval, equation.invars[1].aval
    if equation.primitive.name == "conv_general_dilated":
        return 2.0 * result.size * right.size / right.shape[-1]
    contracted = equation.params["dimension_numbers"][0][1]
    return 2.0 * result.size * math.prod(right.shape[axis] for axis in contracted)


def _inner(params):
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                yield item


def in_words(seconds: float) -> str:
    """Return a time in a readable unit.

    Example:
      >>> in_words(42.0), in_words(5400.0), in_words(2e6)
      ('42 s', '1.5 h', '23 days')
    """
    for limit, unit, name in ((120, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.1f} {name}" if name == "h" and value < 10 else f"{value:.0f} {name}"
    return f"{seconds / 86400:.0f} days"
