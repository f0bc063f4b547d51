"""The optimizers a cell can name, each with its update histogram recorded on the way.

A recipe is the chain of `adamprox.optimizers` with `update_histogram` around the regularizer; the
tests hold every one to the optimizer it is named after.
"""

from collections.abc import Callable
from typing import Any

import optax

from adamprox import prox
from adamprox.histograms import update_histogram
from adamprox.optimizers import adam_direction
from adamprox.transforms import add_l2_gradient, decay_weights, proximal

Recipe = Callable[[Any, Any, int], optax.GradientTransformation]


def _adam_l2(alpha, weight_decay, every):
    return optax.chain(
        add_l2_gradient(weight_decay),
        adam_direction(alpha),
        update_histogram(scale=alpha, every=every),
    )


def _sgd(alpha, weight_decay, every):
    return optax.chain(
        add_l2_gradient(weight_decay),
        optax.trace(decay=0.9),
        optax.scale_by_learning_rate(alpha),
        update_histogram(scale=alpha, every=every),
    )


def _adam_then(regularizer: Callable[[Any], optax.GradientTransformation]) -> Recipe:
    return lambda alpha, weight_decay, every: optax.chain(
        adam_direction(alpha),
        update_histogram(regularizer(weight_decay), scale=alpha, every=every),
    )


RECIPES: dict[str, Recipe] = {
    "sgd": _sgd,  # with momentum 0.9 and the regularizer in the gradient, as in §4.1
    "adam_l2": _adam_l2,
    "adamw": _adam_then(decay_weights),
    "adamprox": _adam_then(lambda weight: proximal(prox.squared_l2, weight)),
    "adamprox_l2": _adam_then(lambda weight: proximal(prox.l2, weight)),
    "adamprox_l1": _adam_then(lambda weight: proximal(prox.l1, weight)),
    # The group lasso: output channels, weighted by √size so that λ means the same as in l1.
    "adamprox_group": _adam_then(
        lambda weight: proximal(prox.per_output_channel(prox.size_weighted(prox.l2)), weight)
    ),
}
"""Name of the optimizer to ``(α, λ, steps between histograms) -> transformation``."""
