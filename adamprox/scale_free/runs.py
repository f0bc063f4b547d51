"""Run an optimizer on rescaled gradients, with all runs in one compiled program."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adamprox.scale_free.plan import Rows
from adamprox.scale_free.probe import Probe, flat, unflatten
from adamprox.scale_free.rounding import coarsest_unit, narrow_types, out_of_range, perturb

ExtraArgs = Callable[[Any, Any], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Runs:
    """Parameters after every step of N runs of T steps.

    Attributes:
      leaves: Arrays of the parameters with leading axes N and T.
      escaped: Boolean arrays of the same shapes, True if a number near the end of its range was
        involved. Empty if every type has the range that the tested gradients need.
    """

    leaves: list[np.ndarray]
    escaped: list[np.ndarray]

    def parameters(self, rows: np.ndarray) -> np.ndarray:
        """Return the parameters of some runs, float64[len(rows), T, n]."""
        return flat([x[rows] for x in self.leaves], 2)

    def usable(self, rows: np.ndarray) -> np.ndarray:
        """Return True for steps until a number leaves its range, bool[len(rows), T, n]."""
        if not self.escaped:
            return np.ones(self.parameters(rows).shape, bool)
        return np.logical_and.accumulate(flat([x[rows] for x in self.escaped], 2) == 0, axis=1)


def run_all(tx: Any, probe: Probe, rows: Rows, extra_args: ExtraArgs | None) -> Runs:
    """Return the parameters after every step under every rescaling of the gradients.

    One compiled program executes all runs in sequence; equal arithmetic then gives equal bits.

    Args:
      tx: Transformation with ``init`` and ``update``.
      probe: Initial parameters and gradients.
      rows: Gradient sequence, rescaling and perturbation of each run.
      extra_args: Function ``(params, gradients) -> dict`` of further arguments of ``update``, or
        None.
    """
    structure = jax.tree.structure(probe.params)

    def update(gradients, state, params):
        extra = {} if extra_args is None else extra_args(params, gradients)
        return tx.update(gradients, state, params, **extra)

    trace = jax.make_jaxpr(update, return_shape=True)
    before = jax.eval_shape(tx.init, probe.params)
    traced, (_, after) = trace(probe.params, before, probe.params)
    unit = coarsest_unit(traced.jaxpr)
    half = unit > float(jnp.finfo(jnp.float32).eps)
    narrow = narrow_types(probe.params, after, probe.wide)

    def step(noise, rescaling, carry, inputs):
        params, state = carry
        gradients, number = inputs
        gradients = jax.tree.map(_times, gradients, jax.tree.unflatten(structure, rescaling))
        gradients = perturb(gradients, noise, number, unit) if half else gradients
        updates, new = update(gradients, state, params)
        # A leaf that the update does not change is a hyperparameter without rounding.
        changed = jax.tree.map(lambda a, b: jnp.any(a != b), new, state)
        state = jax.tree.map(jnp.where, changed, perturb(new, noise, number), new)
        updates = perturb(updates, noise, number, unit) if half else updates
        params = optax.apply_updates(params, updates)
        escaped = out_of_range(narrow, gradients, state) if any(narrow) else []
        return (params, state), (jax.tree.leaves(params), escaped)

    def run(params, gradients, row):
        sequence, noise, rescaling = row
        state = tx.init(params)
        # The first update may change the type of counters and scalars; the carry of a scan may not.
        state = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), state, after)
        gradients = jax.tree.map(lambda g: g[sequence], gradients)
        steps = jnp.arange(len(jax.tree.leaves(gradients)[0]), dtype=jnp.int32)
        start = (params, state)
        return jax.lax.scan(lambda c, x: step(noise, rescaling, c, x), start, (gradients, steps))[1]

    rescalings = unflatten(rows.rescalings, jax.tree.leaves(probe.params), jnp.float32)
    inputs = (jnp.asarray(rows.sequences), jnp.asarray(rows.noise), rescalings)
    # Gradients are arguments, not constants: other sequences need no other program.
    program = jax.jit(lambda p, g, rows: jax.lax.map(lambda row: run(p, g, row), rows))
    leaves, escaped = program(probe.params, probe.gradients, inputs)
    return Runs([np.asarray(x) for x in leaves], [np.asarray(x) for x in escaped])


def _times(gradient: jax.Array, factor: jax.Array) -> jax.Array:
    """Return the product, rounded once to the type of the gradient."""
    return (gradient.astype(factor.dtype) * factor).astype(gradient.dtype)
