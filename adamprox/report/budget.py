"""Test error as a function of the tuning budget."""

import math
from collections.abc import Sequence

import numpy as np

from adamprox.sweep.results import Record


def expected_best(records: Sequence[Record]) -> np.ndarray:
    """Return the mean lowest test error of k runs drawn from a grid without replacement.

    Args:
      records: Records of n runs; a run that diverged counts as an error of 100 %.

    Returns:
      float[n] for k = 1 … n. With errors e₁ ≤ … ≤ eₙ, it is Σ eᵢ C(n−i, k−1) / C(n, k).

    Example:
      >>> expected_best([{"final_test_error": e} for e in (0.1, 0.3)]).round(3).tolist()
      [0.2, 0.1]

    Source: Dodge et al., Show Your Work (2019), who draw with replacement.
    """
    errors = sorted(1.0 if (e := r["final_test_error"]) is None else e for r in records)
    n = len(errors)
    return np.array(
        [
            sum(e * math.comb(n - i, k - 1) for i, e in enumerate(errors, 1)) / math.comb(n, k)
            for k in range(1, n + 1)
        ]
    )
