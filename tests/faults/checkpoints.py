"""Checkpoints whose files are hurt: the newest state unharmed, the one before it, or a new start."""

import functools
import gc
import pathlib
import shutil
import warnings
from collections.abc import Iterator

import jax.numpy as jnp

from adamprox.training.checkpoints import Checkpoints, digest
from tests.faults.case import Case, Finding, Outcome, Setting
from tests.faults.damage import DAMAGES, Damage, damages, replaced_by

STATE = {"a": jnp.arange(6.0).reshape(2, 3), "b": (jnp.int32(7), jnp.ones(3, jnp.bfloat16))}
HISTORY = [{"epoch": 1, "train_loss": 0.1}, {"epoch": 2, "train_loss": float("nan")}]


def save(folder: pathlib.Path, numbers=(1, 2), identity: str = "this cell") -> Checkpoints:
    """Checkpoints of the states that are ``numbers`` times `STATE`, as a new process finds them."""
    checkpoints = Checkpoints(folder, identity, every=0)
    for number in numbers:
        checkpoints.save(number, {**STATE, "a": STATE["a"] * number}, HISTORY[:number])
    return Checkpoints(folder, identity)


def found(folder: pathlib.Path) -> tuple[int, bool]:
    """The number of the state that comes back, 0 for none, and whether a warning names a path.

    Raises:
      KeyError: It is not what was saved.
    """
    good = {digest({**STATE, "a": STATE["a"] * n}, HISTORY[:n]): n for n in (1, 2)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # Orbax does not wait for other readers
        result = Checkpoints(folder, "this cell").restore(STATE)
        gc.collect()
    named = any(str(folder) in str(warning.message) for warning in caught)
    return good[digest(*result)] if result else 0, named


def judge(folder: pathlib.Path, what: str) -> Finding:
    """Return the outcome of damage to checkpoint 2 of ``folder``."""
    try:
        number, named = found(folder)
    except Exception as error:
        return Finding(Outcome.LOST, f"{what}: {error!r}")
    if number == 2:
        return Finding(Outcome.HARMLESS, what)
    kept = Checkpoints(folder, "this cell").directory / "2"
    return Finding(Outcome.RECOVERED if named or not kept.is_dir() else Outcome.LOST, what)


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """All files below ``folder``, as paths in it."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def hurt(whole: pathlib.Path, name: pathlib.Path, damage: Damage, setting: Setting) -> Finding:
    """Return the outcome for checkpoints like those in ``whole`` with one file damaged."""
    folder = setting.folder / "hurt"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    damage(folder / name, setting.moments)
    return judge(folder, str(name))


def each_file(setting: Setting, damage: str) -> Iterator[Finding]:
    """Every file of the newest checkpoint, damaged alone."""
    whole = setting.folder / "whole"
    save(whole)
    newest = [name for name in files(whole) if name.parts[0] == "2"]
    for name in setting.some(newest, 2):
        for do in damages(damage, setting):
            yield hurt(whole, name, do, setting)


def exchanged(setting: Setting, other: str) -> Iterator[Finding]:
    """Every file of the newest checkpoint, in its place that of another."""
    whole, theirs = setting.folder / "whole", setting.folder / "theirs"
    save(whole)
    save(theirs, (1, 2), "another cell")
    source = {"the one before": whole / "1", "another run": theirs / "2"}[other]
    for name in setting.some([n for n in files(source) if (whole / "2" / n).is_file()], 2):
        yield hurt(whole, "2" / name, replaced_by(source / name), setting)


def all_damaged(setting: Setting) -> Iterator[Finding]:
    """Both checkpoints in one way: nothing comes back, and the run starts anew."""
    for name, (damage, _) in setting.some(list(DAMAGES.items()), 1):
        folder = setting.folder / name
        save(folder)
        for path in (folder / path for path in files(folder)):
            damage(path, setting.moments)
        number, _ = found(folder)
        yield Finding(Outcome.LOST if number else Outcome.RECOVERED, name)


CASES = [
    *(
        Case(f"a file of a checkpoint: {name}", functools.partial(each_file, damage=name))
        for name in DAMAGES
    ),
    Case(
        "a file of a checkpoint: that of the one before",
        functools.partial(exchanged, other="the one before"),
    ),
    Case(
        "a file of a checkpoint: that of another run",
        functools.partial(exchanged, other="another run"),
    ),
    Case("every file of all checkpoints damaged", all_damaged),
]
