"""Claims of the paper as functions of records, and the verdicts they can get."""

import enum
import math
from typing import NamedTuple

from adamprox.sweep.results import Record


class Verdict(enum.Enum):
    """What the records say of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    NOT_TESTED = "not tested at this preset"


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


def select(records: list[Record], **where: object) -> list[Record]:
    """The records whose columns have the given values."""
    return [r for r in records if all(r.get(k) == v for k, v in where.items())]


def best(records: list[Record]) -> Record | None:
    """The record of lowest final test error, the first of equals; None if all diverged."""
    finished = [r for r in records if r["final_test_error"] is not None]
    return min(finished, key=lambda r: r["final_test_error"], default=None)


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
