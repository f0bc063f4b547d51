"""Trial of an optimizer: two steps of two runs, traced on the shapes of a network without computing."""

import functools

import jax
import jax.numpy as jnp

from adamprox.interruption import was_interrupted
from adamprox.training.specs import Program
from adamprox.training.step import Hyperparameters, TrainState, init_optimizers, update_runs


@functools.cache
def check_optimizer(program: Program) -> None:
    """Refuse an optimizer that does not compile, or whose updates do not fit the parameters.

    α and λ arrive as traced arrays. Several runs train at once, and their states are stacked.

    Args:
      program: Program of one optimizer.

    Raises:
      ValueError: The optimizer raises an error, or changes shapes or dtypes.
    """
    data, names = program.images.expected, 2 * program.optimizers[:1]
    model = program.network.build(data.num_classes)
    image = jax.ShapeDtypeStruct((1, *data.image_shape), jnp.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    two = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape), x.dtype), shapes["params"])

    def step(params, hps):
        state = TrainState({"params": params}, init_optimizers(names, params, hps), 0, 0)
        updates, after, opt_states = update_runs(names, state, params, hps)
        return updates, (params, state.opt_states), (after, opt_states)

    hps = Hyperparameters(*3 * [jax.ShapeDtypeStruct((2,), jnp.float32)])
    try:
        updates, before, after = jax.eval_shape(step, two, hps)
        fits = jax.tree.all(jax.tree.map(lambda p, u: p.shape == u.shape, two, updates))
        same = jax.tree.all(jax.tree.map(_alike, before, after))
    except (Exception, SystemExit) as error:  # the function is the user's
        if was_interrupted(error):
            raise
        reason, _, _ = str(error).strip().partition("\n")
        raise _unfit(names[0], f"{type(error).__name__}: {reason}") from error
    if not fits:
        raise _unfit(names[0], "its updates have other shapes than the parameters")
    if not same:
        raise _unfit(names[0], "a step changes shapes or dtypes of parameters or state")


def _alike(one: jax.ShapeDtypeStruct, other: jax.ShapeDtypeStruct) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype


def _unfit(name: str, reason: str) -> ValueError:
    return ValueError(
        "optimizer must be a function of learning_rate and weight_decay, as traced arrays, that returns a "
        f"GradientTransformation; got {name}, which fails: {reason}"
    )
