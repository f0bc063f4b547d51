"""How many parameters are exactly zero, one by one and as whole output channels."""

from typing import Any

import jax
import numpy as np


def zero_shares(params: Any) -> dict[str, float]:
    """Shares of exact zeros: nothing is rounded or pruned.

    Args:
      params: A tree of arrays; the last axis of every array of two or more is the output channel.

    Returns:
      ``zero_share``, of all entries, and ``zero_channel_share``, of the output channels of kernels
      all of whose entries are zero (0 where there is no kernel).

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
