"""Claims of the paper, their verdicts, and their statistics."""

import enum
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import scipy

from adamprox.sweep.results import Record


class Verdict(enum.Enum):
    """Outcome of the comparison of a claim with the records."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTED = "not tested"
    NOT_RUN = "not run"


class Claim(NamedTuple):
    """A statement of the paper with its measurement.

    Attributes:
      section: Section or figure of the paper that makes the claim.
      statement: The claim, in one sentence.
      measured: The measurement, in words with units.
      criterion: Condition on the measurement under which the claim counts as reproduced.
      verdict: Outcome of the criterion.
      note: Limits of the verdict, or an empty string.
    """

    section: str
    statement: str
    measured: str
    criterion: str
    verdict: Verdict
    note: str = ""


def select(records: Sequence[Record], **where: object) -> list[Record]:
    """Return the records whose columns have the given values."""
    return [r for r in records if all(r.get(k) == v for k, v in where.items())]


def best(records: Sequence[Record]) -> Record | None:
    """Return the first record with the lowest final test error, None if all diverged."""
    finished = [r for r in records if r["final_test_error"] is not None]
    return min(finished, key=lambda r: r["final_test_error"], default=None)


class Estimate(NamedTuple):
    """Mean test error over seeds.

    Attributes:
      mean: Mean of the final test errors, as a fraction.
      half_width: Half-width of its 95 % interval by Student's t; None for one run.
      runs: Number of runs that finished.
    """

    mean: float
    half_width: float | None
    runs: int

    def __str__(self):
        """Return the mean and its half-width in percent, with the number of seeds."""
        if self.half_width is None:
            return f"{percent(self.mean)} (1 seed)"
        return f"{100 * self.mean:.1f} ± {100 * self.half_width:.1f} % ({self.runs} seeds)"


def estimate(runs: Sequence[Record]) -> Estimate | None:
    """Return the mean test error of the runs that finished, None if none did.

    Example:
      >>> runs = [{"final_test_error": e} for e in (0.10, 0.12, 0.14)]
      >>> print(estimate(runs))
      12.0 ± 5.0 % (3 seeds)
    """
    errors = [r["final_test_error"] for r in runs if r["final_test_error"] is not None]
    if not errors:
        return None
    half_width = None
    if len(errors) > 1:
        quantile = float(scipy.stats.t.ppf(0.975, len(errors) - 1))
        half_width = quantile * statistics.stdev(errors) / math.sqrt(len(errors))
    return Estimate(statistics.fmean(errors), half_width, len(errors))


class Gap(NamedTuple):
    """Difference of two mean test errors.

    Attributes:
      difference: The difference, as a fraction.
      margin: Margin of error of the difference at 95 %, as a fraction.
      one_seed: True if a mean is of one seed, so that the margin is that of the test set.
    """

    difference: float
    margin: float
    one_seed: bool = False

    def __str__(self):
        """Return the difference and its margin in percentage points."""
        text = f"{100 * self.difference:.1f} ± {points(self.margin)}".replace("-", "−")
        return f"{text} (1 seed)" if self.one_seed else text


def gap(first: Sequence[Record], second: Sequence[Record]) -> Gap:
    """Return the mean test error of ``first`` minus that of ``second``, with its margin of error.

    With two seeds or more on both sides the margin is the half-width of Welch's 95 % interval.
    With one seed on a side it is the `noise` of the test set, which leaves out the variation
    between seeds.

    Args:
      first: Runs of one configuration with different seeds; at least one finished.
      second: Runs of the other configuration; at least one finished.

    Example:
      >>> runs = [[{"final_test_error": e} for e in es] for es in [(0.3, 0.32), (0.1, 0.12)]]
      >>> print(gap(*runs))
      20.0 ± 6.1 points
    """
    ended = [[r for r in runs if r["final_test_error"] is not None] for runs in (first, second)]
    errors = [[r["final_test_error"] for r in runs] for runs in ended]
    difference = statistics.fmean(errors[0]) - statistics.fmean(errors[1])
    if min(map(len, errors)) < 2:
        return Gap(difference, noise(ended[0][0], ended[1][0]), one_seed=True)
    own = contrast(errors, (1.0, -1.0))
    # Equal errors of all seeds, as of collapsed networks, leave the noise of the test set.
    return own if own.margin else own._replace(margin=noise(ended[0][0], ended[1][0]))


def contrast(errors: Sequence[Sequence[float]], weights: Sequence[float]) -> Gap:
    """Return a weighted sum of mean errors, with the half-width of its 95 % interval.

    Σ wᵢ ēᵢ ± t₀.₉₇₅(ν) √(Σ wᵢ² sᵢ²/nᵢ), with Welch's degrees of freedom ν.

    Args:
      errors: Errors over seeds, two or more in each group, as fractions.
      weights: Weight of each group.

    Example:
      >>> print(contrast([[0.1, 0.2]] * 2 + [[0.3, 0.4]] * 2, (-0.5, -0.5, 0.5, 0.5)))
      20.0 ± 13.9 points

    Source: Welch, The generalization of Student's problem, 1947.
    """
    value = sum(w * statistics.fmean(e) for w, e in zip(weights, errors, strict=True))
    parts = [w**2 * statistics.variance(e) / len(e) for w, e in zip(weights, errors, strict=True)]
    total = sum(parts)
    if not total:
        return Gap(value, 0.0)
    freedom = total**2 / sum(p**2 / (len(e) - 1) for p, e in zip(parts, errors, strict=True))
    return Gap(value, float(scipy.stats.t.ppf(0.975, freedom)) * math.sqrt(total))


def noise(*records: Record) -> float:
    """Return two standard errors of the difference of two test errors.

    Args:
      records: Two records; their test errors count as independent binomial samples.

    Returns:
      A fraction, the minimum detectable difference on a test set of this size.

    Example:
      >>> round(noise(*2 * [{"final_test_error": 0.5, "test_examples": 100}]), 3)
      0.141
    """
    variance = sum(
        r["final_test_error"] * (1 - r["final_test_error"]) / r["test_examples"] for r in records
    )
    return 2 * math.sqrt(variance)


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with one decimal.

    Example:
      >>> percent(0.0625)
      '6.2 %'
    """
    return f"{100 * fraction:.1f} %"


def points(fraction: float) -> str:
    """Return a difference of two fractions in percentage points with one decimal.

    Example:
      >>> points(0.31 - 0.281)
      '2.9 points'
    """
    return f"{100 * fraction:.1f} points".replace("-", "−")


def compact(value: float) -> str:
    """Return a hyperparameter in its shortest form.

    Example:
      >>> compact(0.0003), compact(0.0), compact(3.0), compact(0.03)
      ('3e-4', '0', '3', '0.03')
    """
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{value:g}"
    mantissa, exponent = f"{value:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
