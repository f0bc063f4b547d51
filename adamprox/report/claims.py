"""Claims of the paper as functions of records, and the verdicts they can get."""

import enum
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from adamprox.sweep.results import Record


class Verdict(enum.Enum):
    """What the records say of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    NOT_TESTED = "not tested"
    NOT_RUN = "not run"


class Claim(NamedTuple):
    """A statement of the paper beside what was measured.

    Attributes:
      section: Where the paper makes it.
      statement: In one sentence.
      measured: The figure, in words with units.
      bar: What the figure must meet for the claim to hold.
      verdict: Whether it does.
      note: What limits the verdict, or an empty string.
    """

    section: str
    statement: str
    measured: str
    bar: str
    verdict: Verdict
    note: str = ""


def untested(preset: str, *needed: object) -> str | None:
    """Why a claim about trained cells cannot be judged, or None if it can be."""
    if preset == "smoke":
        return "The smoke preset only shows that everything runs."
    return (
        None if all(needed) else "No cell of one of the optimizers has finished without diverging."
    )


def select(records: Sequence[Record], **where: object) -> list[Record]:
    """The records whose columns have the given values."""
    return [r for r in records if all(r.get(k) == v for k, v in where.items())]


def best(records: Sequence[Record]) -> Record | None:
    """The record of lowest final test error, the first of equals; None if all diverged."""
    finished = [r for r in records if r["final_test_error"] is not None]
    return min(finished, key=lambda r: r["final_test_error"], default=None)


def expected_best(records: Sequence[Record]) -> np.ndarray:
    """The mean lowest test error of k cells drawn from a grid without replacement.

    Args:
      records: Of n cells; one that diverged errs on everything.

    Returns:
      float[n], for k = 1 … n: with errors e₁ ≤ … ≤ eₙ, Σ eᵢ C(n−i, k−1) / C(n, k).

    Example:
      >>> expected_best([{"final_test_error": e} for e in (0.1, 0.3)]).round(3).tolist()
      [0.2, 0.1]

    Source: Dodge et al., Show Your Work (2019), there with replacement.
    """
    errors = sorted(1.0 if (e := r["final_test_error"]) is None else e for r in records)
    n = len(errors)
    return np.array(
        [
            sum(e * math.comb(n - i, k - 1) for i, e in enumerate(errors, 1)) / math.comb(n, k)
            for k in range(1, n + 1)
        ]
    )


class Estimate(NamedTuple):
    """A mean over seeds.

    Attributes:
      mean: Of the final test errors.
      half_width: Of its 95 % interval by Student's t; None for one run.
      runs: How many finished.
    """

    mean: float
    half_width: float | None
    runs: int

    def __str__(self):
        """In percent."""
        if self.half_width is None:
            return f"{percent(self.mean)} (1 seed)"
        return f"{100 * self.mean:.1f} ± {100 * self.half_width:.1f} % ({self.runs} seeds)"


def estimate(runs: Sequence[Record]) -> Estimate | None:
    """The mean test error of the runs that finished, None if none did.

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
        quantile = float(stats.t.ppf(0.975, len(errors) - 1))
        half_width = quantile * statistics.stdev(errors) / math.sqrt(len(errors))
    return Estimate(statistics.fmean(errors), half_width, len(errors))


class Gap(NamedTuple):
    """A difference of two mean test errors and what of it may be noise, 95 %."""

    difference: float
    unsure: float


def gap(first: Sequence[Record], second: Sequence[Record]) -> Gap:
    """How much larger the error of ``first`` is than that of ``second``.

    With two seeds or more on both sides the noise is Welch's 95 % half-width; otherwise it is
    that of the test set alone, see `noise`, which leaves out what another seed would change.

    Args:
      first: Runs of one cell with different seeds, at least one of which finished.
      second: Likewise.
    """
    errors = [
        [r["final_test_error"] for r in runs if r["final_test_error"] is not None]
        for runs in (first, second)
    ]
    difference = statistics.fmean(errors[0]) - statistics.fmean(errors[1])
    if min(map(len, errors)) < 2:
        return Gap(difference, noise(first[0], second[0]))
    interval = stats.ttest_ind(*errors, equal_var=False).confidence_interval(0.95)
    return Gap(difference, float(interval.high - interval.low) / 2)


def noise(*records: Record) -> float:
    """Two standard errors of the difference of two test errors, as independent binomials.

    Args:
      records: The two records.

    Returns:
      A fraction; differences below it are not distinguishable on this test set.

    Example:
      >>> round(noise(*2 * [{"final_test_error": 0.5, "test_examples": 100}]), 3)
      0.141
    """
    variance = sum(
        r["final_test_error"] * (1 - r["final_test_error"]) / r["test_examples"] for r in records
    )
    return 2 * math.sqrt(variance)


def percent(fraction: float) -> str:
    """A fraction as a percentage with one decimal.

    Example:
      >>> percent(0.0625)
      '6.2 %'
    """
    return f"{100 * fraction:.1f} %"


def compact(value: float) -> str:
    """A hyperparameter as people write it.

    Example:
      >>> compact(0.0003), compact(0.0), compact(3.0), compact(0.03)
      ('3e-4', '0', '3', '0.03')
    """
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{value:g}"
    mantissa, exponent = f"{value:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
