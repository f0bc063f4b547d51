"""Verdicts from comparisons."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from adamprox.scale_free.deviations import Measurement, middle, rounding_allowance, typical
from adamprox.scale_free.plan import Comparison
from adamprox.scale_free.probe import Probe
from adamprox.scale_free.result import Deviation, Verdict


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A verdict, the largest deviation behind it, and the deviations at all gradient scales."""

    verdict: Verdict
    worst: Deviation
    curve: tuple[tuple[float, float], ...]


class Judge:
    """Judge of comparisons of the runs of one optimizer.

    Attributes:
      ignored: Coordinates that verdicts ignore, bool[n].
      allowance: Relative deviation of every coordinate that roundings explain, float64[n].
      rounding: Largest allowance of a coordinate that is not ignored.
    """

    def __init__(
        self,
        probe: Probe,
        measured: Callable[[Comparison], Measurement],
        roundings: list[Comparison],
        ignored: np.ndarray,
        tolerance: float,
    ):
        """Judge one optimizer without the ``ignored`` coordinates, bool[n]."""
        self._probe, self._measured = probe, measured
        self.ignored, self._tolerance = ignored, tolerance
        self.allowance = rounding_allowance(probe, [measured(c) for c in roundings])
        self.rounding = float(self.allowance[~ignored].max(initial=0.0))

    def __call__(self, at_scale: list[Comparison], along_curve: list[Comparison]) -> Judgement:
        """Judge comparisons at the probe's gradient scale, and round(s) over all scales."""
        found = [self._deviation(c) for c in at_scale]
        along = [self._deviation(c) for c in along_curve]
        scales = self._probe.log2_scales
        values = [_largest([d for d, _ in along[i :: len(scales)]]) for i in range(len(scales))]
        curve = tuple((float(s), v) for s, v in zip(scales, values, strict=True))
        pairs = zip((*at_scale, *along_curve), (*found, *along), strict=True)
        equal = all(e for c, (_, e) in pairs if c.exact)
        worst = _worst([d for d, _ in found])
        exact = _worst([d for c, (d, _) in zip(at_scale, found, strict=True) if c.exact])
        return Judgement(_verdict(worst, exact, equal, self._tolerance), worst, curve)

    def _deviation(self, c: Comparison) -> tuple[Deviation, bool]:
        """Return the largest median deviation of a coordinate, and True if all bits are equal."""
        m = self._measured(c)
        values, _ = typical(m, c.exact, self._tolerance)
        if not c.exact:
            values = np.maximum(values - self.allowance, 0)
        values, equal = np.where(self.ignored, np.nan, values), bool(m.equal.all())
        if np.isnan(values).all():
            return Deviation(math.nan), equal
        at = int(np.nanargmax(values))
        largest = float(values[at])
        if not largest:
            return Deviation(0.0), equal
        sequence = int(np.argmax(m.values[:, at] == middle(m.values)[at]))
        return Deviation(largest, c.exponent, int(m.steps[sequence, at])), equal


def _largest(found: list[Deviation]) -> float:
    """Return the largest finite deviation, NaN for none; an overflow does not depend on ε."""
    values = (d.largest for d in found)
    return max((v for v in values if math.isfinite(v)), default=math.nan)


def _worst(found: list[Deviation]) -> Deviation:
    """Return the largest deviation that is not NaN."""
    known = [d for d in found if not math.isnan(d.largest)]
    return max(known, key=lambda d: d.largest, default=Deviation(math.nan))


def _verdict(worst: Deviation, exact: Deviation, equal: bool, tolerance: float) -> Verdict:
    """Return the verdict, from deviations at the gradient scale and equality of all bits."""
    if worst.largest > tolerance:
        return Verdict.NO
    if math.isnan(exact.largest):  # deviations for other factors may be rounding alone
        return Verdict.NOT_TESTED
    return Verdict.EXACT if equal else Verdict.TOLERANCE
