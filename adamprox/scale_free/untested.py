"""Parts of the parameters that a certificate does not cover, with reasons."""

from collections.abc import Callable

import numpy as np

from adamprox.scale_free.deviations import Measurement, middle, typical
from adamprox.scale_free.plan import Comparison, Scale
from adamprox.scale_free.probe import Probe
from adamprox.scale_free.runs import Runs


def untested_leaves(
    probe: Probe,
    runs: Runs,
    measured: Callable[[Comparison], Measurement],
    here: Scale,
    tolerance: float,
) -> tuple[tuple[tuple[str, str], ...], np.ndarray]:
    """Find leaves, or parts of leaves, that could not be tested.

    Args:
      probe: Initial parameters and gradients.
      runs: Results of all runs.
      measured: Function from a comparison to its measurement.
      here: Comparisons at the gradient scale of the probe.
      tolerance: Largest deviation that passes.

    Returns:
      Pairs (path, reason), and True for coordinates that comparisons must ignore, bool[n].
    """
    first = runs.parameters(here.first)
    found = [measured(c) for c in here.everything]
    broken = np.mean(~np.isfinite(first).all(axis=1), axis=0) > 0.5
    away = np.logical_not(runs.usable(here.first)[:, 0].any(axis=0))
    still = ~np.any([(m.paths > 0).any(axis=0) for m in found], axis=0)
    alike = (first == first[:1]).all(axis=(0, 1)) & np.all([m.equal for m in found], axis=0)
    coarse, hidden = _precision(here, found, tolerance)
    reasons = (
        (away, "leaves the range of its type, or of its state's"),
        (broken, f"is not finite after step {_first_broken(first, broken)}"),
        (still, f"never moves in {first.shape[1]} steps"),
        (alike, "moves, but not by the gradient"),
        (hidden, "deviates by less than the precision of {dtype} shows"),
        (coarse, "moves too little for the precision of {dtype}"),
    )
    silent = still | alike | hidden
    # If no coordinate resolves the tolerance, equal bits elsewhere are not enough.
    return _by_leaf(probe, reasons), silent | (hidden.any() & (silent | coarse).all())


def _first_broken(first: np.ndarray, broken: np.ndarray) -> int:
    """Return the first step after which a number is not finite."""
    infinite = (~np.isfinite(first[:, :, broken])).any(axis=(0, 2))
    return int(infinite.argmax()) + 1


def _precision(
    here: Scale, found: list[Measurement], tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find coordinates whose precision hides the tolerance, or an effect of unequal bits."""
    coarse, hidden, far = (np.full(found[0].equal.shape, x) for x in (True, False, False))
    for m, c in zip(found, here.everything, strict=True):
        values, unclear = typical(m, c.exact, tolerance)
        with np.errstate(invalid="ignore"):
            far |= c.exact & (values > tolerance)
            coarse &= ~(c.exact & (middle(m.resolutions) < tolerance))
        hidden |= unclear
    return coarse & ~far, hidden & ~far


def _by_leaf(
    probe: Probe, reasons: tuple[tuple[np.ndarray, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Return (path, reason) for every leaf with affected coordinates; the first reason counts."""
    entries = []
    for path, part, dtype in probe.parts:
        left, size = np.ones(part.stop - part.start, bool), part.stop - part.start
        for chosen, reason in reasons:
            count = int((chosen[part] & left).sum())
            left &= ~chosen[part]
            if count:
                share = "" if count == size else f" ({count} of {size} coordinates)"
                entries.append((path, reason.format(dtype=dtype) + share))
    return tuple(entries)
