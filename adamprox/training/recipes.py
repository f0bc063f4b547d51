"""The optimizers a cell can name, each with its update histogram recorded on the way.

A recipe is the chain of `adamprox.optimizers` with `update_histogram` around the regularizer; the
tests hold every one to the optimizer it is named after.
"""

from collections.abc import Callable
from typing import Any

import optax

from adamprox import prox
from adamprox.histograms import update_histogram
from adamprox.metric import proxgen
from adamprox.optimizers import adam_direction
from adamprox.training.forgetting import CLIP_AT, restarted, short_memory
from adamprox.transforms import add_l2_gradient, decay_weights, proximal

Direction = Callable[[Any], optax.GradientTransformation]
Recipe = Callable[[Any, Any, int], optax.GradientTransformation]


def _l2_then(direction: Direction, *before: optax.GradientTransformation) -> Recipe:
    """The regularizer in the gradient, after ``before`` has seen that of the loss alone."""
    return lambda alpha, weight_decay, every: optax.chain(
        *before,
        add_l2_gradient(weight_decay),
        direction(alpha),
        update_histogram(scale=alpha, every=every),
    )


def _then(
    regularizer: Callable[[Any], optax.GradientTransformation],
    direction: Direction = adam_direction,
    *before: optax.GradientTransformation,
) -> Recipe:
    """The regularizer after the step."""
    return lambda alpha, weight_decay, every: optax.chain(
        *before,
        direction(alpha),
        update_histogram(regularizer(weight_decay), scale=alpha, every=every),
    )


def _sgd(alpha, weight_decay, every):
    return optax.chain(
        add_l2_gradient(weight_decay),
        optax.trace(decay=0.9),
        optax.scale_by_learning_rate(alpha),
        update_histogram(scale=alpha, every=every),
    )


def _proxgen(alpha, weight_decay, every):
    """AdamProx in Adam's own metric; its histogram counts the decay too, which is inside."""
    return optax.chain(
        proxgen(alpha, prox.squared_l2, weight_decay), update_histogram(scale=alpha, every=every)
    )


_clip = optax.clip_by_global_norm(CLIP_AT)

RECIPES: dict[str, Recipe] = {
    "sgd": _sgd,  # with momentum 0.9 and the regularizer in the gradient, as in §4.1
    "adam_l2": _l2_then(adam_direction),
    "adamw": _then(decay_weights),
    "adamprox": _then(lambda weight: proximal(prox.squared_l2, weight)),
    "adamprox_l2": _then(lambda weight: proximal(prox.l2, weight)),
    "adamprox_l1": _then(lambda weight: proximal(prox.l1, weight)),
    # The group lasso: output channels, weighted by √size so that λ means the same as in l1.
    "adamprox_group": _then(
        lambda weight: proximal(prox.per_output_channel(prox.size_weighted(prox.l2)), weight)
    ),
    # Controls: moments that forget a huge first gradient, or never see one.
    "adam_l2_short_memory": _l2_then(short_memory),
    "adamw_short_memory": _then(decay_weights, short_memory),
    "adam_l2_restarted": _l2_then(restarted),
    "adamw_restarted": _then(decay_weights, restarted),
    "adam_l2_clipped": _l2_then(adam_direction, _clip),
    "adamw_clipped": _then(decay_weights, adam_direction, _clip),
    "proxgen": _proxgen,
}
"""Name of the optimizer to ``(α, λ, steps between histograms) -> transformation``."""
