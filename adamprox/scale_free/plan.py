"""Rescalings of the gradients to run, and pairs of runs to compare."""

import dataclasses
import math

import numpy as np

from adamprox.scale_free import probe as probing
from adamprox.scale_free.probe import RATES, SEEDED, VARIED, Probe

CONSTANTS = (3.0, 1 / 7, 1000.0, 0.001)
CURVE_SEQUENCES = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs per gradient sequence, the exponent to report, and a flag if bits must be equal."""

    base: np.ndarray
    other: np.ndarray
    exponent: float
    exact: bool


class Rows:
    """Runs of one plan, in order."""

    def __init__(self, probe: Probe):
        """Start without runs."""
        self._size, self._unit = probe.start.size, probe.unit
        self._rescalings: list[np.ndarray] = []
        self._sequences: list[int] = []
        self._noise: list[int] = []

    def add(self, rescaling: np.ndarray | float, sequences: range, noise: int = 0) -> np.ndarray:
        """Add a run with this rescaling for each sequence; return the numbers of the runs.

        The rescaling is relative to the gradient scale of the probe.
        """
        first = len(self._sequences)
        for s in sequences:
            self._rescalings.append(np.broadcast_to(self._unit * rescaling, (self._size,)))
            self._sequences.append(s)
            # A different number for every sequence, with the parity of ``noise``.
            self._noise.append(noise + 2 * s if noise else 0)
        return np.arange(first, len(self._sequences))

    @property
    def rescalings(self) -> np.ndarray:
        """Factors of the gradients of the probe, float64[runs, coordinates]."""
        return np.stack(self._rescalings)

    @property
    def sequences(self) -> np.ndarray:
        """Number of each run's gradient sequence, int32[runs]."""
        return np.asarray(self._sequences, np.int32)

    @property
    def noise(self) -> np.ndarray:
        """Number of each run's perturbation of roundings, int32[runs]; 0 for none."""
        return np.asarray(self._noise, np.int32)


@dataclasses.dataclass(frozen=True)
class Scale:
    """Comparisons at the probe's gradient scale.

    Attributes:
      first: Numbers of the runs without rescaling.
      coordinates: Comparisons with a separate factor for every coordinate.
      constants: Comparisons with one factor for all coordinates.
    """

    first: np.ndarray
    coordinates: list[Comparison]
    constants: list[Comparison]

    @property
    def everything(self) -> list[Comparison]:
        """All comparisons; a constant counts as a vector of equal factors."""
        return [*self.coordinates, *self.constants]


@dataclasses.dataclass(frozen=True)
class Varying:
    """Comparisons with a gradient scale that varies in time.

    Attributes:
      powers: Comparison of heavy-tailed gradients with their products with a power of two per step.
      slow: Comparisons of constant gradients with slowly growing ones, and with shrinking ones.
      fast: Comparisons as ``slow``, at twice the rates.
    """

    powers: Comparison
    slow: list[Comparison]
    fast: list[Comparison]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Runs and their comparisons.

    Attributes:
      rows: All runs.
      here: Comparisons that decide the verdict.
      seeded: Comparisons on the sequences that the caller's seed draws.
      again: Comparison of the first run with its repetition.
      roundings: Comparisons with runs whose state is perturbed by one rounding per step.
      curve: Comparisons with the widest factors, one per gradient scale.
      global_curve: Comparisons with the largest constant, one per gradient scale.
      varying: Comparisons with a gradient scale that varies in time.
    """

    rows: Rows
    here: Scale
    seeded: Scale
    again: Comparison
    roundings: list[Comparison]
    curve: list[Comparison]
    global_curve: list[Comparison]
    varying: Varying


def make_plan(probe: Probe, exponents: list[int]) -> Plan:
    """Return the plan for one transformation; ``exponents`` ascend."""
    rows = Rows(probe)
    count = probe.sequences
    here = _scale(rows, probe, exponents, range(count))
    seeded = _scale(rows, probe, exponents, range(count, count + SEEDED))
    again = Comparison(here.first[:1], rows.add(1.0, range(1)), 0.0, True)
    roundings = [
        Comparison(here.first, rows.add(1.0, range(count), noise), 0.0, False) for noise in (1, 2)
    ]
    curves = _curves(rows, probe, exponents[-1])
    return Plan(rows, here, seeded, again, roundings, *curves, _varying(rows, count, here.first))


def _varying(rows: Rows, count: int, first: np.ndarray) -> Varying:
    """Return the comparisons on the `varying_sequences`, which follow the seeded ones."""
    start, varied = count + SEEDED, min(VARIED, count)
    powers = rows.add(1.0, range(start, start + varied))
    start += varied
    still, *moving = (
        rows.add(1.0, range(first_one, first_one + 2))
        for first_one in range(start, start + 2 * len(RATES), 2)
    )
    growing = [Comparison(still, other, math.nan, False) for other in moving]
    return Varying(Comparison(first[:varied], powers, math.nan, True), growing[::2], growing[1::2])


def _scale(rows: Rows, probe: Probe, exponents: list[int], sequences: range) -> Scale:
    """Return the comparisons at the gradient scale of the probe."""
    first = rows.add(1.0, sequences)
    coordinates = [
        Comparison(first, rows.add(probing.factors(probe, k, powers=p), sequences), k, p)
        for p in (True, False)
        for k in exponents
    ]
    powers = [2.0**k for j in exponents for k in (-j, j)]
    constants = [
        Comparison(first, rows.add(c, sequences), math.log2(c), c in powers)
        for c in (*powers, *CONSTANTS)
    ]
    return Scale(first, coordinates, constants)


def _curves(rows: Rows, probe: Probe, top: int) -> tuple[list[Comparison], list[Comparison]]:
    """Return comparisons per gradient scale: coordinate-wise up to 2^top, and 2^top for all."""
    # log2 of the powers of two that bring the gradients to each scale.
    shifts = [round(s - math.log2(probe.gradient_scale)) for s in probe.log2_scales]
    sequences = range(min(CURVE_SEQUENCES, probe.sequences))
    widest = probing.factors(probe, top, powers=True)
    base = {s: rows.add(2.0**s, sequences) for s in {*shifts, *(s + top for s in shifts)}}
    curve = [Comparison(base[s], rows.add(2.0**s * widest, sequences), top, True) for s in shifts]
    return curve, [Comparison(base[s], base[s + top], top, True) for s in shifts]
