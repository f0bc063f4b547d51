"""Every proximal operator with its penalty in float64 NumPy: the tables that the laws run over.

An operator that is added here is tested: `test_prox_scalar` has the laws of `SEPARABLE`, `test_prox`
those of `REGULARIZERS` and `PROJECTIONS`.
"""

import functools

import jax
import numpy as np

from adamprox import prox

INFINITY = np.inf


def penalty_mcp(z, gamma=3.0, scale=1.0):
    r = np.abs(z)
    return np.where(r <= gamma * scale, scale * r - r**2 / (2 * gamma), gamma * scale**2 / 2)


def penalty_huber(z, delta=1.0):
    r = np.abs(z)
    return np.where(r <= delta, r**2 / 2, delta * (r - delta / 2))


def penalty_scad(z, a=3.7, scale=1.0):
    r = np.abs(z)
    middle = (2 * a * scale * r - r**2 - scale**2) / (2 * (a - 1))
    flat = (a + 1) * scale**2 / 2
    return np.where(r <= scale, scale * r, np.where(r <= a * scale, middle, flat))


def falling_weights(size):
    return np.linspace(2.0, 0.5, size)


def slope(tree, t):
    size = sum(leaf.size for leaf in jax.tree.leaves(tree))
    return prox.slope(tree, t, weights=falling_weights(size))


SEPARABLE = {
    "l1": (prox.l1, np.abs),
    "squared_l2": (prox.squared_l2, lambda z: z**2 / 2),
    "elastic_net": (prox.elastic_net, lambda z: np.abs(z) / 2 + z**2 / 4),
    "elastic_net_l1": (functools.partial(prox.elastic_net, l1_ratio=1.0), np.abs),
    "elastic_net_l2": (functools.partial(prox.elastic_net, l1_ratio=0), lambda z: z**2 / 2),
    "huber": (prox.huber, penalty_huber),
    "huber_small": (
        functools.partial(prox.huber, delta=0.25),
        functools.partial(penalty_huber, delta=0.25),
    ),
    "nonnegative": (prox.nonnegative, lambda z: np.where(z >= 0, 0, INFINITY)),
    "nonnegative_l1": (prox.nonnegative_l1, lambda z: np.where(z >= 0, z, INFINITY)),
    "box": (
        functools.partial(prox.box, lower=-1.0, upper=2.0),
        lambda z: np.where((z >= -1) & (z <= 2), 0, INFINITY),
    ),
    "linf_ball": (
        functools.partial(prox.linf_ball, radius=2.0),
        lambda z: np.where(np.abs(z) <= 2, 0, INFINITY),
    ),
    "l0": (prox.l0, lambda z: (z != 0).astype(float)),
    "mcp": (prox.mcp, penalty_mcp),
    "mcp_steep": (functools.partial(prox.mcp, gamma=1.25), lambda z: penalty_mcp(z, 1.25)),
    "mcp_small": (
        functools.partial(prox.mcp, gamma=2.0, scale=0.5),
        lambda z: penalty_mcp(z, 2.0, 0.5),
    ),
    "scad": (prox.scad, penalty_scad),
    "scad_small": (
        functools.partial(prox.scad, a=2.5, scale=0.5),
        lambda z: penalty_scad(z, 2.5, 0.5),
    ),
    "log_sum": (prox.log_sum, lambda z: np.log1p(np.abs(z))),
    "log_sum_steep": (
        functools.partial(prox.log_sum, eps=0.1),
        lambda z: np.log1p(np.abs(z) / 0.1),
    ),
    "l_half": (prox.l_half, lambda z: np.sqrt(np.abs(z))),
}
"""Of one entry at a time: the operator, and its penalty of one real variable, vectorized."""

NEED_AN_ORDER = ("nonnegative", "nonnegative_l1", "box", "simplex", "total_variation")
"""Those of them that have no meaning for complex numbers."""

IGNORE_T = ("nonnegative", "box", "linf_ball")
"""Those of them that are projections."""

REGULARIZERS = {
    "l1": (prox.l1, lambda z: np.sum(np.abs(z))),
    "l2": (prox.l2, lambda z: np.sqrt(np.sum(z**2))),
    "squared_l2": (prox.squared_l2, lambda z: 0.5 * np.sum(z**2)),
    "elastic_net": (
        functools.partial(prox.elastic_net, l1_ratio=0.3),
        lambda z: 0.3 * np.sum(np.abs(z)) + 0.35 * np.sum(z**2),
    ),
    "sparse_group": (
        functools.partial(prox.sparse_group, l1_ratio=0.3),
        lambda z: 0.3 * np.sum(np.abs(z)) + 0.7 * np.sqrt(np.sum(z**2)),
    ),
    "huber": (
        functools.partial(prox.huber, delta=0.7),
        lambda z: np.sum(np.where(np.abs(z) <= 0.7, z**2 / 2, 0.7 * (np.abs(z) - 0.35))),
    ),
    "size_weighted_l2": (prox.size_weighted(prox.l2), lambda z: np.sqrt(z.size * np.sum(z**2))),
    "slope": (jax.jit(slope), lambda z: falling_weights(z.size) @ np.sort(np.abs(z))[::-1]),
    "total_variation": (jax.jit(prox.total_variation), lambda z: np.sum(np.abs(np.diff(z)))),
}
"""Convex penalties: the operator, and its penalty of a vector."""

PROJECTIONS = {
    "nonnegative": prox.nonnegative,
    "nonnegative_l1": prox.nonnegative_l1,
    "box": functools.partial(prox.box, lower=-1.5, upper=0.5),
    "l2_ball": functools.partial(prox.l2_ball, radius=1.5),
    "simplex": prox.simplex,
    "l1_ball": functools.partial(prox.l1_ball, radius=1.5),
    "linf_ball": functools.partial(prox.linf_ball, radius=1.5),
}
"""On convex sets."""


def smallest_at_zero(penalty, points):
    """Return True if no point has a smaller penalty than 0: the prox cannot move away from it."""
    return all(penalty(0 * point) <= penalty(point) for point in points)
