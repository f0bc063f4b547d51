"""Fig. 1: gradient descent sees the condition number, AdamW does not.

Claim (§3, Fig. 1): on two quadratics with the same minimizer and condition numbers 1 and 1e5, tuned
gradient descent follows different trajectories; tuned AdamW, being scale-free, follows one.
Command: python -m experiments fig01
Cost: seconds at every preset (one jitted program).
Expect: AdamW's two trajectories on top of each other; gradient descent in one step, or nowhere.
"""

import dataclasses
import pathlib
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamprox
from adamprox.problems import quadratic
from adamprox.report import Claim, Figure, Verdict
from adamprox.report.plots import COLORS, LABELS, canvas
from experiments.experiment import Experiment

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


def distance(record, method: str) -> float:
    """The largest distance between the two trajectories of a method, step by step."""
    first, second = (np.asarray(record[f"{method}_{i}_path"]) for i in (0, 1))
    return float(np.linalg.norm(first - second, axis=1).max())


def plot(_, records) -> list[Figure]:
    """Two panels, one a method, with the trajectories on both problems over the level lines."""
    record = records[0]
    figure, axes = canvas(1, 2, 9.5, 4.0, sharex=True, sharey=True)
    for ax, method in zip(axes[0], METHODS, strict=True):
        for i, (width, style) in enumerate([(4.5, "-"), (1.6, "--")]):
            path = np.asarray(record[f"{method}_{i}_path"])
            size, kappa = record[f"{method}_{i}_step_size"], record["condition_numbers"][i]
            color = COLORS[method] if i == 0 else "#222222"
            label = f"κ = {kappa:g}, step size {size:.2g}"
            ax.plot(*path.T, style, lw=width, color=color, alpha=0.5 if i == 0 else 1, label=label)
        ax.plot(*START, "o", color="#222222", ms=5)
        ax.plot(*MINIMIZER, "*", color="#e4572e", ms=14, zorder=5)
        gap = distance(record, method)
        ax.set(title=f"{LABELS[method]}: apart by up to {gap:.1g}", xlabel="x₁ (curvature 1)")
        ax.legend(loc="upper right")
    axes[0, 0].set_ylabel("x₂ (curvature κ)")
    caption = (
        "From the dot to the star, the minimizer of both problems. The broad line is condition "
        "number 1, the dashed one 1e5. Gradient descent's part: on the second problem it drops in x₂ "
        "and then crawls. AdamW's lie on each other."
    )
    return [Figure("fig01_quadratics", "One landscape, stretched 100,000 times.", caption, figure)]


def judge(_, records) -> list[Claim]:
    """AdamW's trajectories agree to rounding; gradient descent's do not."""
    gaps = {method: distance(records[0], method) for method in METHODS}
    holds = gaps["adamw"] <= 1e-4 and gaps["gd"] >= 0.1
    return [
        Claim(
            "§3, Fig. 1",
            "The condition number of a diagonal quadratic changes gradient descent's trajectory "
            "and not AdamW's (ε = 0, step sizes tuned).",
            f"trajectories apart by up to {gaps['adamw']:.1e} (AdamW), {gaps['gd']:.2f} (GD)",
            "AdamW ≤ 1e-4, GD ≥ 0.1 (the start is 2.2 from the minimizer)",
            Verdict.HOLDS if holds else Verdict.FAILS,
        )
    ]


EXPERIMENT = Experiment(
    name="fig01",
    title="Figure 1 · Quadratics",
    claim="The condition number changes gradient descent's trajectory, not AdamW's.",
    cost={"smoke": "3 s", "demo": "3 s", "reduced": "3 s", "paper": "3 s"},
    cells=lambda *_: [QuadraticsCell()],
    figures=plot,
    claims=judge,
)
