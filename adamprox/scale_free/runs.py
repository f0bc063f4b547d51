"""Running an optimizer on rescaled gradients, all runs in one compiled program."""

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
      escaped: Booleans of these shapes: a number near an end of the range of its type took part.
        Empty where every type has the range that the tested gradients need.
    """

    leaves: list[np.ndarray]
    escaped: list[np.ndarray]

    def parameters(self, rows: np.ndarray) -> np.ndarray:
        """float64[number of rows, T, n]."""
        return flat([x[rows] for x in self.leaves], 2)

    def usable(self, rows: np.ndarray) -> np.ndarray:
        """Steps before which no number left its range, bool[number of rows, T, n]."""
        if not self.escaped:
            return np.ones(self.parameters(rows).shape, bool)
        return np.logical_and.accumulate(flat([x[rows] for x in self.escaped], 2) == 0, axis=1)


def run_all(tx: Any, probe: Probe, rows: Rows, extra_args: ExtraArgs | None) -> Runs:
    """Parameters after every step under every rescaling of the gradients.

    One compiled program does all runs, one after the other, so that equal arithmetic gives equal bits.

    Args:
      tx: The transformation, ``init`` and ``update``.
      probe: Start and gradients.
      rows: Gradient sequence, rescaling and perturbation of each run.
      extra_args: ``(params, gradients) -> dict`` of further arguments of ``update``, or None.
    """
    structure = jax.tree.structure(probe.params)

    def update(gradients, state, params):
        extra = {} if extra_args is None else extra_args(params, gradients)
        return tx.update(gradients, state, params, **extra)

    program, (_, after) = _trace(update, tx, probe)
    unit = coarsest_unit(program.jaxpr)
    half = unit > float(jnp.finfo(jnp.float32).eps)
    narrow = narrow_types(probe.params, after, probe.wide)

    def step(noise, rescaling, carry, inputs):
        params, state = carry
        gradients, number = inputs
        gradients = jax.tree.map(_times, gradients, jax.tree.unflatten(structure, rescaling))
        gradients = perturb(gradients, noise, number, unit) if half else gradients
        updates, new = update(gradients, state, params)
        # A leaf that the update leaves alone is a hyperparameter, and is not rounded.
        changed = jax.tree.map(lambda a, b: jnp.any(a != b), new, state)
        state = jax.tree.map(jnp.where, changed, perturb(new, noise, number), new)
        updates = perturb(updates, noise, number, unit) if half else updates
        params = optax.apply_updates(params, updates)
        escaped = out_of_range(narrow, gradients, state) if any(narrow) else []
        return (params, state), (jax.tree.leaves(params), escaped)

    def run(row):
        sequence, noise, rescaling = row
        state = tx.init(probe.params)
        # Counters and scalars may change their type at the first update; a scan's carry may not.
        state = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), state, after)
        gradients = jax.tree.map(lambda g: g[sequence], probe.gradients)
        steps = jnp.arange(len(jax.tree.leaves(gradients)[0]), dtype=jnp.int32)
        start = (probe.params, state)
        return jax.lax.scan(lambda c, x: step(noise, rescaling, c, x), start, (gradients, steps))[1]

    rescalings = unflatten(rows.rescalings, jax.tree.leaves(probe.params), jnp.float32)
    inputs = (jnp.asarray(rows.sequences), jnp.asarray(rows.noise), rescalings)
    leaves, escaped = jax.jit(lambda r: jax.lax.map(run, r))(inputs)
    return Runs([np.asarray(x) for x in leaves], [np.asarray(x) for x in escaped])


def _trace(update: Callable[..., Any], tx: Any, probe: Probe) -> Any:
    """The program of one update, and the shapes of what it returns."""
    state = jax.eval_shape(tx.init, probe.params)
    return jax.make_jaxpr(update, return_shape=True)(probe.params, state, probe.params)


def _times(gradient: jax.Array, factor: jax.Array) -> jax.Array:
    """The product, rounded once to the type of the gradient."""
    return (gradient.astype(factor.dtype) * factor).astype(gradient.dtype)
