"""Optimizers that the scorecard tests, with their arguments."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import optax
import optax.contrib

from adamprox import optimizers
from adamprox.scale_free.probe import default_params

LEARNING_RATE = 0.01
WEIGHT_DECAY = 0.01
_RATES = ("learning_rate", "max_learning_rate")
_DECAYS = ("weight_decay", "weight_decay_rate")
_WRAPPERS = ("lookahead", "mechanize", "sam")  # wrappers without a learning rate
MEMBERS = ("adam_l2", "adamw", "adamprox", "adamprox_l2", "adamprox_l1")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row of the scorecard, before it is tested.

    Attributes:
      name: Public name without ``optax.``, such as ``adamw``, ``contrib.muon``, ``adamprox.adamw``.
      arguments: Source text of the arguments.
      make: Function that builds the optimizer.
      params: Parameters for the test, None for the default.
    """

    name: str
    arguments: str
    make: Callable[[], Any]
    params: Any = None


@dataclasses.dataclass(frozen=True)
class _Written:
    """An argument that is not a number, and its source text."""

    value: Any
    text: str


_SGD = _Written(optax.sgd(LEARNING_RATE), f"sgd({LEARNING_RATE})")
_STEP_TO_ADVERSARY = _Written(
    optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), "chain(normalize(), sgd(0.05))"
)

# Arguments that an alias needs besides a learning rate, or needs to move within twelve steps.
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "adafactor": {"learning_rate": LEARNING_RATE, "min_dim_size_to_factor": 2},
    "lookahead": {"fast_optimizer": _SGD, "sync_period": 2, "slow_step_size": 0.5},
    "noisy_sgd": {"key": _Written(0, "0")},
    "contrib.dadapt_adamw": {"estim_lr0": 0.01},
    "contrib.dog": {"init_step": ("heuristic", 0.01)},
    "contrib.dpsgd": {"l2_norm_clip": 1.0, "noise_multiplier": 0.1, "seed": 0},
    "contrib.galore": {"rank": 2},
    "contrib.mechanize": {"base_optimizer": _SGD, "s_init": 0.01},
    "contrib.prodigy": {"estim_lr0": 0.01},
    "contrib.sam": {"optimizer": _SGD, "adv_optimizer": _STEP_TO_ADVERSARY},
    "contrib.schedule_free": {"base_optimizer": _SGD},
}
# Arguments of additional rows.
_VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "adam": ({"eps": 0.0},),
    "adamw": (
        {"eps": 0.0, "weight_decay": WEIGHT_DECAY},
        {"eps": 0.0, "b1": 0.95, "b2": 0.95, "weight_decay": WEIGHT_DECAY},
    ),
    "adagrad": ({"eps": 0.0, "initial_accumulator_value": 0.0},),
    "lbfgs": ({"learning_rate": LEARNING_RATE, "linesearch": None},),
    "rmsprop": ({"eps": 0.0}, {"eps": 0.0, "initial_scale": 1.0}),
    "sgd": ({"momentum": 0.9},),
}


def optax_aliases() -> dict[str, Callable[..., Any]]:
    """Return every optimizer of the installed Optax: public functions with a learning rate.

    Wrappers of another optimizer count as optimizers, transformations (``scale_by_…``) do not.

    Returns:
      Functions by name; names from ``optax.contrib`` start with ``contrib.``.

    Example:
      >>> names = optax_aliases()
      >>> print("adamw" in names, "contrib.muon" in names, "scale_by_adam" in names)
      True True False
    """
    found = {}
    for prefix, module in (("", optax), ("contrib.", optax.contrib)):
        for name in sorted(dir(module)):
            function = getattr(module, name)
            private = name.startswith(("_", "scale_by_"))
            if private or inspect.isclass(function) or not callable(function):
                continue
            if name in _WRAPPERS or set(_RATES) & set(_parameters(function)):
                found[prefix + name] = function
    return found


def entries() -> list[Entry]:
    """Return all rows: every alias with and without weight decay, variants, and `MEMBERS`."""
    rows = []
    for name, function in optax_aliases().items():
        for arguments in _alias_arguments(name, function):
            rows.append(_entry(name, function, arguments))
    return rows + list(_members())


def _alias_arguments(name: str, function: Callable[..., Any]) -> list[dict[str, Any]]:
    """Return the sets of arguments for the tests of an alias."""
    parameters = _parameters(function)
    needed = {}
    if "learning_rate" in parameters and parameters["learning_rate"] is inspect.Parameter.empty:
        needed["learning_rate"] = LEARNING_RATE
    common = needed | _ARGUMENTS.get(name, {})
    decay = next((d for d in _DECAYS if d in parameters), None)
    if decay is None:
        found = [common]
    else:
        without = None if parameters[decay] is None else 0.0
        found = [{**common, decay: without}, {**common, decay: WEIGHT_DECAY}]
    return found + [{**common, **variant} for variant in _VARIANTS.get(name, ())]


def _members() -> Iterator[Entry]:
    """Yield the optimizers of this package with two values of ε; Adam-ℓ2 also without decay."""
    for name in MEMBERS:
        for eps in (1e-8, 0.0):
            for decay in (0.0, WEIGHT_DECAY) if name == "adam_l2" else (WEIGHT_DECAY,):
                arguments = {"learning_rate": LEARNING_RATE, "eps": eps, "weight_decay": decay}
                yield _entry(f"adamprox.{name}", getattr(optimizers, name), arguments)


def _entry(name: str, function: Callable[..., Any], arguments: dict[str, Any]) -> Entry:
    """Return a row, with its arguments as source text."""
    text = ", ".join(
        f"{key}={value.text if isinstance(value, _Written) else repr(value)}"
        for key, value in arguments.items()
    )
    plain = {k: v.value if isinstance(v, _Written) else v for k, v in arguments.items()}
    params = {k: v for k, v in default_params().items() if k != "scalar"} if name == "sm3" else None
    return Entry(name, text, lambda: function(**plain), params)


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults of parameters by name; {} for a callable without a signature."""
    try:
        return {k: p.default for k, p in inspect.signature(function).parameters.items()}
    except (TypeError, ValueError):
        return {}
