"""Optimizers of users: functions (learning_rate, weight_decay) in modules of their own.

A run names such an optimizer ``module:function#digest``. The digest is a hash of the module's file, and of the
file that defines the function if that is another one. After a change of either file the name is
another one, and the run is executed again. Changes of other modules that these files import do not count.
"""

import functools
import hashlib
import importlib
import inspect
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any

import optax

from adamprox.interruption import was_interrupted

Maker = Callable[..., optax.GradientTransformation]
"""Function of the keywords ``learning_rate``, α, and ``weight_decay``, λ."""
_SOURCES: dict[str, bytes] = {}
"""Source of each module of an optimizer when this process first used it, by the module's name."""
NAME = re.compile(r"([\w.]+):([\w.]+)#[0-9a-f]{12}")
"""Names of imported optimizers."""


def optimizer_name(reference: str) -> str:
    """Return the name by which runs know an optimizer.

    Args:
      reference: Module and function, as in ``mymodule:make_tx``. The module is one that can be imported,
        in worker processes too.

    Raises:
      ValueError: There is no such function, it cannot be called with the keywords ``learning_rate`` and
        ``weight_decay`` alone, or its module has no source file.

    Example:
      >>> optimizer_name("optax:lion").startswith("optax:lion#")
      True
    """
    module, _, function = reference.partition(":")
    if not re.fullmatch(r"[\w.]+:[\w.]+", reference):
        raise ValueError(f"optimizer must be MODULE:FUNCTION, got {reference!r}")
    try:
        found, files = _resolve(module, function)
    except (Exception, SystemExit) as error:  # a module can raise anything
        if was_interrupted(error):
            raise
        raise ValueError(
            f"optimizer must be a function that can be imported, got {reference!r} "
            f"({type(error).__name__}: {error})"
        ) from error
    if not callable(found):
        raise ValueError(f"optimizer must be a function, got {reference!r} ({found!r})")
    _check_keywords(reference, found)
    if not all(file and pathlib.Path(file).is_file() for file in files):
        raise ValueError(f"optimizer must have a source file, got {reference!r}")
    # Sorted by content: the same files in another folder have the same digest.
    contents = sorted(pathlib.Path(file).read_bytes() for file in filter(None, files))
    return f"{reference}#{hashlib.sha256(b''.join(contents)).hexdigest()[:12]}"


def _resolve(module: str, function: str) -> tuple[Any, set[str | None]]:
    """Return a function and its source files; a module that was edited since is loaded again.

    So is the module that takes the function from an edited one.
    """
    while True:
        found: Any = importlib.import_module(module)
        homes: list[Any] = [found]
        files = {inspect.getsourcefile(found)}
        for part in function.split("."):
            found = getattr(found, part)
        if inspect.isfunction(plain := inspect.unwrap(found)):
            files.add(inspect.getsourcefile(plain))
            homes = list(dict.fromkeys([sys.modules.get(plain.__module__, homes[0]), *homes]))
        edited = [_source(h) != _SOURCES.setdefault(h.__name__, _source(h)) for h in homes]
        if not any(edited):
            return found, files
        for home in homes[edited.index(True) :]:
            source = _source(home)
            importlib.reload(home)  # if this fails, the next call tries again
            _SOURCES[home.__name__] = source


def _source(module: Any) -> bytes:
    file = inspect.getsourcefile(module)
    return pathlib.Path(file).read_bytes() if file else b""


def _check_keywords(reference: str, function: Callable[..., Any]) -> None:
    """Refuse a function that does not take α and λ by their keywords, or needs more arguments."""
    try:
        inspect.signature(function).bind(learning_rate=1e-3, weight_decay=1e-4)
    except (TypeError, ValueError) as error:  # ValueError: a builtin without a signature
        raise ValueError(
            "optimizer must be a function of the keywords learning_rate and weight_decay alone, "
            f"got {reference!r} ({error})"
        ) from None


@functools.cache
def imported(name: str) -> Maker:
    """Return the function with this name.

    Raises:
      ValueError: The function cannot be imported, or its source has changed since it got the name.
    """
    reference = name.partition("#")[0]
    if (now := optimizer_name(reference)) != name:
        raise ValueError(f"optimizer {name} has changed, it is {now} now; repeat the command")
    module, _, function = reference.partition(":")
    found: Any = importlib.import_module(module)
    return functools.reduce(getattr, function.split("."), found)
