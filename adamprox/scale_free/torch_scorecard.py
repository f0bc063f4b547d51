"""The scorecard of PyTorch optimizers: torch, timm and pytorch_optimizer, where installed."""

import importlib
import importlib.metadata
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

from adamprox.scale_free import torch
from adamprox.scale_free.catalogue import Entry
from adamprox.scale_free.certify import scale_freeness
from adamprox.scale_free.probe import default_params
from adamprox.scale_free.result import Verdict
from adamprox.scale_free.scorecard import Row, scorecard, table

LIBRARIES = ("torch", "timm", "pytorch_optimizer")
HEADER = """\
# Which PyTorch optimizers are scale-free?

`python -m adamprox.scale_free --torch` wrote this table for {versions}. The columns are those of the
[scorecard of Optax](scale_free_scorecard.md). Each optimizer has its default arguments, a learning rate of 0.01 and no weight
decay. {tested} of {count} could be tested. [PyTorch optimizers](torch_optimizers.md) reproduces the surprises.

Kron is left out, because its test takes minutes, and so are optimizers that need kernels of another package.
"""
# They need kernels of another package, or minutes for a certificate.
_LEFT_OUT = ("bnb", "fused", "kron")

_NOTES = {
    "A constant of 1e-15 inside the root acts as an ε.": (
        "pytorch_optimizer.",
        "adamc adanorm adapnm aida diffgrad laprop mars schedulefreeadamw swats",
    ),
    "ε is added before bias correction, and is 32 ε in the first step.": (
        "pytorch_optimizer.",
        "adamp adamwsn apollo fira galore spam",
    ),
    "A clamp of 1e-3 on a mean of squares changes β₁ below gradients of about 0.03.": (
        "pytorch_optimizer.",
        "adai",
    ),
    "Gradients are clipped to a global norm of 1.": (
        "timm.",
        "clamb clambw lamb lambc lambcd lambcw lambw",
    ),
    "The second moment starts at 1.": ("timm.", "crmsproptf rmsproptf rmsproptfc rmsproptfw"),
}
NOTES = {
    library + name: note for note, (library, names) in _NOTES.items() for name in names.split()
}


def torch_entries() -> list[Entry]:
    """Return a row for every optimizer of the installed libraries."""
    found = []
    for library in LIBRARIES:
        try:
            found += list(_FINDERS[library]())
        except ImportError:
            continue
    return found


def torch_scorecard(
    chosen: list[Entry] | None = None, report: Callable[[Row], Any] = lambda row: None
) -> list[Row]:
    """Certify PyTorch optimizers one after the other.

    An optimizer that fails on the default parameters is tested on fewer: without the scalar,
    then on the matrix alone.

    Args:
      chosen: Entries to certify; None means all.
      report: Callback for every row when it is done.

    Returns:
      The rows, in order.
    """
    logging.disable(logging.WARNING)
    rows = scorecard(torch_entries() if chosen is None else chosen, report, _certify)
    logging.disable(logging.NOTSET)
    return rows


def torch_markdown(rows: list[Row]) -> str:
    """Return the scorecard as a Markdown page."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in LIBRARIES
        if any(row.entry.name.startswith(f"{name}.") for row in rows)
    )
    tested = sum(row.result.verdict is not Verdict.NOT_TESTED for row in rows)
    header = HEADER.format(versions=versions, tested=tested, count=len(rows))
    return "\n".join([header, *table(rows)]) + "\n"


def _certify(entry: Entry) -> Row:
    """Return the first result that is a verdict, from all parameters or from fewer."""
    params = default_params()
    attempts = (
        ("", params),
        ("Tested without a scalar.", {k: v for k, v in params.items() if k != "scalar"}),
        ("Tested on a matrix alone.", {"matrix": params["matrix"]}),
    )
    results = []
    for remark, given in attempts:
        results.append(scale_freeness(entry.make(), params=given))
        if results[-1].verdict is not Verdict.NOT_TESTED:
            return Row(entry, results[-1], f"{NOTES.get(entry.name, '')} {remark}".strip())
    return Row(entry, results[0])


def _entry(name: str, build: Callable[..., Any], parameters: Any) -> Entry:
    """Return a row for ``build(params, lr, weight_decay)``, with the arguments that it accepts."""
    wanted = {"lr": 0.01, "weight_decay": 0.0}
    arguments = {k: v for k, v in wanted.items() if k in parameters}
    text = ", ".join(f"{k}={v}" for k, v in arguments.items())
    return Entry(name, text, lambda: torch.optimizer(lambda params: build(params, **arguments)))


def _of_torch() -> Iterator[Entry]:
    optim = importlib.import_module("torch.optim")
    for name in sorted(vars(optim)):
        kind = getattr(optim, name)
        if (
            inspect.isclass(kind)
            and issubclass(kind, optim.Optimizer)
            and kind is not optim.Optimizer
        ):
            yield _entry(f"torch.{name}", kind, inspect.signature(kind).parameters)


def _of_timm() -> Iterator[Entry]:
    optim = importlib.import_module("timm.optim")
    for name in sorted(optim.list_optimizers()):
        if not name.startswith(_LEFT_OUT):
            yield _entry(
                f"timm.{name}",
                lambda params, name=name, **given: optim.create_optimizer_v2(params, name, **given),
                ("lr", "weight_decay"),
            )


def _of_pytorch_optimizer() -> Iterator[Entry]:
    library = importlib.import_module("pytorch_optimizer")
    for name in sorted(library.get_supported_optimizers()):
        if name.startswith(_LEFT_OUT):
            continue
        try:
            kind = library.load_optimizer(name)
        except Exception:  # it needs another package
            continue
        yield _entry(f"pytorch_optimizer.{name}", kind, inspect.signature(kind).parameters)


_FINDERS = {
    "torch": _of_torch,
    "timm": _of_timm,
    "pytorch_optimizer": _of_pytorch_optimizer,
}
