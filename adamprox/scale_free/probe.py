"""The experiment: one gradient sequence, many rescalings of it, the parameters they lead to."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adamprox.scale_free.result import Deviation

ExtraArgs = Callable[[Any, Any], dict[str, Any]]
SHAPES = {"matrix": (8, 6), "vector": (5,), "scalar": ()}
# With magnitudes of 2⁻³ … 2¹¹ and factors of 2^±10, |g| stays in 2⁻⁵³ … 2⁵¹: g² is in range.
LOG2_SCALES = tuple(range(-40, 31, 5))
# In double precision g² is in range far below, and so no ε is too small to be seen.
LOG2_SCALES_FLOAT64 = (-400, -300, -200, -100, *LOG2_SCALES)


@dataclasses.dataclass(frozen=True)
class Probe:
    """Where the runs start and what they are fed.

    Attributes:
      params: Pytree of real arrays, none zero by default.
      gradients: The same tree with a leading axis of steps.
      gradient_scale: Their smallest typical magnitude.
    """

    params: Any
    gradients: Any
    gradient_scale: float = 1.0

    @property
    def log2_scales(self) -> tuple[float, ...]:
        """log2 of the gradient scales to look at, ascending: powers of two times the probe's own."""
        dtypes = {leaf.dtype for leaf in jax.tree.leaves(self.params)}
        wide = dtypes == {jnp.dtype("float64")}
        own = np.log2(self.gradient_scale)
        return tuple(s + own - np.rint(own) for s in (LOG2_SCALES_FLOAT64 if wide else LOG2_SCALES))

    def reversed(self) -> "Probe":
        """The same gradients, last first: another sequence, with the magnitudes of this one."""
        last_first = jax.tree.map(lambda g: g[::-1], self.gradients)
        return dataclasses.replace(self, gradients=last_first)

    @property
    def start(self) -> np.ndarray:
        """The parameters as float64[n]."""
        return _flat(self.params, 0)

    @property
    def rounding(self) -> np.ndarray:
        """The unit of rounding of each coordinate, float64[n]."""
        units = [
            np.full(x.size, float(jnp.finfo(x.dtype).eps)) for x in jax.tree.leaves(self.params)
        ]
        return np.concatenate(units)


def default_params(seed: int) -> dict[str, jax.Array]:
    """A matrix, a vector and a scalar with magnitudes log-uniform in 0.01 … 2, float32."""
    random = np.random.default_rng([seed, 1])

    def draw(shape):
        magnitude = 10 ** random.uniform(-2, np.log10(2), shape)
        return jnp.asarray(magnitude * random.choice([-1.0, 1.0], shape), jnp.float32)

    return {name: draw(shape) for name, shape in SHAPES.items()}


def make_probe(params: Any, steps: int, gradient_scale: float, seed: int) -> Probe:
    """Gradients with Pareto tails: most of a coordinate's are alike, a few are hundreds of times larger."""
    random = np.random.default_rng([seed, 2])

    def draw(x):
        own_scale = 2.0 ** random.uniform(-3, 3, x.shape)
        tails = np.minimum((1 - random.uniform(size=(steps, *x.shape))) ** (-1 / 1.5), 2.0**8)
        side = random.choice([-1.0, 1.0], x.shape)
        sign = side * np.where(random.uniform(size=(steps, *x.shape)) < 0.75, 1.0, -1.0)
        return jnp.asarray(gradient_scale * own_scale * tails * sign, x.dtype)

    return Probe(params, jax.tree.map(draw, params), gradient_scale)


def factors(probe: Probe, exponent: float, seed: int, *, powers: bool) -> np.ndarray:
    """One positive factor a coordinate between 2^−exponent and 2^exponent, both ends taken; float64[n]."""
    random = np.random.default_rng([seed, 3])
    unit = random.permutation(np.linspace(-1, 1, probe.start.size))
    return 2.0 ** (np.rint(exponent * unit) if powers else exponent * unit)


def trajectories(
    tx: Any, probe: Probe, rescalings: np.ndarray, extra_args: ExtraArgs | None
) -> np.ndarray:
    """Parameters after every step under every rescaling of the gradients.

    One compiled program does all runs, one after the other, so that equal arithmetic gives equal bits.

    Args:
      tx: The transformation, ``init`` and ``update``.
      probe: Start and gradients, n coordinates, T steps.
      rescalings: float64[R, n].
      extra_args: ``(params, gradients) -> dict`` of further arguments of ``update``, or None.

    Returns:
      float64[R, T, n].
    """

    def update(gradients, state, params):
        extra = {} if extra_args is None else extra_args(params, gradients)
        updates, state = tx.update(gradients, state, params, **extra)
        return optax.apply_updates(params, updates), state

    def step(rescaling, carry, gradients):
        params, state = carry
        params, state = update(jax.tree.map(jnp.multiply, gradients, rescaling), state, params)
        return (params, state), params

    def run(rescaling):
        state = tx.init(probe.params)
        first = jax.tree.map(lambda g: g[0], probe.gradients)
        after = jax.eval_shape(update, first, state, probe.params)[1]
        # Counters and scalars may change their type at the first update; a scan's carry may not.
        state = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), state, after)
        start = (probe.params, state)
        return jax.lax.scan(lambda c, g: step(rescaling, c, g), start, probe.gradients)[1]

    return _flat(jax.jit(lambda r: jax.lax.map(run, r))(_unflatten(rescalings, probe.params)), 2)


def deviation(
    probe: Probe, base: np.ndarray, other: np.ndarray, exponent: float, tolerance: float
) -> Deviation:
    """How far two trajectories part, relative to the path of each coordinate.

    max over t, i of (|x'_{t,i} − x_{t,i}| − r_{t,i})⁺ / max(Σ_t |Δx_{t,i}|, Σ_t |Δx'_{t,i}|), where
    r is what t roundings of the parameters add up to.

    Args:
      probe: Start and gradients.
      base: float64[T, n], parameters of the run to compare with.
      other: float64[T, n], parameters of the rescaled run.
      exponent: What to report as the place.
      tolerance: Coordinates whose path rounding blurs by more than this are not looked at.

    Returns:
      The largest; NaN when ``base`` is not finite or no coordinate moves enough.
    """
    if not np.isfinite(base).all():
        return Deviation(np.nan)
    finite = np.isfinite(other).all(axis=1)
    if not finite.all():
        return Deviation(np.inf, exponent, int(np.argmin(finite)) + 1)
    path = np.maximum(path_length(probe, base), path_length(probe, other))
    steps = np.arange(1, len(base) + 1)[:, None]
    blur = steps * probe.rounding * np.maximum(abs(base), abs(other)).max(axis=0)
    resolved = blur[-1] < tolerance * path
    if not resolved.any():
        return Deviation(np.nan)
    relative = np.maximum(abs(other - base) - blur, 0)[:, resolved] / path[resolved]
    largest = float(relative.max())
    at = int(relative.max(axis=1).argmax()) + 1
    return Deviation(largest, exponent, at) if largest else Deviation(0.0)


def path_length(probe: Probe, run: np.ndarray) -> np.ndarray:
    """Σ_t |x_t − x_{t−1}| of every coordinate of float64[T, n]; float64[n]."""
    return abs(np.diff(run, axis=0, prepend=probe.start[None])).sum(axis=0)


def _flat(tree: Any, leading: int) -> np.ndarray:
    """Leaves with ``leading`` common axes side by side, float64[…, n]."""
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(tree)]
    rows = [x.reshape(*x.shape[:leading], math.prod(x.shape[leading:])) for x in leaves]
    return np.concatenate(rows, axis=-1)


def _unflatten(rows: np.ndarray, like: Any) -> Any:
    """float64[R, n] as a tree like ``like`` with a leading axis R, in its dtypes."""
    leaves, structure = jax.tree.flatten(like)
    parts = np.split(rows, np.cumsum([x.size for x in leaves])[:-1], axis=-1)
    shaped = [
        jnp.asarray(p.reshape(len(rows), *x.shape), x.dtype)
        for p, x in zip(parts, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, shaped)
