"""Theorem 3: AdaGrad with restarts converges at a rate that does not depend on the condition number.

Claim (§3, Theorem 3): Algorithm 3 is scale-free. With T = 128 d gradients per round, every round halves the
distance to the minimizer of any diagonal quadratic of d variables.
Command: python -m experiments theorem3
Expect: the same number of gradients from κ = 1 to 1e8; tuned gradient descent needs about 2.8 κ. The theorem
does not cover rotated quadratics, on which the same rounds do not reach the minimizer.
"""

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
from adamprox.problems import descent_calls, quadratic
from adamprox.report import Claim, Figure
from adamprox.report.plots import COLORS, canvas
from adamprox.sweep import PlainRun
from experiments.claims import Finding, claim, met, need_records
from experiments.protocol import Experiment, Protocol, Records, Study

LINES = {
    "restarts": ("AdaGrad with restarts", COLORS["adamw"], "o-"),
    "rotated": ("the same, rotated", COLORS["adam_l2"], "s--"),
    "gd": ("gradient descent, tuned", COLORS["gd"], "^-"),
}


@dataclasses.dataclass(frozen=True)
class RestartsRun(PlainRun):
    """Quadratics of many condition numbers, along the axes and rotated, in double precision.

    The start is 0, and the minimizer is uniform in the hypercube of radius 1 around it. The goal is a
    largest error of 2^-``goal``. Gradient descent has the best step size of a grid around 2/(M + μ).

    Attributes:
      condition_numbers: Condition numbers κ of the problems.
      dimension: Number d of variables.
      rounds: Number of rounds of Algorithm 3.
      goal: Number of halvings of the radius to the goal.
      longer: Lengths of a round on the rotated problems, in multiples of T = 128 d.
    """

    kind: ClassVar[str] = "restarts"
    condition_numbers: tuple[float, ...] = tuple(10.0**k for k in range(9))
    dimension: int = 10
    rounds: int = 15
    goal: int = 10
    longer: tuple[int, ...] = (1, 4, 16)

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        """Return numbers of gradients to the goal (None if missed) and distances after every round."""
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
        """Return ‖x − x*‖_∞ before every gradient and after the last, float[κ, rounds · T + 1]."""
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
        """Return the number of gradients after which the error stays within the goal, or None."""
        calls = int(np.flatnonzero(distances > 2.0**-self.goal)[-1]) + 1
        return calls if calls < distances.size else None


class Theorem3(Study):
    """Both methods on quadratics of all condition numbers."""

    def __init__(self, protocol: Protocol, records: Records):
        """Find the run."""
        self.runs, self.records = [protocol.settings_of("theorem3", RestartsRun)], records

    def figures(self) -> list[Figure]:
        """Draw the number of gradients against κ, and distances by round with the theorem's bound."""
        (record,) = self.records.of(self.runs)
        kappas = record["condition_numbers"]
        figure, axes = canvas(1, 2, 10.5, 3.8)
        for name, (label, color, style) in LINES.items():
            calls = [c or np.nan for c in record[f"{name}_calls"]]
            axes[0, 0].loglog(kappas, calls, style, color=color, label=label, ms=5)
        axes[0, 0].set(xlabel="condition number κ", title="gradients to the goal", ylim=(0.5, None))
        axes[0, 0].legend()
        for name in ("rotated", "restarts"):
            label, color, style = LINES[name]
            for i, distances in enumerate(record[f"{name}_distances"]):
                text = f"{label}, {len(kappas)} values of κ" if i == 0 else None
                line = {"color": color, "label": text, "ms": 3, "lw": 1, "alpha": 0.7}
                axes[0, 1].semilogy(distances, style, **line)
        bound = 0.5 ** np.arange(record["rounds"] + 1)
        axes[0, 1].semilogy(bound, color="#222222", lw=2, label="bound r/2ᵏ")
        axes[0, 1].set(xlabel="round k, of T = 128 d gradients", title="largest error")
        axes[0, 1].legend()
        caption = (
            "Left: AdaGrad with restarts needs the same number of gradients for all κ; gradient descent's grows "
            "with κ. The dashed line ends where rotated problems are not solved, even with rounds "
            f"{max(record['longer'])} times as long. Right: on diagonal problems all lines coincide below the "
            "bound. On rotated ones the hypercube shrinks faster than the error."
        )
        return [
            Figure(
                "theorem3_restarts", "Gradients to the goal, and error by round.", caption, figure
            )
        ]

    def claims(self) -> list[Claim]:
        """Judge the number of gradients for all κ, and the bound of the theorem in every round."""
        section = "§3, Theorem 3"
        rate = claim(
            section,
            "AdaGrad with restarts needs equally many gradients for all condition numbers (diagonal quadratics).",
            "largest number at most 1.1 times the smallest; gradient descent's grows at least like κ^0.9",
            self._rate,
        )
        bound = claim(
            section,
            "Every round of 128 d gradients halves the bound on the largest error.",
            "largest error at most r/2^k after every round k (r: radius at the start)",
            self._bound,
        )
        return [rate, bound]

    def _rate(self) -> Finding:
        (record,) = need_records(self.records, self.runs)
        ours, descent = record["restarts_calls"], record["gd_calls"]
        kappas = record["condition_numbers"]
        ratio = max(ours) / min(ours) if all(ours) else np.inf
        exponent = np.polyfit(np.log(kappas[1:]), np.log(descent[1:]), 1)[0]
        least = min(filter(None, ours), default=0)
        slower = max((k for k, d in zip(kappas, descent, strict=True) if d <= least), default=0)
        lost = [f"{k:g}" for k, c in zip(kappas, record["rotated_calls"], strict=True) if not c]
        note = f"Up to κ = {slower:g} tuned gradient descent is faster." if slower else ""
        note += f" Rotated quadratics are not solved at κ = {', '.join(lost)}." if lost else ""
        measured = (
            f"largest number {ratio:.3f} times the smallest, κ = {kappas[0]:g} to {kappas[-1]:g}; gradient "
            f"descent's grows like κ^{exponent:.2f}"
        )
        return Finding(measured, met(ratio <= 1.1 and exponent >= 0.9), note)

    def _bound(self) -> Finding:
        (record,) = need_records(self.records, self.runs)
        distances = np.asarray(record["restarts_distances"])
        used = float((distances * 2.0 ** np.arange(distances.shape[1]))[:, 1:].max())
        measured = f"error at most {used:.3f} · r/2^k in {record['rounds']} rounds, for all κ"
        return Finding(measured, met(used <= 1))


EXPERIMENT = Experiment(
    name="theorem3",
    title="Theorem 3 · AdaGrad with restarts",
    claim="The number of gradients does not depend on the condition number of a diagonal quadratic.",
    study=Theorem3,
)
