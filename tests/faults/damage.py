"""Ways in which a file is hurt."""

import functools
import pathlib
import random
from collections.abc import Callable

from tests.faults.case import Setting

Damage = Callable[[pathlib.Path, random.Random], None]
"""Hurts a file, somewhere drawn at random."""


def truncate(path: pathlib.Path, moments: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: moments.randrange(len(data))] if data else b"")


def zero(path: pathlib.Path, moments: random.Random) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def zero_a_part(path: pathlib.Path, moments: random.Random) -> None:
    """As a file system does with a block that it had no time to write."""
    data = bytearray(path.read_bytes())
    start = moments.randrange(len(data)) if data else 0
    length = min(len(data) - start, 512)
    data[start : start + length] = bytes(length)
    path.write_bytes(data)


def flip(path: pathlib.Path, moments: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[moments.randrange(len(data))] ^= 1 << moments.randrange(8)
    path.write_bytes(data)


def empty(path: pathlib.Path, moments: random.Random) -> None:
    path.write_bytes(b"")


def delete(path: pathlib.Path, moments: random.Random) -> None:
    path.unlink()


def replace(path: pathlib.Path, moments: random.Random, by: pathlib.Path) -> None:
    """Put an intact file of the same kind in its place."""
    path.write_bytes(by.read_bytes())


DAMAGES: dict[str, tuple[Damage, int]] = {
    "truncated": (truncate, 8),
    "all zeros": (zero, 1),
    "a block of zeros": (zero_a_part, 8),
    "a bit flipped": (flip, 40),
    "emptied": (empty, 1),
    "deleted": (delete, 1),
}
"""Kinds of damage to a file, each with its function and the number of places to try."""


def damages(name: str, setting: Setting, repeats: int = 1) -> list[Damage]:
    """The damages of one name, in as many places as are worth it, ``repeats`` times over.

    Where not all is tried there is one repeat, and of files that are slow to try, one place.
    """
    damage, places = DAMAGES[name]
    if setting.thorough:
        return [damage] * (places * repeats)
    return [damage] * (places if repeats > 1 else 1)


def replaced_by(path: pathlib.Path) -> Damage:
    """The damage of having the content of ``path``."""
    return functools.partial(replace, by=path)
