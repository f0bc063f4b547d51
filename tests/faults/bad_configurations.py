"""Runs that cannot be trained: refused before anything is written, with argument, value and what is allowed."""

from collections.abc import Iterator
from typing import Any

from adamprox.training import TrainingRun
from tests.faults.case import Case, Finding, Outcome, Setting

_FLOAT = ("x", None, float("nan"), float("inf"), -1.0, [1.0], 1j)
_WHOLE = ("x", None, 1.5, float("nan"), -1, True, [1])
BAD: dict[str, tuple[Any, ...]] = {
    "dataset": ("mnist", "", None, ["digits"], "../digits"),
    "network": ("vgg", "", None, ["resnet"]),
    "optimizer": ("adam", "", None, {}),
    "compute_dtype": ("float16", None, float),
    "depth": ("20", 21, 0, -8, 20.0, True, None),
    "image_size": (0, 3, 16, 4.0, "4"),
    "train_size": (0, 513, 1.5, "all", True),
    "validation_size": (*_WHOLE, 512),
    "batch_norm": ("no", 1, None),
    "augment": ("yes", 0, None),
    "skip_init": ("yes", 0, None),
    "init_scale": (*_FLOAT, 0.0),
    "evaluate_train": ("yes", 0, None),
    "learning_rate": (*_FLOAT, 0.0),
    "weight_decay": _FLOAT,
    "loss_multiplier": (*_FLOAT, 0.0),
    "epochs": (*_WHOLE, 0, 2**31),
    "batch_size": (*_WHOLE, 0, 2**31),
    "evaluate_every": (*_WHOLE, 0, 2**31),
    "seed": (*_WHOLE, 2**31),
    "init_seed": (*_WHOLE, 2**31),
    "validation_seed": (*_WHOLE, 2**31),
    "statistics_groups": (0, 2, 3, "2", 1.0),
}


def cells(setting: Setting) -> Iterator[Finding]:
    """One bad value at a time."""
    for name, values in BAD.items():
        for value in values:
            yield _refused(name, value)


def _refused(name: str, value: Any) -> Finding:
    try:
        TrainingRun.of(**{name: value}).check()
    except ValueError as error:
        text = str(error)
        good = name in text and f"{value}" in text and "must be" in text and "\n" not in text
        return Finding(Outcome.REFUSED if good else Outcome.LOST, f"{name}={value!r}: {text}")
    except Exception as error:
        return Finding(Outcome.LOST, f"{name}={value!r}: {error!r}")
    return Finding(Outcome.LOST, f"{name}={value!r} was accepted")


CASES = [Case("runs: a value that cannot be trained", cells)]
