"""Checks of the arguments of `scale_freeness`."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adamprox.checks import is_integer, is_known


def check_transformation(name: str, tx: Any) -> None:
    """Raise TypeError unless ``tx`` has ``init`` and ``update``, or its own ``run_all``."""
    methods = ("run_all",) if hasattr(tx, "run_all") else ("init", "update")
    if isinstance(tx, type) or not all(callable(getattr(tx, part, None)) for part in methods):
        raise TypeError(f"{name} must have init and update, as Optax's transformations, got {tx!r}")


def check_callables(**given: Any) -> None:
    """Raise TypeError for a keyword that is neither None nor callable."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be a callable or None, got {value!r}")


def check_numbers(
    gradient_scale: Any, exponents: Any, steps: Any, tolerance: Any, seed: Any
) -> None:
    """Raise ValueError for a number out of its range."""

    def real(value, low, high):
        return is_known(value) and np.ndim(value) == 0 and low < float(value) < high

    checks = (
        ("gradient_scale", gradient_scale, real(gradient_scale, 0, math.inf), "a finite number > 0"),
        ("tolerance", tolerance, real(tolerance, 0, 1), "a number in (0, 1)"),
        ("steps", steps, is_integer(steps, 2), "an integer >= 2"),
        ("seed", seed, is_integer(seed, 0), "an integer >= 0"),
        (
            "exponents",
            exponents,
            isinstance(exponents, Sequence | np.ndarray) and len(exponents) > 0 and all(is_integer(k, 1, 20) for k in exponents),
            "a non-empty sequence of integers from 1 to 20",
        ),
    )  # fmt: skip
    for name, value, good, allowed in checks:
        if not good:
            raise ValueError(f"{name} must be {allowed}, got {value!r}")


def check_room(gradient_scale: float, largest: int, params: Any) -> None:
    """Raise ValueError if rescaled gradients or their averages would leave the range of a type.

    Besides factors of up to 2^±10, Adam's averages need a margin of about 2^±15; factors of up to
    2^±largest may need more. Without it the certificate would measure rounding.
    """
    widths = {jnp.finfo(leaf.dtype).maxexp for leaf in jax.tree.leaves(params)}
    limit = (1e250 if min(widths) > 128 else 1e30) / 10 ** (0.3 * max(largest - 10, 0))
    if not 0.99 / limit < gradient_scale < 1.01 * limit:
        allowed = f"from {1 / limit:.0e} to {limit:.0e} for params of these types"
        allowed += f" and factors up to 2^{largest}" if largest > 10 else ""
        raise ValueError(f"gradient_scale must be {allowed}, got {gradient_scale!r}")


def real_arrays(params: Any) -> Any:
    """Return ``params`` as arrays; raise an error if one is not real or there are none."""
    leaves = jax.tree.leaves(params)
    for leaf in leaves:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            got = jnp.result_type(leaf)
            raise TypeError(f"params must hold real floating-point arrays, got a leaf of {got}")
    if not sum(jnp.size(leaf) for leaf in leaves):
        raise ValueError("params must hold at least one coordinate, got an empty tree")
    return jax.tree.map(jnp.asarray, params)
