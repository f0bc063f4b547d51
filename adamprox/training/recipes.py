"""Optimizers of training runs by name: a direction and the regularizer that follows it.

The chain of the two is the optimizer of the same name in `adamprox.optimizers`; the tests compare
them. Training records the magnitudes of the direction alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from adamprox import prox
from adamprox.metric import proxgen, scale_free_adam_l2
from adamprox.optimizers import adam_direction
from adamprox.training.imported import imported
from adamprox.training.rotation import balance_rotation
from adamprox.training.second_moment import CLIP_AT, equal_betas, restarted, short_memory
from adamprox.transforms import add_l2_gradient, decay_weights, proximal


class Recipe(NamedTuple):
    """An optimizer in two parts.

    Attributes:
      direction: Transformation of the gradient into a step, including the learning rate.
      regularizer: Transformation that decays or shrinks the parameters after that step.
    """

    direction: optax.GradientTransformation
    regularizer: optax.GradientTransformation = optax.identity()


Direction = Callable[[Any], optax.GradientTransformation]


def _l2_then(direction: Direction, *before: optax.GradientTransformation):
    """Return a recipe with the regularizer's gradient, added after ``before``."""
    return lambda alpha, weight_decay: Recipe(
        optax.chain(*before, add_l2_gradient(weight_decay), direction(alpha))
    )


def _then(
    regularizer: Callable[[Any], optax.GradientTransformation],
    direction: Direction = adam_direction,
    *before: optax.GradientTransformation,
):
    """Return a recipe with the regularizer after the step."""
    return lambda alpha, weight_decay: Recipe(
        optax.chain(*before, direction(alpha)), regularizer(weight_decay)
    )


def _sgd(alpha) -> optax.GradientTransformation:
    return optax.chain(optax.trace(decay=0.9), optax.scale_by_learning_rate(alpha))


def _balanced(typical) -> Callable[[Any], optax.GradientTransformation]:
    return lambda alpha: optax.chain(adam_direction(alpha), balance_rotation(typical))


_clip = optax.clip_by_global_norm(CLIP_AT)

RECIPES: dict[str, Callable[[Any, Any], Recipe]] = {
    "sgd": _l2_then(_sgd),  # with momentum 0.9 and the regularizer in the gradient, as in §4.1
    "adam_l2": _l2_then(adam_direction),
    "adamw": _then(decay_weights),
    "adamprox": _then(lambda weight: proximal(prox.squared_l2, weight)),
    "adamprox_l2": _then(lambda weight: proximal(prox.l2, weight)),
    "adamprox_l1": _then(lambda weight: proximal(prox.l1, weight)),
    # The group lasso over output channels; the weight √size makes λ comparable to that of ℓ1.
    "adamprox_group": _then(
        lambda weight: proximal(prox.per_output_channel(prox.size_weighted(prox.l2)), weight)
    ),
    # Controls: moments in which a huge first gradient decays earlier, or is clipped.
    "adam_l2_short_memory": _l2_then(short_memory),
    "adamw_short_memory": _then(decay_weights, short_memory),
    "adam_l2_restarted": _l2_then(restarted),
    "adamw_restarted": _then(decay_weights, restarted),
    "adam_l2_clipped": _l2_then(adam_direction, _clip),
    "adamw_clipped": _then(decay_weights, adam_direction, _clip),
    # Changes of both optimizers: both moments decay equally fast.
    "adam_l2_equal_betas_0.9": _l2_then(equal_betas(0.9)),
    "adamw_equal_betas_0.9": _then(decay_weights, equal_betas(0.9)),
    "adam_l2_equal_betas_0.95": _l2_then(equal_betas(0.95)),
    "adamw_equal_betas_0.95": _then(decay_weights, equal_betas(0.95)),
    # Controls: all neurons turn equally fast, at the mean or the median of their rates.
    "adam_l2_balanced": _l2_then(_balanced(jnp.nanmean)),
    "adamw_balanced": _then(decay_weights, _balanced(jnp.nanmean)),
    "adam_l2_balanced_median": _l2_then(_balanced(jnp.nanmedian)),
    "adamw_balanced_median": _then(decay_weights, _balanced(jnp.nanmedian)),
    # AdamProx in Adam's own metric; its direction includes the shrinkage.
    "proxgen": lambda alpha, weight_decay: Recipe(proxgen(alpha, prox.squared_l2, weight_decay)),
    "scale_free_adam_l2": lambda alpha, weight_decay: Recipe(
        scale_free_adam_l2(alpha, weight_decay=weight_decay)
    ),
}
"""Name of the optimizer to ``(α, λ) -> Recipe``."""

ELEMENTWISE = {
    "sgd", "adam_l2", "adamw", "adamprox", "adamprox_l1", "adam_l2_short_memory",
    "adamw_short_memory", "adam_l2_restarted", "adamw_restarted", "adam_l2_equal_betas_0.9",
    "adamw_equal_betas_0.9", "adam_l2_equal_betas_0.95", "adamw_equal_betas_0.95", "proxgen",
    "scale_free_adam_l2",
}  # fmt: skip
"""Element-wise optimizers. An accelerator gives them one vector of all parameters in place of a pytree;
an optimizer with norms of layers would compute something else on that vector."""


def recipe_of(name: str) -> Callable[[Any, Any], Recipe]:
    """Return the recipe of an optimizer; all of an imported one is its direction.

    Args:
      name: A key of `RECIPES`, or a name of `adamprox.training.imported`.
    """
    if name in RECIPES:
        return RECIPES[name]
    make = imported(name)
    return lambda alpha, weight_decay: Recipe(make(learning_rate=alpha, weight_decay=weight_decay))
