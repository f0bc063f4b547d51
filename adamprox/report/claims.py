"""Claims of the paper, their verdicts, and their statistics."""

import enum
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import scipy

from adamprox.sweep.record import Record


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

    @property
    def in_percent(self) -> str:
        """Mean and half-width for a column whose unit is percent, such as ``61.4 ± 0.8``."""
        width = "" if self.half_width is None else f" ± {100 * self.half_width:.1f}"
        return f"{100 * self.mean:.1f}{width}"

    def __str__(self):
        """Return the mean and its half-width in percent, with the number of seeds."""
        seeds = "1 seed" if self.half_width is None else f"{self.runs} seeds"
        return f"{self.in_percent} % ({seeds})"


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
    width = half_width(errors) if len(errors) > 1 else None
    return Estimate(statistics.fmean(errors), width, len(errors))


def half_width(values: Sequence[float]) -> float:
    """Return the half-width of the 95 % interval of a mean, by Student's t; it needs two values.

    Example:
      >>> round(half_width([0.10, 0.12, 0.14]), 4)
      0.0497
    """
    quantile = float(scipy.stats.t.ppf(0.975, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


class Gap(NamedTuple):
    """Difference of mean test errors.

    Attributes:
      difference: The difference, as a fraction.
      margin: Margin of error of the difference at 95 %, as a fraction.
      one_seed: True if a mean is of one seed, for which the margin has the noise of the test set.
      open_below: True if runs diverged whose errors would make the difference smaller.
      open_above: True if runs diverged whose errors would make it larger.
    """

    difference: float
    margin: float
    one_seed: bool = False
    open_below: bool = False
    open_above: bool = False

    @property
    def low(self) -> float:
        """Lower end of the interval; −∞ if runs diverged that would make the difference smaller."""
        return -math.inf if self.open_below else self.difference - self.margin

    @property
    def high(self) -> float:
        """Upper end of the interval; ∞ if runs diverged that would make the difference larger."""
        return math.inf if self.open_above else self.difference + self.margin

    @property
    def differs(self) -> bool:
        """True if the interval excludes 0."""
        return self.low > 0 or self.high < 0

    def __neg__(self) -> "Gap":
        """Return the difference with the opposite sign."""
        return Gap(-self.difference, self.margin, self.one_seed, self.open_above, self.open_below)

    def __str__(self):
        """Return the difference and its margin in percentage points."""
        text = f"{100 * self.difference:.1f} ± {points(self.margin)}".replace("-", "−")
        notes = ["1 seed"] if self.one_seed else []
        notes += ["without runs that diverged"] if self.open_below or self.open_above else []
        return f"{text} ({', '.join(notes)})" if notes else text


def gap(first: Sequence[Record], second: Sequence[Record]) -> Gap:
    """Return the mean test error of ``first`` minus that of ``second``, by `contrast`.

    Args:
      first: Runs of one configuration with different seeds; at least one finished.
      second: Runs of the other configuration; at least one finished.

    Example:
      >>> runs = [[{"final_test_error": e} for e in es] for es in [(0.3, 0.32), (0.1, 0.12)]]
      >>> print(gap(*runs))
      20.0 ± 6.1 points
    """
    return contrast((first, second), (1.0, -1.0))


def contrast(groups: Sequence[Sequence[Record]], weights: Sequence[float]) -> Gap:
    """Return a weighted sum of mean test errors, with the half-width of its 95 % interval.

    Σ wᵢ ēᵢ ± t₀.₉₇₅(ν) √(Σ wᵢ² sᵢ²/nᵢ), with Welch's degrees of freedom ν.

    A group of one seed adds two standard errors of the test set to the margin, and so do all groups
    if the seeds of each have the same error, as of collapsed networks. Runs that diverged are left
    out of the means, and the interval is open to the side on which they lie.

    Args:
      groups: Runs over seeds; at least one in each group finished.
      weights: Weight of each group.

    Example:
      >>> runs = [[{"final_test_error": e} for e in es] for es in [(0.1, 0.2), (0.3, 0.4)]]
      >>> print(contrast([runs[0], runs[0], runs[1], runs[1]], (-0.5, -0.5, 0.5, 0.5)))
      20.0 ± 13.9 points

    Source: Welch, The generalization of Student's problem, 1947.
    """
    ended = [[r for r in runs if r["final_test_error"] is not None] for runs in groups]
    errors = [[r["final_test_error"] for r in runs] for runs in ended]
    terms = [(w, e, runs[0]) for w, e, runs in zip(weights, errors, ended, strict=True) if w]
    variance, freedom = welch([(w, e) for w, e, _ in terms if len(e) > 1])
    if variance:
        spread = float(scipy.stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
        margin = math.hypot(spread, *(w * noise(run) for w, e, run in terms if len(e) < 2))
    else:
        margin = math.hypot(*(w * noise(run) for w, _, run in terms))
    lost = [w for w, all_, own in zip(weights, groups, ended, strict=True) if len(own) < len(all_)]
    return Gap(
        sum(w * statistics.fmean(e) for w, e, _ in terms),
        margin,
        any(len(e) < 2 for _, e, _ in terms),
        open_below=any(w < 0 for w in lost),
        open_above=any(w > 0 for w in lost),
    )


def welch(terms: Sequence[tuple[float, Sequence[float]]]) -> tuple[float, float]:
    """Return the variance of a weighted sum of means, and its degrees of freedom; 0 and ∞ without spread.

    Args:
      terms: Weight of each mean, and its two or more values.
    """
    parts = [(w**2 * statistics.variance(e) / len(e), len(e) - 1) for w, e in terms]
    total = sum(part for part, _ in parts)
    return total, total**2 / sum(part**2 / n for part, n in parts) if total else math.inf


def noise(*records: Record) -> float:
    """Return two standard errors of a test error, or of the difference of two.

    Args:
      records: One or two records; their test errors count as independent binomial samples.

    Returns:
      A fraction; for two records, the minimum detectable difference on a test set of this size.

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
