"""Checks of values that come from a caller or a file; traced values pass unchecked."""

import difflib
import math
import operator
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def as_integer(value: object) -> int | None:
    """Return an integer of Python or NumPy as an int, and None for a bool or any other type.

    Args:
      value: Object of any type.

    Returns:
      An int or None.

    Example:
      >>> import numpy as np
      >>> as_integer(np.int64(3)), as_integer(3.0), as_integer(True)
      (3, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return None


def is_integer(value: object, low: int, high: float = math.inf) -> bool:
    """Return True for a whole number, Python's or NumPy's, from ``low`` to ``high``."""
    number = as_integer(value)
    return number is not None and low <= number <= high


def is_known(value: object) -> bool:
    """Return True for a Python or NumPy number or array: a check may look at it while JAX traces."""
    return isinstance(value, int | float | np.number | np.ndarray) and not isinstance(value, bool)


def positive_integer(name: str, value: object) -> int:
    """Return ``value`` as an int; raise ValueError if it is not an integer from 1 to 2³¹ − 1."""
    if not is_integer(value, 1, 2**31 - 1):
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return operator.index(value)  # pyright: ignore[reportArgumentType]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question to end a message with, "" where none of ``names`` is like ``name``.

    Example:
      >>> did_you_mean("fig1", ["fig01", "fig04", "fig12"]), did_you_mean("x", ["fig03"])
      ('; did you mean fig01?', '')
    """

    def plain(text: str) -> str:  # fig1 and fig01 are one
        return re.sub(r"0+(?=\d)", "", text.lower())

    known = list(names)
    same = [each for each in known if plain(each) == plain(name)]
    near = same or difflib.get_close_matches(name.lower(), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def fits(record: Mapping[str, Any], columns: Mapping[str, tuple[Sequence[int], Any]]) -> bool:
    """Return True if a record has columns of these shapes and types.

    Args:
      record: Any record.
      columns: Shape and type of each column, by name. The shape has the lengths of the nested
        lists; it is () for a plain value. The type ``float`` allows integers too, a union can allow
        None.

    Example:
      >>> record = {"error": [0.5, None], "seed": 0}
      >>> fits(record, {"error": ((2,), float | None), "seed": ((), int)})
      True
      >>> fits(record, {"error": ((3,), float | None)}), fits(record, {"loss": ((), float)})
      (False, False)
    """
    return all(
        name in record and _fits(record[name], tuple(shape), _types(kind))
        for name, (shape, kind) in columns.items()
    )


def _types(kind: Any) -> tuple[type, ...]:
    types = typing.get_args(kind) or (kind,)
    return (*types, int) if float in types else types


def _fits(value: Any, shape: tuple[int, ...], types: tuple[type, ...]) -> bool:
    if not shape:  # a bool does not count as an int, and an int must be exact as a float
        return type(value) in types and (type(value) is not int or abs(value) <= 2**53)
    inside = isinstance(value, list) and len(value) == shape[0]
    return inside and all(_fits(v, shape[1:], types) for v in value)
