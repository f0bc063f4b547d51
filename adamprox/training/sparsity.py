"""Shares of parameters and of whole output channels that are exactly zero."""

from typing import Any

import jax
import numpy as np


def zero_shares(params: Any) -> dict[str, float]:
    """Return the shares of exact zeros, without rounding or pruning.

    Args:
      params: Pytree of arrays. Arrays of two or more axes are kernels, with output channels last.

    Returns:
      ``zero_share``, the share of zero entries, and ``zero_channel_share``, the share of output
      channels of kernels with only zero entries (0 without kernels).

    Example:
      >>> kernel = np.array([[0.0, 1.0], [0.0, 0.0]])
      >>> zero_shares({"kernel": kernel, "bias": np.array([1.0, 1.0])})
      {'zero_share': 0.5, 'zero_channel_share': 0.5}
    """
    zero = [np.asarray(leaf) == 0 for leaf in jax.tree.leaves(jax.device_get(params))]
    channels = [leaf.reshape(-1, leaf.shape[-1]).all(0) for leaf in zero if leaf.ndim > 1]
    return {"zero_share": _share(zero), "zero_channel_share": _share(channels)}


def _share(masks: list[np.ndarray]) -> float:
    total = sum(mask.size for mask in masks)
    return float(sum(mask.sum() for mask in masks) / total) if total else 0.0
