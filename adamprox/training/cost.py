"""What a run will cost, from finished cells of the same program, or else from operations."""

import functools
import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from adamprox.sweep import Record, Run
from adamprox.training import TrainingRun, throughput
from adamprox.training.specs import Program

# Of one core, forward and backward, as ResNet-20 was measured; an accelerator does some thousands.
_GFLOPS_A_CORE = 50.0
_OTHER_KINDS = 5.0  # seconds: experiments without a network


def estimate(
    cells: Sequence[Run], records: Sequence[Record], folder: pathlib.Path | None = None
) -> float:
    """Return the seconds of one core, or of one accelerator, that ``cells`` will take.

    Compilation is left out.

    Args:
      cells: Cells that have not been run.
      records: Finished cells, perhaps of the same programs.
      folder: Place of the throughput that was measured on this accelerator; it is what counts then.
    """
    known = _measured(records)
    return sum(
        _seconds(cell, known, folder) if isinstance(cell, TrainingRun) else _OTHER_KINDS
        for cell in cells
    )


def at_once(cells: Sequence[Run], folder: pathlib.Path) -> list[str]:
    """Return a line for every network whose throughput was measured on this device."""
    programs = {
        c.program._replace(optimizers=("adamw",)) for c in cells if isinstance(c, TrainingRun)
    }
    lines = []
    for program in sorted(programs, key=repr):
        if rates := throughput.rates_of(program, folder):
            best = max(rates, key=lambda runs: rates[runs])
            dtype = getattr(program.network, "compute_dtype", "float32")
            name = f"{program.network.family}-{program.network.depth}, {dtype}"
            lines.append(
                f"{name}: {best} runs at once, {rates[best]:,.0f} images/s "
                f"({rates.get(1, math.nan):,.0f} by one run)"
            )
    return lines


def reckoned(cell: TrainingRun) -> float:
    """Seconds of one core that a cell takes by its operations alone, whatever has been measured."""
    return _seconds(cell, {})


def _measured(records: Sequence[Record]) -> dict[tuple, float]:
    """Return median seconds an epoch of every network, data set and length there are records of."""
    times: dict[tuple, list[float]] = {}
    for record in records:
        if record.kind == TrainingRun.kind and not record.diverged:
            seconds = record.seconds / len(record.epochs)
            times.setdefault(_like(record), []).append(seconds)
    return {key: statistics.median(values) for key, values in times.items()}


def _like(record: Mapping[str, Any]) -> tuple:
    names = ("network", "depth", "growth_rate", "width", "batch_norm", "statistics_groups")
    data = ("dataset", "image_size", "train_size", "batch_size")
    return tuple(record.get(name) for name in names + data)


def _seconds(
    cell: TrainingRun, known: dict[tuple, float], folder: pathlib.Path | None = None
) -> float:
    if folder and (rates := throughput.rates_of(cell.program, folder)):
        return _passes(cell) / 3 / max(rates.values())
    if measured := known.get(_like(cell.config())):
        return measured * cell.schedule.epochs
    return _passes(cell) * _forward_flops(cell.program) / (1e9 * _GFLOPS_A_CORE)


def _passes(cell: TrainingRun) -> int:
    """Return the number of forward passes of an image; a backward pass costs two of them."""
    data, schedule = cell.images.expected, cell.schedule
    visits = -(-schedule.epochs // schedule.evaluate_every)
    visited = data.test + cell.images.validation_size + schedule.evaluate_train * data.train
    return 3 * data.train * schedule.epochs + visited * visits


@functools.cache
def _forward_flops(program: Program) -> float:
    """Operations of the network's matrix products on one image, before anything is compiled."""
    data = program.images.expected
    model = program.network.build(data.num_classes)
    image = jax.ShapeDtypeStruct((1, *data.image_shape), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    traced = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, image)
    return _flops(traced.jaxpr)


def _flops(jaxpr) -> float:
    """XLA's own count knows a repeated block once only; this one multiplies by its length."""
    total = 0.0
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            total += _product_flops(equation)
        inside = [_flops(inner) for inner in _inner(equation.params)]
        # The last is a loop's body, or what is written for any platform beside one for CPUs.
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
    """A time as people say it.

    Example:
      >>> in_words(42.0), in_words(5400.0), in_words(2e6)
      ('42 s', '1.5 h', '23 days')
    """
    for limit, unit, name in ((120, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.1f} {name}" if name == "h" and value < 10 else f"{value:.0f} {name}"
    return f"{seconds / 86400:.0f} days"
