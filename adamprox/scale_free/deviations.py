"""Distances between runs per coordinate, and the part of them that rounding explains."""

import dataclasses

import numpy as np

from adamprox.scale_free.plan import Comparison
from adamprox.scale_free.probe import Probe
from adamprox.scale_free.runs import Runs

QUANTILE = 0.75  # of deviations by rounding alone, compared with the median of the others
MULTIPLE = 2.0


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One comparison on R gradient sequences of n coordinates; float64[R, n] except ``equal``.

    Attributes:
      values: Relative deviations; inf if only the rescaled run is not finite, NaN if the coordinate
        does not move or cannot be compared.
      steps: Steps with the largest deviations, 1 for the first step.
      resolutions: Deviations that rounding of the parameters can hide; NaN where ``values`` is NaN.
      differs: 1.0 where a bit differs, 0.0 where all bits are equal; NaN where ``values`` is NaN.
      paths: Lengths of the longer of the two paths.
      equal: True for coordinates with equal bits, bool[n]: in all sequences until a number leaves
        its range, and in most sequences afterwards.
    """

    values: np.ndarray
    steps: np.ndarray
    resolutions: np.ndarray
    differs: np.ndarray
    paths: np.ndarray
    equal: np.ndarray


def measure(probe: Probe, runs: Runs, c: Comparison) -> Measurement:
    """Measure the distance of two trajectories, relative to the path of each coordinate.

    max over t of (|x'_t − x_t| − r_t)⁺ / max(Σ_t |Δx_t|, Σ_t |Δx'_t|), where r_t is the effect of t
    roundings of the parameters: √t units, about twice the size of a random walk.
    """
    base, other = runs.parameters(c.base), runs.parameters(c.other)
    usable = np.isfinite(base) & runs.usable(c.base) & runs.usable(c.other)
    usable = np.logical_and.accumulate(usable, axis=1)
    clean = usable.all(axis=2, keepdims=True)
    # Coordinates may be coupled: a number out of range can make another coordinate infinite.
    usable &= clean | np.isfinite(other)
    if c.exact:  # skip bits that first differ in a step with an infinite coordinate, as in a norm
        apart = base != other
        alone = np.isfinite(other).all(axis=2, keepdims=True)
        earlier = np.logical_or.accumulate(apart & alone, axis=1)
        usable &= ~np.logical_or.accumulate(apart, axis=1) | earlier
    good = usable & np.isfinite(other)
    unequal, broken = usable & (base != other), usable & ~good
    differs = unequal.any(axis=1)
    equal = ~(unequal & clean).any(axis=(0, 1)) & (2 * differs.sum(axis=0) <= len(differs))
    base, other = np.where(good, base, 0.0), np.where(good, other, 0.0)
    moves = [_moves(probe, run, good) for run in (base, other)]
    path = np.maximum(*(abs(m).sum(axis=1) for m in moves))
    # Motion by decay alone does not depend on the gradient: all sequences share it.
    driven = np.maximum(*(abs(m - m.mean(axis=0)).sum(axis=1).mean(axis=0) for m in moves))
    root = np.sqrt(np.arange(1, base.shape[1] + 1))[:, None]
    blur = root * probe.rounding * np.maximum(abs(base), abs(other)).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.maximum(abs(other - base) - blur, 0) / path[:, None]
        resolution = blur[:, -1] / driven
    stuck = broken.any(axis=1)
    values = np.where(stuck, np.inf, relative.max(axis=1))
    steps = np.where(stuck, broken.argmax(axis=1), relative.argmax(axis=1)) + 1
    values[(path == 0) & ~stuck] = np.nan
    nothing = np.isnan(values)
    return Measurement(
        values, steps, np.where(nothing, np.nan, resolution), np.where(nothing, np.nan, differs),
        path, equal,
    )  # fmt: skip


def typical(m: Measurement, exact: bool, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the median deviation of every coordinate over sequences, if it is conclusive.

    If the precision of the parameters hides deviations as large as the tolerance, only equal bits
    and larger deviations are conclusive.

    Returns:
      float64[n], NaN where the median is inconclusive; and bool[n], True where bits differ but the
      precision hides the deviation.
    """
    values, differs = middle(m.values), middle(m.differs)
    with np.errstate(invalid="ignore"):
        shown = (middle(m.resolutions) < tolerance) | (values > tolerance)
        shown |= exact & (differs == 0)
        hidden = exact & ~shown & (differs == 1)
    return np.where(shown, values, np.nan), hidden


def middle(values: np.ndarray, quantile: float = 0.5) -> np.ndarray:
    """Return a quantile of every column of float64[R, n] without NaN, rounded up; NaN for none."""
    ranked = np.sort(values, axis=0)
    count = (~np.isnan(ranked)).sum(axis=0)
    index = np.ceil(quantile * (np.maximum(count, 1) - 1)).astype(int)
    return np.take_along_axis(ranked, index[None], axis=0)[0]


def rounding_allowance(probe: Probe, roundings: list[Measurement]) -> np.ndarray:
    """Return the deviation that rounding explains for factors that are not powers of two, float64[n].

    The allowance is one unit of the parameters, plus twice the deviation that one more unit of
    rounding of gradient, state and update per step causes in the worst coordinate of the leaf. An
    actual rounding is at most half a unit. Sign methods flip rarely but far; therefore the function
    takes a quantile over runs instead of a mean.
    """
    values = np.concatenate([m.values for m in roundings])
    usual = np.nan_to_num(middle(values, QUANTILE), nan=0.0)
    allowance = probe.rounding
    for _, part, _ in probe.parts:
        allowance[part] += MULTIPLE * usual[part].max()
    return allowance


def _moves(probe: Probe, run: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return x_t − x_{t−1} of float64[R, T, n] where ``good``, else 0."""
    start = np.broadcast_to(probe.start, (len(run), 1, run.shape[-1]))
    return np.where(good, np.diff(run, axis=1, prepend=start), 0.0)
