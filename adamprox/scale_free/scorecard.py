"""The scorecard: certificates of every optimizer of the installed Optax and of this package."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import optax

from adamprox.scale_free.catalogue import Entry, entries
from adamprox.scale_free.certify import scale_freeness
from adamprox.scale_free.explanations import EXPLANATIONS
from adamprox.scale_free.result import ScaleFreeness, Verdict

ROUNDING = 1e-7  # smaller deviations are rounding of float32, and are not printed
COLUMNS = (
    "optimizer", "arguments", "scale-free", "one factor", "ε matters below", "varying in time", "note",
)  # fmt: skip
HEADER = """\
# Which optimizers are scale-free?

`python -m adamprox.scale_free` wrote this page for optax {version}. It lists every public optimizer of `optax` and
`optax.contrib`, and the paper's five optimizers in `adamprox`. The learning rate is 0.01 unless the arguments name another.

* **scale-free**: each gradient coordinate is multiplied by its own positive constant, from 2⁻¹⁰ to 2¹⁰.
  * *exact*: powers of two change no bit of the parameters, at any gradient scale from 2⁻⁴⁰ to 2³⁰.
  * *to tolerance*: at gradients of about 1, no coordinate deviates by more than {tolerance:g} of its path. The deviation is
    the median over 15 gradient sequences.
  * *no*: a coordinate deviates by more.
* **one factor**: the same test with one factor for all coordinates. Methods that divide by a norm have this weaker
  property.
* **ε matters below**: the gradient scale below which an ε, or any other constant, moves the iterates by more than the
  tolerance.
  * *never*: at no scale in the range.
  * *everywhere*: at every scale.
  * *(one factor)*: measured with one factor for all coordinates.
* **varying in time**: one factor per step for all coordinates.
  * *exact* and *to tolerance*: as above, for a random power of two per step.
  * *to first order*: for constant gradients times exp(ρt), the deviation is quadratic in ρ. Adam has this property if
    and only if β₁ = β₂ ([arXiv 2601.21739](https://arxiv.org/abs/2601.21739)).
  * *no*: the deviation is not quadratic in ρ. The number is the deviation at ρ = ±2⁻⁶, over 12 steps.

The number in parentheses is the deviation, from 0 to 2. *Rounding* means below 1e-7. A deviation of 1 means that a
coordinate follows another path altogether. Optax multiplies weight decay by the learning rate; `adamprox` applies it per
step.
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """An entry with its result, and a remark about the test."""

    entry: Entry
    result: ScaleFreeness
    remark: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Texts of the columns."""
        r = self.result
        return (
            self.entry.name,
            self.entry.arguments,
            _verdict(r.verdict, r.deviation),
            _verdict(r.global_rescaling, r.global_deviation.largest),
            _below(r),
            _verdict(r.time_varying.verdict, r.time_varying.deviation),
            self.note,
        )

    @property
    def note(self) -> str:
        """Explanation of the row, or the reason why it was not tested."""
        name, arguments = self.entry.name, self.entry.arguments
        why = EXPLANATIONS.get(f"{name}({arguments})") or EXPLANATIONS.get(name, "")
        if self.result.verdict is not Verdict.NOT_TESTED:
            return why or self.remark
        reason = self.result.reason
        return why or f"{reason[0].upper()}{reason[1:]}."


def _certify(entry: Entry) -> Row:
    return Row(entry, scale_freeness(entry.make(), params=entry.params))


def scorecard(
    chosen: Iterable[Entry] | None = None,
    report: Callable[[Row], Any] = lambda row: None,
    certify: Callable[[Entry], Row] = _certify,
) -> list[Row]:
    """Certify optimizers one after the other.

    Args:
      chosen: Entries to certify; None means all.
      report: Callback for every row when it is done.
      certify: Function from an entry to its row.

    Returns:
      The rows, in order.

    Example:
      >>> from adamprox.scale_free.catalogue import entries
      >>> rows = scorecard([e for e in entries() if e.name == "sign_sgd"])
      >>> print(rows[0].cells[2:6])
      ('exact', 'exact', 'never', 'exact')
    """
    rows = []
    for entry in entries() if chosen is None else chosen:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecation warnings
            rows.append(certify(entry))
        report(rows[-1])
    return rows


def markdown(rows: list[Row]) -> str:
    """Return the scorecard as a Markdown page."""
    tolerance = rows[0].result.tolerance if rows else 1e-3
    header = HEADER.format(version=optax.__version__, tolerance=tolerance)
    return "\n".join([header, *table(rows)]) + "\n"


def table(rows: list[Row]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    for row in rows:
        name, arguments, *rest = (cell.replace("|", "\\|") for cell in row.cells)
        lines.append(_line([f"`{name}`", f"`{arguments}`" if arguments else "", *rest]))
    return lines


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _verdict(verdict: Verdict, deviation: float) -> str:
    """Return the verdict with its deviation, or with "rounding" below float32's."""
    if verdict is Verdict.NOT_TESTED:
        return verdict.value
    if verdict is Verdict.EXACT:
        return "exact"
    if math.isinf(deviation):
        return f"{verdict.value} (non-finite)"
    return f"{verdict.value} ({f'{deviation:.0e}' if deviation >= ROUNDING else 'rounding'})"


def _below(result: ScaleFreeness) -> str:
    """Return the text of the column on ε, for the stronger property with a finite scale."""
    if result.verdict is Verdict.NOT_TESTED:
        return "–"
    if not math.isinf(result.matters_below):
        return _scale(result.matters_below)
    if math.isinf(result.global_matters_below):
        return "everywhere"
    return f"{_scale(result.global_matters_below)} (one factor)"


def _scale(below: float) -> str:
    return "never" if below == 0 else "–" if math.isnan(below) else f"{below:.0e}"
