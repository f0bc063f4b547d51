"""What the certifier says: a verdict and the numbers behind it."""

import dataclasses
import enum
import math


class Verdict(enum.Enum):
    """How far an optimizer has a property; the value is the word to print."""

    EXACT = "exact"
    TOLERANCE = "to tolerance"
    NO = "no"
    NOT_TESTED = "not tested"


@dataclasses.dataclass(frozen=True)
class Deviation:
    """The largest relative deviation of a set of comparisons, and where it was.

    Attributes:
      largest: |x'_t − x_t| over the length of the path of that coordinate, in [0, 2]; inf when the
        rescaled run is not finite, NaN when nothing could be compared.
      exponent: log2 of the largest factor that gradients were multiplied by; negative when a whole
        sequence was shrunk. NaN when nothing deviates.
      step: At which step, 1 for the first; 0 when nothing deviates.
    """

    largest: float
    exponent: float = math.nan
    step: int = 0


@dataclasses.dataclass(frozen=True)
class ScaleFreeness:
    """Result of `scale_freeness`.

    Attributes:
      verdict: Of scale-freeness, coordinate by coordinate: EXACT is bit-identical parameters under
        powers of two at every tested gradient scale, TOLERANCE is a deviation within ``tolerance``
        at the given gradient scale.
      reason: One sentence.
      deviation: Largest relative deviation at the given gradient scale, in [0, 2].
      exponent: log2 of the largest factor in the run where it occurred.
      step: The step where it occurred, 1 for the first; 0 if nothing deviates.
      global_rescaling: Verdict of the weaker property: all gradients times one constant.
      global_deviation: Its largest relative deviation, with exponent and step.
      scale_curve: (log2 of the gradient scale, deviation) of coordinate-wise rescaling; NaN where
        the parameters do not move enough to tell, or overflow. Scales are those of the gradients
        themselves, not relative to ``gradient_scale``.
      global_curve: The same for one constant, 2 to the largest exponent.
      epsilon_curve: (ε, deviation) of coordinate-wise rescaling if a factory was given.
      matters_below: Gradient scale under which ε, or another constant, moves the iterates by more
        than the tolerance; 0.0 if nowhere in the tested range, inf if also at the largest.
      global_matters_below: The same for one constant.
      tolerance: What a deviation is held against.
      untested: (path of a leaf, reason) of what could not be tested, in whole or in part; no other
        attribute speaks of these coordinates.
      rounding: Relative deviation that is allowed for between powers of two, where roundings of
        gradients, state and updates differ; none is under powers of two. Twice what one more unit
        of rounding a step leads to.
      seeded_deviation: ``deviation`` on three sequences drawn from ``seed``. No verdict looks at it.
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


def not_tested(
    reason: str, tolerance: float, untested: tuple[tuple[str, str], ...] = ()
) -> ScaleFreeness:
    """The result of an optimizer that nothing can be said of, and why."""
    nan, unknown = math.nan, Deviation(math.nan)
    return ScaleFreeness(
        Verdict.NOT_TESTED, reason, nan, nan, 0, Verdict.NOT_TESTED, unknown, (), (), (), nan, nan,
        tolerance, untested,
    )  # fmt: skip


def matters_below(curve: tuple[tuple[float, float], ...], tolerance: float) -> float:
    """The gradient scale from which upwards a curve stays within the tolerance.

    Args:
      curve: (log2 of the gradient scale, deviation), scales ascending; NaN is passed over.
      tolerance: The largest deviation that does not count.

    Returns:
      0.0 when the whole curve is within, inf when its last point is not, NaN for no points.

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
