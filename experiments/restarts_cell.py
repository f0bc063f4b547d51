"""AdaGrad with restarts and tuned gradient descent on quadratics of many condition numbers."""

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


@dataclasses.dataclass(frozen=True)
class RestartsCell:
    """Quadratics of many condition numbers, along the axes and rotated, in double precision.

    The start is 0, the minimizer uniform in the hypercube of radius 1 around it, the goal a largest
    error of 2^-``goal``; gradient descent's step is the best of a grid around 2/(M + μ).

    Attributes:
      condition_numbers: κ of the problems.
      dimension: d.
      rounds: Of Algorithm 3.
      goal: In halvings of the radius.
      longer: Multiples of T = 128 d that the rotated problems are tried with, too.
    """

    kind: ClassVar[str] = "restarts"
    version: ClassVar[int] = 1
    condition_numbers: tuple[float, ...] = tuple(10.0**k for k in range(9))
    dimension: int = 10
    rounds: int = 15
    goal: int = 10
    longer: tuple[int, ...] = (1, 4, 16)

    @property
    def program(self) -> str:
        """Compilations of its own."""
        return self.kind

    def config(self) -> dict[str, Any]:
        """The attributes; tuples as lists."""
        tuples = {k: list(getattr(self, k)) for k in ("condition_numbers", "longer")}
        return {**dataclasses.asdict(self), **tuples}

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        """Gradients to the goal, None where it is not kept, and distances after every round."""
        random = np.random.default_rng(0)
        minimizer = random.uniform(-1, 1, self.dimension)
        rotation = np.linalg.qr(random.normal(size=(self.dimension, self.dimension)))[0]
        with jax.enable_x64(True):
            diagonal = self._descend(np.eye(self.dimension), minimizer, 1)
            rotated = [self._descend(rotation, minimizer, m) for m in self.longer]
        calls = [[self._calls(path) for path in paths] for paths in rotated]
        ends = slice(None, None, 128 * self.dimension)
        return {
            "restarts_calls": [self._calls(path) for path in diagonal],
            "rotated_calls": [min(filter(None, c), default=None) for c in zip(*calls, strict=True)],
            "gd_calls": [descent_calls(k, minimizer, 2.0**-self.goal) for k in self.condition_numbers],
            "restarts_distances": diagonal[:, ends].tolist(),
            "rotated_distances": rotated[0][:, ends].tolist(),
        }  # fmt: skip

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record has the calls and distances of every condition number."""
        count = len(self.condition_numbers)
        calls = ("restarts_calls", "rotated_calls", "gd_calls")
        distances = ("restarts_distances", "rotated_distances")
        columns = {name: ((count,), int | None) for name in calls}
        return fits(record, columns | {n: ((count, self.rounds + 1), float) for n in distances})

    def _descend(self, rotation, minimizer, longer: int) -> np.ndarray:
        """‖x − x*‖_∞ before every gradient and after the last, float[κ, rounds · T + 1]."""
        steps = 128 * self.dimension * longer
        tx = adamprox.adagrad_with_restarts(1.0, steps)
        start = jnp.zeros(self.dimension)

        @jax.jit
        @jax.vmap
        def path(curvatures):
            def step(carry, _):
                x, state = carry
                gradient = rotation @ (curvatures * (rotation.T @ (x - minimizer)))
                updates, state = tx.update(gradient, state, x)
                x = jnp.asarray(optax.apply_updates(x, updates))
                return (x, state), jnp.max(jnp.abs(x - minimizer))

            _, distances = jax.lax.scan(step, (start, tx.init(start)), length=self.rounds * steps)
            return jnp.append(jnp.max(jnp.abs(minimizer)), distances)

        problems = [quadratic(kappa, minimizer).curvatures for kappa in self.condition_numbers]
        return np.asarray(path(jnp.stack(problems)))

    def _calls(self, distances) -> int | None:
        """After how many gradients the goal is reached for good."""
        calls = int(np.flatnonzero(distances > 2.0**-self.goal)[-1]) + 1
        return calls if calls < distances.size else None


def descent_calls(kappa: float, minimizer, goal: float) -> int:
    """Gradients that gradient descent needs from 0: its errors are (1 − s hᵢ)^t x*ᵢ exactly."""
    curvatures = np.geomspace(1.0, kappa, len(minimizer))
    steps = 2 / (1 + kappa) * np.concatenate([[1.0], np.geomspace(0.5, 1.0, 200)])
    with np.errstate(divide="ignore"):
        rates = -np.log(np.abs(1 - steps[:, None] * curvatures))
    halvings = np.maximum(np.log(np.abs(minimizer) / goal), 0)
    return max(1, int(np.ceil((halvings / rates).max(axis=1).min())))
