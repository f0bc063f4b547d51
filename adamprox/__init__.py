"""Proximal, scale-free optimizers for Optax, with networks, data and training to reproduce their paper.

>>> import adamprox
>>> tx = adamprox.adamprox(learning_rate=1e-3, weight_decay=1e-4)

This module imports only jax, optax and chex. `adamprox.models`, `adamprox.data` and the other parts
of the reproduction load at first use and need the ``experiments`` extra.
"""

import importlib

from adamprox import prox as prox
from adamprox.adagrad import adagrad as adagrad
from adamprox.adagrad import adagrad_with_restarts as adagrad_with_restarts
from adamprox.chains import check_chain as check_chain
from adamprox.decays import cautious_decay as cautious_decay
from adamprox.decays import corrected_decay as corrected_decay
from adamprox.decays import decay_to_init as decay_to_init
from adamprox.decays import huber_decay as huber_decay
from adamprox.dual_averaging import dual_averaging as dual_averaging
from adamprox.finite import finite as finite
from adamprox.fista import fista as fista
from adamprox.histograms import update_histogram as update_histogram
from adamprox.metric import proxgen as proxgen
from adamprox.metric import scale_free_adam_l2 as scale_free_adam_l2
from adamprox.migration import from_optax as from_optax
from adamprox.migration import from_optax_state as from_optax_state
from adamprox.migration import from_torch as from_torch
from adamprox.moments import scale_by_adam as scale_by_adam
from adamprox.optimizers import adam_direction as adam_direction
from adamprox.optimizers import adam_l2 as adam_l2
from adamprox.optimizers import adamprox as adamprox
from adamprox.optimizers import adamprox_l1 as adamprox_l1
from adamprox.optimizers import adamprox_l2 as adamprox_l2
from adamprox.optimizers import adamw as adamw
from adamprox.quantization import hardening as hardening
from adamprox.quantization import straight_through as straight_through
from adamprox.scale_free import scale_freeness as scale_freeness
from adamprox.transforms import add_l2_gradient as add_l2_gradient
from adamprox.transforms import decay_weights as decay_weights
from adamprox.transforms import proximal as proximal

__version__ = "0.1.0"

_LAZY = ("data", "models", "problems", "report", "sweep", "training")


def __getattr__(name: str):
    if name in _LAZY:
        return importlib.import_module(f"adamprox.{name}")
    raise AttributeError(f"module 'adamprox' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
