"""What a number given by a caller is, asked without touching traced values."""

import operator


def as_integer(value: object) -> int | None:
    """The int that ``value`` is, be it Python's or NumPy's; None for any other type, and for a bool.

    Args:
      value: Anything.

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


def positive_integer(name: str, value: object) -> int:
    """Return ``value`` as an int; ValueError if it is no whole number from 1 to 2³¹ − 1, as counters are."""
    number = as_integer(value)
    if number is None or not 1 <= number < 2**31:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return number
