"""Results of the scale-freeness test: a verdict and its numbers."""

import dataclasses
import enum
import math


class Verdict(enum.Enum):
    """Degree to which an optimizer has a property; the value is the word to print.

    FIRST_ORDER occurs only in `TimeVarying`.
    """

    EXACT = "exact"
    TOLERANCE = "to tolerance"
    FIRST_ORDER = "to first order"
    NO = "no"
    NOT_TESTED = "not tested"


@dataclasses.dataclass(frozen=True)
class Deviation:
    """Largest relative deviation of a set of comparisons, and its place.

    Attributes:
      largest: |x'_t − x_t| divided by the length of the coordinate's path, in [0, 2]; inf if the
        rescaled run is not finite, NaN if nothing could be compared.
      exponent: log2 of the largest factor of the gradients; negative if one factor shrinks a whole
        sequence. NaN if nothing deviates.
      step: Number of the step, 1 for the first; 0 if nothing deviates.
    """

    largest: float
    exponent: float = math.nan
    step: int = 0


@dataclasses.dataclass(frozen=True)
class TimeVarying:
    """Invariance to one factor c_t > 0 per step for all coordinates: x_t(c_1 g_1, …, c_t g_t).

    Attributes:
      verdict: EXACT and TOLERANCE are about a random power of two per step, as in `ScaleFreeness`;
        they are never better than ``global_rescaling``, which is about equal factors. FIRST_ORDER
        is about constant gradients times c_t = exp(ρt): the deviation is quadratic in ρ. NO means
        that it is not. NOT_TESTED means that rounding hides the deviation.
      order: Smallest exponent p of a coordinate's deviation ∝ ρ^p; inf if no growth changes the
        parameters by more than rounding, NaN if not tested.
      deviation: Largest relative deviation at ρ = ±2⁻⁶ (±8/steps for more than 512 steps).
    """

    verdict: Verdict
    order: float = math.nan
    deviation: float = math.nan

    def __str__(self) -> str:
        """Return the verdict, with the order and the deviation if they explain it."""
        if self.verdict not in (Verdict.FIRST_ORDER, Verdict.NO):
            return self.verdict.value
        return f"{self.verdict.value} (order {self.order:.1f}, deviation {self.deviation:.0e})"


@dataclasses.dataclass(frozen=True, repr=False)
class ScaleFreeness:
    """Result of `scale_freeness`. It prints as two lines; `details` returns every number.

    Attributes:
      verdict: Verdict on a separate factor for every coordinate. EXACT means bit-identical
        parameters under powers of two at every tested gradient scale. TOLERANCE means a deviation
        within ``tolerance`` at the given gradient scale.
      reason: Explanation of the verdict, one sentence.
      deviation: Largest relative deviation at the given gradient scale, in [0, 2].
      exponent: log2 of the largest factor in the run with this deviation.
      step: Number of the step with this deviation, 1 for the first; 0 if nothing deviates.
      global_rescaling: Verdict on one factor for all coordinates, the weaker property.
      global_deviation: Largest relative deviation under one factor, with exponent and step.
      scale_curve: Pairs (log2 of the gradient scale, deviation) of coordinate-wise rescaling; NaN
        if the parameters overflow or move too little. Scales are absolute, not relative to
        ``gradient_scale``.
      global_curve: Pairs as in ``scale_curve``, for one factor 2^k, where k is the largest of
        ``exponents``.
      epsilon_curve: Pairs (ε, deviation) of coordinate-wise rescaling, if ``make`` was given.
      matters_below: Gradient scale below which ε, or another constant, moves the iterates by more
        than the tolerance; 0.0 if at no tested scale, inf if even at the largest.
      global_matters_below: Gradient scale as ``matters_below``, under one factor for all
        coordinates.
      tolerance: Largest deviation that passes.
      untested: Pairs (path of a leaf, reason) of leaves that could not be tested, entirely or in
        part; the other attributes ignore these coordinates.
      rounding: Relative deviation that passes for factors that are not powers of two, because
        gradients, state and updates round differently; twice the effect of one more unit of
        rounding per step. Powers of two have no such allowance.
      seeded_deviation: Value of ``deviation`` on three sequences drawn from ``seed``; no verdict
        depends on it.
      time_varying: Invariance to one factor per step.
      misuse: Messages of `adamprox.check_chain`, about transformations after ``proximal`` that
        change its result. A third printed line shows them.
    """

    verdict: Verdict
    reason: str
    deviation: float
    exponent: float
    step: int
    global_rescaling: Verdict
    global_deviation: Deviation
    scale_curve: tuple[tuple[float, float], ...]
    global_curve: tuple[tuple[float, float], ...]
    epsilon_curve: tuple[tuple[float, float], ...]
    matters_below: float
    global_matters_below: float
    tolerance: float
    untested: tuple[tuple[str, str], ...] = ()
    rounding: float = math.nan
    seeded_deviation: float = math.nan
    time_varying: TimeVarying = TimeVarying(Verdict.NOT_TESTED)
    misuse: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the verdict with its reason, and a line on the other properties."""
        lines = [
            f"scale-free: {self.verdict.value}; {self.reason}",
            f"one factor for all coordinates: {self.global_rescaling.value}; one factor per step: "
            f"{self.time_varying}; largest deviation: {self.deviation:.1e}",
        ]
        return "\n".join([*lines, *(f"misuse: {message}" for message in self.misuse)])

    def details(self) -> str:
        """Return every attribute, one a line, and the curves, one pair a line."""
        lines = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_curve"):
                scale = "" if field.name == "epsilon_curve" else "2^"
                lines += [f"{field.name}:", *(f"  {scale}{x:g}: {y:.2e}" for x, y in value)]
            else:
                value = value.value if isinstance(value, Verdict) else value
                lines.append(f"{field.name}: {value}")
        return "\n".join(lines)


def not_tested(
    reason: str, tolerance: float, untested: tuple[tuple[str, str], ...] = ()
) -> ScaleFreeness:
    """Return the result for an optimizer that could not be tested, and the reason."""
    nan, unknown = math.nan, Deviation(math.nan)
    return ScaleFreeness(
        Verdict.NOT_TESTED, reason, nan, nan, 0, Verdict.NOT_TESTED, unknown, (), (), (), nan, nan,
        tolerance, untested,
    )  # fmt: skip


def matters_below(curve: tuple[tuple[float, float], ...], tolerance: float) -> float:
    """Return the gradient scale above which a curve stays within the tolerance.

    Args:
      curve: Pairs (log2 of the gradient scale, deviation), scales ascending; NaN is ignored.
      tolerance: Largest deviation that passes.

    Returns:
      0.0 if the whole curve passes, inf if its last point does not, NaN for an empty curve.

    Example:
      >>> matters_below(((-1.0, 0.5), (0.0, 0.1), (1.0, 1e-4), (2.0, 1e-5)), 1e-3)
      2.0
    """
    known = [(scale, value) for scale, value in curve if not math.isnan(value)]
    if not known:
        return math.nan
    outside = [index for index, (_, value) in enumerate(known) if value > tolerance]
    if not outside:
        return 0.0
    return math.inf if outside[-1] == len(known) - 1 else 2.0 ** known[outside[-1] + 1][0]
