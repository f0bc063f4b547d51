"""The cell of Fig. 1: two methods on two quadratics, each tuned."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamprox
from adamprox.checks import fits
from adamprox.problems import quadratic

START = (-1.0, 2.0)
MINIMIZER = (1.0, 1.0)
METHODS = {
    "gd": lambda size, eta: optax.sgd(size),
    "adamw": lambda size, eta: adamprox.adamw(size, eps=0.0, weight_decay=1e-4, schedule=eta),
}


@dataclasses.dataclass(frozen=True)
class QuadraticsCell:
    """Both methods on both quadratics, each with its step size tuned by a grid.

    The best step size is the one whose path is nearest to the minimizer on average; gradient
    descent runs at a constant step, AdamW with η_t falling along half a cosine.

    Attributes:
      condition_numbers: κ of the two problems.
      steps: Iterations.
      step_sizes: The grid, from 1e-7 to 10.
    """

    kind: ClassVar[str] = "quadratics"
    version: ClassVar[int] = 2
    condition_numbers: tuple[float, ...] = (1.0, 1e5)
    steps: int = 200
    step_sizes: int = 49

    @property
    def program(self) -> str:
        """One compilation."""
        return self.kind

    def config(self) -> dict[str, Any]:
        """The attributes; κ as a list."""
        return {**dataclasses.asdict(self), "condition_numbers": list(self.condition_numbers)}

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        """Trajectories x_0 … x_T of the tuned runs, one column a method and problem."""
        sizes = jnp.asarray(np.geomspace(1e-7, 10.0, self.step_sizes), jnp.float32)
        columns: dict[str, Any] = {}
        for (method, i), run in jax.jit(self._all)(sizes).items():
            paths = np.asarray(run, float)
            away = np.linalg.norm(paths - MINIMIZER, axis=2).mean(axis=1)
            best = int(np.nan_to_num(away, nan=np.inf).argmin())
            columns[f"{method}_{i}_path"] = paths[best].tolist()
            columns[f"{method}_{i}_step_size"] = float(sizes[best])
        return columns

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record has every path and step size."""
        runs = [f"{method}_{i}" for method in METHODS for i in range(len(self.condition_numbers))]
        paths = {f"{run}_path": ((self.steps + 1, len(START)), float) for run in runs}
        return fits(record, paths | {f"{run}_step_size": ((), float) for run in runs})

    def _all(self, sizes):
        """Paths float32[step size, T + 1, 2] of every method on every problem."""
        return {
            (method, i): jax.vmap(lambda s, m=method, k=kappa: self._descend(m, k, s))(sizes)
            for method in METHODS
            for i, kappa in enumerate(self.condition_numbers)
        }

    def _descend(self, method, kappa, size):
        problem = quadratic(kappa, MINIMIZER)
        tx = METHODS[method](size, optax.cosine_decay_schedule(1.0, self.steps))

        def step(carry, _):
            x, state = carry
            updates, state = tx.update(problem.gradient(x), state, x)
            x = jnp.asarray(optax.apply_updates(x, updates))
            return (x, state), x

        start = jnp.asarray(START)
        _, path = jax.lax.scan(step, (start, tx.init(start)), length=self.steps)
        return jnp.concatenate([start[None], path])
