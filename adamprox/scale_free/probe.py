"""Gradient sequences, their rescalings, and the initial parameters of a test."""

import dataclasses
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SHAPES = {"matrix": (8, 6), "vector": (5,), "scalar": ()}
# With magnitudes of 2⁻³ … 2¹¹ and factors of 2^±10, |g| stays in 2⁻⁵³ … 2⁵¹: g² is in range.
LOG2_SCALES = tuple(range(-40, 31, 5))
# In double precision g² is in range far below, which reveals much smaller ε.
LOG2_SCALES_FLOAT64 = (-400, -300, -200, -100, *LOG2_SCALES)
# Seed of everything that decides a verdict; the verdict does not depend on the caller's seed.
DESIGN = 0
SEQUENCES = 15
SEEDED = 3
GROWTH = 2.0**-6  # log of the factor per step of a gradient scale that grows
LOG_GROWTH = 8.0  # limit over all steps
VARIED = 5  # sequences with a random power of two per step
RATES = (0.0, 0.5, 1.0, -0.5, -1.0)  # in units of the growth
COORDINATES = 2**15  # limit over all sequences, for the time of a test


@dataclasses.dataclass(frozen=True)
class Probe:
    """Initial parameters and gradients of the runs.

    Attributes:
      params: Pytree of real arrays.
      gradients: Pytree like ``params`` with leading axes of sequences and steps, divided by `unit`.
      sequences: Number of sequences that decide the verdict; the caller's seed draws the next ones,
        and those of `varying_sequences` follow.
      gradient_scale: Typical |g| of the coordinate with the smallest gradients.
    """

    params: Any
    gradients: Any
    sequences: int = SEQUENCES
    gradient_scale: float = 1.0

    @property
    def unit(self) -> np.float64:
        """Power of two next to the gradient scale: no other factor of a run leaves float32."""
        return 2.0 ** np.rint(np.log2(self.gradient_scale))

    @property
    def wide(self) -> bool:
        """True if all parameters are float64."""
        return {x.dtype for x in jax.tree.leaves(self.params)} == {jnp.dtype("float64")}

    @property
    def log2_scales(self) -> tuple[float, ...]:
        """log2 of the curve's gradient scales, ascending: powers of two times the probe's scale."""
        scales = LOG2_SCALES_FLOAT64 if self.wide else LOG2_SCALES
        return tuple(s + np.log2(self.gradient_scale / self.unit) for s in scales)

    @property
    def start(self) -> np.ndarray:
        """Initial parameters as float64[n]."""
        return flat(jax.tree.leaves(self.params), 0)

    @property
    def rounding(self) -> np.ndarray:
        """Unit of rounding of each coordinate, float64[n]."""
        units = [
            np.full(x.size, float(jnp.finfo(x.dtype).eps)) for x in jax.tree.leaves(self.params)
        ]
        return np.concatenate(units)

    @property
    def parts(self) -> list[tuple[str, slice, str]]:
        """Path, coordinates and dtype of every nonempty leaf."""
        leaves = jax.tree_util.tree_leaves_with_path(self.params)
        ends = list(itertools.accumulate((x.size for _, x in leaves), initial=0))
        return [
            (jax.tree_util.keystr(path) or "the array", slice(low, high), str(x.dtype))
            for (path, x), low, high in zip(leaves, ends[:-1], ends[1:], strict=True)
            if x.size
        ]


def default_params() -> dict[str, jax.Array]:
    """Return a matrix, vector and scalar of log-uniform magnitudes 0.01 … 2, and zeros; float32."""
    random = np.random.default_rng([DESIGN, 1])

    def draw(shape):
        magnitude = 10 ** random.uniform(-2, np.log10(2), shape)
        return jnp.asarray(magnitude * random.choice([-1.0, 1.0], shape), jnp.float32)

    return {name: draw(s) for name, s in SHAPES.items()} | {"zeros": jnp.zeros(4, jnp.float32)}


def make_probe(params: Any, steps: int, gradient_scale: float, seed: int) -> Probe:
    """Draw gradients with Pareto tails: a few of a coordinate's are hundreds of times larger."""
    leaves, structure = jax.tree.flatten(params)
    size = sum(x.size for x in leaves)
    count = min(max(COORDINATES // size, 3), SEQUENCES)
    scales = np.random.default_rng([DESIGN, 4]).permutation(2.0 ** np.linspace(-3, 3, size))
    origins = [[DESIGN, 2]] * count + [[seed, 5]] * SEEDED
    sequences = np.stack(
        [_sequence(np.random.default_rng([*o, i]), steps, size) for i, o in enumerate(origins)]
    )
    sequences = np.concatenate([sequences, *varying_sequences(sequences[: min(VARIED, count)])])
    probe = Probe(params, None, count, gradient_scale)
    gradients = unflatten(gradient_scale / probe.unit * scales * sequences, leaves)
    return dataclasses.replace(probe, gradients=jax.tree.unflatten(structure, gradients))


def varying_sequences(sequences: np.ndarray) -> list[np.ndarray]:
    """Return sequences whose scale varies in time.

    The first ones are ``sequences``, float64[S, T, n], times a random power of two per step. The
    others are constant gradients times a factor that grows exponentially at each of ``RATES``; each
    is float64[2, T, n], of both signs.
    """
    random = np.random.default_rng([DESIGN, 6])
    powers = 2.0 ** random.integers(-4, 5, sequences.shape[1])
    sides = random.choice([-1.0, 1.0], sequences.shape[2]) * np.array([1.0, -1.0])[:, None, None]
    steps = np.arange(sequences.shape[1])[:, None]
    rate = min(GROWTH, LOG_GROWTH / len(steps))
    growing = [sides * np.exp(share * rate * steps) for share in RATES]
    return [sequences * powers[:, None], *growing]


def _sequence(random: np.random.Generator, steps: int, size: int) -> np.ndarray:
    """Return float64[steps, size] of magnitudes 1 … 2⁸; 3 in 4 have the coordinate's sign."""
    tails = np.minimum((1 - random.uniform(size=(steps, size))) ** (-1 / 1.5), 2.0**8)
    side = random.choice([-1.0, 1.0], size)
    return tails * side * np.where(random.uniform(size=(steps, size)) < 0.75, 1.0, -1.0)


def factors(probe: Probe, exponent: float, *, powers: bool) -> np.ndarray:
    """Return one factor per coordinate from 2^−exponent to 2^exponent inclusive, float64[n]."""
    random = np.random.default_rng([DESIGN, 3])
    unit = random.permutation(np.linspace(-1, 1, probe.start.size))
    return 2.0 ** (np.rint(exponent * unit) if powers else exponent * unit)


def flat(leaves: list[Any], leading: int) -> np.ndarray:
    """Join leaves with ``leading`` common axes into float64[…, n]."""
    arrays = [np.asarray(x, np.float64) for x in leaves]
    rows = [x.reshape(*x.shape[:leading], math.prod(x.shape[leading:])) for x in arrays]
    return np.concatenate(rows, axis=-1)


def unflatten(rows: np.ndarray, leaves: list[Any], least: Any = None) -> list[jax.Array]:
    """Split float64[…, n] into arrays like ``leaves``, of dtype ``least`` or wider."""
    parts = np.split(rows, np.cumsum([x.size for x in leaves])[:-1], axis=-1)
    types = [x.dtype if least is None else jnp.promote_types(x.dtype, least) for x in leaves]
    with np.errstate(over="ignore"):  # overflow of float16 is found later
        return [
            jnp.asarray(p.reshape(*rows.shape[:-1], *x.shape).astype(t))
            for p, x, t in zip(parts, leaves, types, strict=True)
        ]
