"""Which rescalings of the gradients are run, and which runs are compared with which."""

import dataclasses
import math

import numpy as np

from adamprox.scale_free import probe as probing
from adamprox.scale_free.probe import Probe

CONSTANTS = (3.0, 1 / 7, 1000.0, 0.001)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two runs, the exponent to report, and whether equal bits are to be expected."""

    base: int
    other: int
    exponent: float
    exact: bool


class Rows:
    """Rescalings to run, in order."""

    def __init__(self, size: int):
        """Of ``size`` coordinates."""
        self._size = size
        self._rows: list[np.ndarray] = []

    def add(self, rescaling: np.ndarray | float) -> int:
        """The number of the run with this rescaling."""
        self._rows.append(np.broadcast_to(np.float64(rescaling), (self._size,)))
        return len(self._rows) - 1

    def compare(
        self, base: int, rescaling: np.ndarray | float, exponent: float, exact: bool
    ) -> Comparison:
        """Run ``rescaling``, to be compared with run ``base``."""
        return Comparison(base, self.add(rescaling), exponent, exact)

    def stacked(self) -> np.ndarray:
        """float64[number of runs, number of coordinates]."""
        return np.stack(self._rows)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Runs, and what is compared.

    Attributes:
      rows: float64[number of runs, number of coordinates], what gradients are multiplied by.
      first: The run that is not rescaled.
      again: The same once more.
      mirrored: The run with all signs changed.
      coordinates: Factors of their own for every coordinate, at the probe's gradient scale.
      constants: One factor for all coordinates, at that scale.
      curve: The widest factors, one comparison a gradient scale.
      global_curve: The largest constant, one comparison a gradient scale.
    """

    rows: np.ndarray
    first: int
    again: int
    mirrored: int
    coordinates: list[Comparison]
    constants: list[Comparison]
    curve: list[Comparison]
    global_curve: list[Comparison]


def make_plan(probe: Probe, exponents: list[int], seed: int) -> Plan:
    """The whole plan for one transformation; ``exponents`` ascend."""
    rows = Rows(probe.start.size)
    first, again, mirrored = rows.add(1.0), rows.add(1.0), rows.add(-1.0)
    own = {
        powers: [probing.factors(probe, k, seed, powers=powers) for k in exponents]
        for powers in (True, False)
    }
    coordinates = [
        rows.compare(first, f, k, powers)
        for powers, fs in own.items()
        for k, f in zip(exponents, fs, strict=True)
    ]
    constants = [rows.compare(first, 2.0**k, k, True) for j in exponents for k in (-j, j)]
    constants += [rows.compare(first, c, math.log2(c), False) for c in CONSTANTS]
    curves = _curves(rows, probe, exponents[-1], widest=own[True][-1])
    return Plan(rows.stacked(), first, again, mirrored, coordinates, constants, *curves)


def _curves(
    rows: Rows, probe: Probe, top: int, widest: np.ndarray
) -> tuple[list[Comparison], list[Comparison]]:
    """Comparisons at every gradient scale: factors up to 2^top a coordinate, and 2^top for all."""
    # What the gradients are multiplied by to be of each scale: powers of two.
    shifts = [round(s - math.log2(probe.gradient_scale)) for s in probe.log2_scales]
    base = {s: rows.add(2.0**s) for s in (*shifts, *(s + top for s in shifts))}
    curve = [rows.compare(base[s], 2.0**s * widest, top, True) for s in shifts]
    return curve, [Comparison(base[s], base[s + top], top, True) for s in shifts]
