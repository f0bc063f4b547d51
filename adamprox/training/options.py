"""Options of a run: each is declared once, as a field with a default and a rule for its values."""

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable
from typing import Any

from adamprox.checks import as_integer

Rule = Callable[[str, Any], Any]
"""(name, value) -> the value as it is stored; ValueError for one that is not allowed."""


def option(default: Any, rule: Rule) -> Any:
    """Declare a field of a `Spec`."""
    return dataclasses.field(default=default, metadata={"rule": rule})


@dataclasses.dataclass(frozen=True)
class Spec:
    """Options that belong together; the base of frozen dataclasses.

    Raises:
      ValueError: A value is not allowed; the message names option, value and what is allowed.
    """

    def __post_init__(self):
        """Check every value, and store it in the type that all equal values have."""
        for field in dataclasses.fields(self):
            rule = field.metadata.get("rule", lambda _, value: value)
            object.__setattr__(self, field.name, rule(field.name, getattr(self, field.name)))

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the default of every option."""
        return {field.name: field.default for field in dataclasses.fields(cls)}


def check(name: str, value: object, allowed: bool, what: str) -> None:
    """Raise ValueError that says what an option must be, unless the value is allowed."""
    if not allowed:
        raise ValueError(f"{name} must be {what}, got {value}")


def one_of(allowed: Iterable[str]) -> Rule:
    """Build the rule for a name out of ``allowed``, as it is when a value is checked."""

    def rule(name, value):
        known = isinstance(value, str) and value in tuple(allowed)
        check(name, value, known, f"one of {', '.join(allowed)}")
        return str(value)

    return rule


def flag(name: str, value: Any) -> bool:
    """Check a bool."""
    check(name, value, isinstance(value, bool), "True or False")
    return value


def whole(low: int, what: str | None = None, optional: bool = False) -> Rule:
    """Build the rule for an integer from ``low`` to 2³¹ − 1.

    Args:
      low: Smallest value.
      what: Words for the range.
      optional: True to allow None.
    """
    below = what or "< 2^31"
    what = what or f">= {low}"

    def rule(name, value):
        if value is None and optional:
            return None
        number = as_integer(value)
        if number is None:
            raise ValueError(f"{name} must be a whole number {what}, got {value}")
        check(name, value, number >= low, what)
        check(name, value, number < 2**31, below)
        return number

    return rule


def number(high: str, positive: bool) -> Rule:
    """Build the rule for a float.

    Args:
      high: Limit that a value stays below, as it is shown.
      positive: True to refuse zero, and numbers below 1e-37, where float32 loses precision.
    """
    what = f"{'>' if positive else '>='} 0 and < {high}"

    def rule(name, value):
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        check(name, value, real, "a number")
        try:
            value = float(value) + 0.0  # 0.0 has one sign
        except OverflowError:  # an integer of more than 308 digits: too large in any case
            value = math.inf
        check(name, value, (value > 0 if positive else value >= 0) and value < float(high), what)
        small = positive and value < 1e-37
        check(name, value, not small, ">= 1e-37, because float32 loses precision below")
        return value

    return rule
