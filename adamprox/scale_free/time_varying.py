"""Invariance to a gradient scale that varies in time."""

import math
from collections.abc import Callable

import numpy as np

from adamprox.scale_free.deviations import Measurement, typical
from adamprox.scale_free.judgement import Judge
from adamprox.scale_free.plan import Comparison, Varying
from adamprox.scale_free.result import TimeVarying, Verdict

LEAST_ORDER = 1.5  # between deviations that are linear and quadratic in the rate of growth
COARSE = 2.0**-12  # rounding hides the deviation of a coordinate with a larger allowance
SEEN = 8.0  # deviations of fewer allowances are rounding


def time_varying(
    judge: Judge,
    measured: Callable[[Comparison], Measurement],
    varying: Varying,
    constants: Verdict,
    tolerance: float,
) -> TimeVarying:
    """Judge the invariance to one factor per step.

    Constant gradients are multiplied by exp(ρt) at step t. A deviation d(ρ) has the order
    log₂(d(ρ)/d(ρ/2)). d(ρ) is the larger of the deviations for +ρ and −ρ, because for one sign the
    linear and the quadratic term can cancel.

    For Adam at ε = 0 the linear term of m̂_t/√v̂_t is ρ (a₂ − a₁), where a₁ and a₂ are the mean ages
    of the gradients in the two averages. They are equal if and only if β₁ = β₂.

    Args:
      judge: Judge of the comparisons of the optimizer.
      measured: Function from a comparison to its measurement.
      varying: Comparisons with a scale that varies in time.
      constants: Verdict on one factor for all steps, a special case of one factor per step.
      tolerance: Largest relative deviation that passes.

    Returns:
      The verdict, the order and the deviation.

    Source: arXiv 2601.21739.
    """
    found = max(constants, judge([varying.powers], []).verdict, key=list(Verdict).index)
    slow, fast = (
        np.max([typical(measured(c), False, tolerance)[0] for c in comparisons], axis=0)
        for comparisons in (varying.slow, varying.fast)
    )
    known = ~judge.ignored & (judge.allowance <= COARSE) & ~np.isnan(slow) & ~np.isnan(fast)
    slow, fast, allowance = slow[known], fast[known], judge.allowance[known]
    seen = (fast > SEEN * allowance) & np.isfinite(fast)
    orders = np.where(np.isinf(fast), 0.0, math.inf)
    orders[seen] = np.log2(fast[seen] / np.maximum(slow, allowance)[seen])
    order = float(orders.min(initial=math.inf))
    if found not in (Verdict.EXACT, Verdict.TOLERANCE):
        if not known.any():
            return TimeVarying(Verdict.NOT_TESTED)
        found = Verdict.FIRST_ORDER if order > LEAST_ORDER else Verdict.NO
    return TimeVarying(found, order, float(fast.max(initial=0.0)))
