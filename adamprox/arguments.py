"""Arguments of the optimizers: hyperparameters that may be schedules, and masks.

Only plain numbers are checked: a traced value or a schedule has no value yet.
"""

import warnings
from typing import Any, TypeGuard

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from adamprox.checks import is_known, positive_integer

Schedule = optax.ScalarOrSchedule
Mask = Any  # a pytree of booleans (or a prefix of one), or a callable from params to one


def is_static_number(value: object) -> TypeGuard[float]:
    """Return True for a plain number, with a value known while tracing; False for a jax.Array."""
    return is_known(value) and np.ndim(value) == 0 and np.isrealobj(value)  # pyright: ignore


def at_count(value: Schedule, count: chex.Numeric) -> Any:
    """Return the value of a hyperparameter at step ``count``; it is a number or a schedule."""
    return value(count) if callable(value) else value


def check_numbers(**given: object) -> None:
    """Raise TypeError for a keyword that is no number, no array and no schedule."""
    for name, value in given.items():
        if not (callable(value) or _is_numeric(value)):
            raise TypeError(f"{name} must be a number, an array or a schedule, got {value!r}")


def check_constants(**given: object) -> None:
    """Raise TypeError for a keyword that is no number and no array."""
    for name, value in given.items():
        if not _is_numeric(value):
            raise TypeError(f"{name} must be a number or an array, got {value!r}")


def _is_numeric(value: object) -> bool:
    return isinstance(value, int | float) or (
        hasattr(value, "dtype") and not jnp.iscomplexobj(value)
    )


def check_nonnegative(**given: object) -> None:
    """Raise ValueError for a keyword that is a plain number and negative or NaN."""
    check_numbers(**given)
    for name, value in given.items():
        if is_static_number(value) and not float(value) >= 0:
            raise ValueError(f"{name} must be a number >= 0, got {value}")


def check_decay_rates(**given: object) -> None:
    """Raise TypeError for a keyword that is no number and no array, ValueError outside [0, 1)."""
    check_constants(**given)
    for name, value in given.items():
        if is_static_number(value) and not 0 <= float(value) < 1:
            raise ValueError(f"{name} must be a number with 0 <= {name} < 1, got {value}")


def warn_of_large_decay(
    weight_decay: Schedule, schedule: Schedule = 1.0, learning_rate: Schedule | None = None
) -> None:
    """Warn if plain numbers have λη ≥ 0.1, a tenth of every weight per step.

    Args:
      weight_decay: λ of a function that the caller's caller called; the warning names its line.
      schedule: Multiplier η_t of λ; nothing is known of a callable, so it does not warn.
      learning_rate: Learning rate α to name, None where the function has none.
    """
    if not (is_static_number(weight_decay) and is_static_number(schedule)):
        return
    decay, share = float(weight_decay), float(weight_decay) * float(schedule)
    if not share >= 0.1:
        return
    known = is_static_number(learning_rate)
    alpha = f"{float(learning_rate):g}" if known else "learning_rate"
    warnings.warn(
        f"λ = weight_decay = {decay:g} is large: it is per step (λη = {share:.3g}), and is not multiplied by "
        f"the learning rate{f' α = {alpha}' if known else ''}. For the weight_decay of optax.adamw, write "
        f"weight_decay=adamprox.from_optax({decay:g}, {alpha})",
        UserWarning,
        stacklevel=3,
    )


def one_mask(mask: Mask | None, weight_decay_mask: Mask | None) -> Mask | None:
    """Return the one of two names of an argument that was given; raise ValueError for both."""
    if mask is not None and weight_decay_mask is not None:
        raise ValueError("mask and weight_decay_mask are two names of one argument; pass only one")
    return weight_decay_mask if mask is None else mask


def check_mask(mask: Mask | None) -> None:
    """Refuse a mask that is a text; warn of one that is True or False for all parameters.

    ``optax.inject_hyperparams`` makes a bool of a callable: it calls the mask with the step count as
    if it were a schedule.
    """
    if isinstance(mask, str):
        raise TypeError(f"mask must be a pytree of booleans or a callable, got {mask!r}")
    if isinstance(mask, bool | np.bool_):
        hint = "for a callable mask, pass static_args=('mask',) to optax.inject_hyperparams"
        warnings.warn(f"mask is {mask} for every parameter; {hint}", UserWarning, stacklevel=4)


def check_floating(updates: Any, params: Any) -> None:
    """Raise TypeError for integer parameters with an update: a proximal step would round them."""

    def check(path, u, p):
        if u is None:
            return
        if not jnp.issubdtype(kind := jnp.result_type(p), jnp.inexact):
            place = jax.tree_util.keystr(path, simple=True, separator="/") or "params"
            raise TypeError(f"proximal steps need floating-point parameters, got {kind} at {place}")

    jax.tree_util.tree_map_with_path(check, updates, params, is_leaf=lambda x: x is None)


def positive_count(name: str, value: Any) -> Any:
    """Return a positive integer as an int, and a traced one as it is; raise ValueError for others."""
    traced = isinstance(value, Tracer) and not value.shape
    if traced and jnp.issubdtype(value.dtype, jnp.integer):
        return value
    return positive_integer(name, value)
