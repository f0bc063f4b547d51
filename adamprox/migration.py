"""Conversion of hyperparameters and states of other libraries."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from adamprox.arguments import Schedule, at_count, check_nonnegative

_MOMENTS = ("mu", "nu", "root_nu")


def from_optax(weight_decay: Schedule, learning_rate: Schedule) -> Any:
    """Return λ per step for the ``weight_decay`` and ``learning_rate`` of ``optax.adamw``.

    λ = w · α,   or λ_t = w_t · α_t if one of them is a schedule.

    Args:
      weight_decay: Optax's ``weight_decay`` w ≥ 0, a number, traced scalar or schedule.
      learning_rate: Learning rate α ≥ 0, a number, traced scalar or schedule.

    Returns:
      A number, or a callable of the step count if an argument is callable.

    Raises:
      ValueError: An argument is a negative number.

    Example:
      >>> from_optax(0.125, 0.5)
      0.0625
      >>> from_optax(0.125, lambda t: 0.5 / (t + 1))(1)
      0.03125

    Source: the update of ``optax.adamw``, x ← x − α(u + wx).
    """
    check_nonnegative(weight_decay=weight_decay, learning_rate=learning_rate)
    if callable(weight_decay) or callable(learning_rate):
        return lambda count: at_count(weight_decay, count) * at_count(learning_rate, count)
    return weight_decay * learning_rate


def from_torch(weight_decay: Schedule, lr: Schedule) -> Any:
    """Return λ per step for the ``weight_decay`` and ``lr`` of ``torch.optim.AdamW``.

    λ = w · α,   or λ_t = w_t · α_t if one of them is a schedule.

    This is not for ``torch.optim.Adam(weight_decay=w)``, whose w is the λ of `adamprox.adam_l2`.

    Args:
      weight_decay: PyTorch's ``weight_decay`` w ≥ 0 (its default is 0.01); a number, traced scalar
        or schedule.
      lr: Learning rate α ≥ 0, a number, traced scalar or schedule.

    Returns:
      A number, or a callable of the step count if an argument is callable.

    Raises:
      ValueError: An argument is a negative number.

    Example:
      >>> from_torch(weight_decay=0.125, lr=0.5)
      0.0625

    Source: the update of ``torch.optim.AdamW``, x ← x − αwx − αu.
    """
    check_nonnegative(weight_decay=weight_decay, lr=lr)
    return from_optax(weight_decay, lr)


def from_optax_state(
    state: optax.OptState, tx: optax.GradientTransformation, params: optax.Params
) -> optax.OptState:
    """Return the state of one of our optimizers with the moments and counts of Optax's Adam.

    Training then continues as with Optax. The optimizer may have ``eps=0.0``, whose state has √v.

    Args:
      state: State of ``optax.adamw``, ``optax.adam`` or any chain with one ``scale_by_adam``.
      tx: `adamprox.adamw` or another optimizer with Adam's direction, also inside of wrappers such as
        ``optax.inject_hyperparams``.
      params: Parameters, for their shapes and dtypes.

    Returns:
      The state for ``tx.update``, which shares no array with ``state``. All counts are those of Adam.
      A warning names arrays of ``state`` that are left out, such as the momentum of another group.

    Raises:
      ValueError: ``state`` has no state of Adam or several, its moments do not fit ``params``, or
        ``tx`` has no moments.

    Example:
      >>> import jax.numpy as jnp, optax, adamprox
      >>> x, theirs = jnp.ones(2), optax.adamw(1e-3, weight_decay=0.01)
      >>> ours = adamprox.adamw(1e-3, weight_decay=adamprox.from_optax(0.01, 1e-3))
      >>> _, state = theirs.update(jnp.array([5.0, -5.0]), theirs.init(x), x)
      >>> print(optax.tree.get(from_optax_state(state, ours, x), "mu"))
      [ 0.5 -0.5]

    Source: this project.
    """
    adam = _adam_state(state)
    filled = []

    def replaced(node):
        if not _has(node, "count"):
            return node
        moments = [name for name in _MOMENTS if _has(node, name)]
        filled.extend(moments)
        fields = {name: _like(getattr(node, name), adam, name) for name in moments}
        others = {n: within(getattr(node, n)) for n in node._fields if n not in ("count", *moments)}
        return node._replace(count=jnp.array(adam.count, copy=True), **fields, **others)

    def within(tree):
        return jax.tree.map(replaced, tree, is_leaf=lambda node: _has(node, "count"))

    converted = within(tx.init(params))
    if not filled:
        raise ValueError("tx must have the moments of Adam, got an optimizer without them")
    _warn_of_the_rest(state)
    return converted


def _has(node: Any, name: str) -> bool:
    """Return True for a named tuple with the field ``name``."""
    return name in getattr(node, "_fields", ())


def _adam_state(state: optax.OptState) -> optax.ScaleByAdamState:
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, optax.ScaleByAdamState))
    found = [node for node in nodes if isinstance(node, optax.ScaleByAdamState)]
    if len(found) != 1:
        raise ValueError(f"state must contain one optax.ScaleByAdamState, got {len(found)}")
    return found[0]


def _warn_of_the_rest(state: optax.OptState) -> None:
    """Warn about numbers outside of Adam's state, unless they are zero, counts or hyperparameters."""
    rest = jax.tree.map(
        lambda node: None if isinstance(node, optax.ScaleByAdamState) else node,
        state,
        is_leaf=lambda node: isinstance(node, optax.ScaleByAdamState),
    )
    found = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree.leaves_with_path(rest)]
    with jax.ensure_compile_time_eval():
        lost = [
            path
            for path, leaf in found
            if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) and ".hyperparams" not in path
            if not isinstance(leaf, Tracer) and jnp.any(leaf)
        ]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        message = f"from_optax_state converts Adam's moments alone; left out: state{lost[0]}{more}"
        warnings.warn(message, stacklevel=3)


def _like(fresh: optax.Updates, adam: optax.ScaleByAdamState, name: str) -> optax.Updates:
    """Return a moment of Adam in the dtypes of ``fresh``; ``root_nu`` is the root of ``nu``."""
    given = adam.mu if name == "mu" else adam.nu
    if jax.tree.structure(given) != jax.tree.structure(fresh):
        raise ValueError(f"state must have moments for params, got {jax.tree.structure(given)}")

    def on_leaf(new, old):
        if jnp.shape(new) != jnp.shape(old):
            raise ValueError(
                f"moments must have the shapes of params, got {jnp.shape(new)} for a parameter of "
                f"shape {jnp.shape(old)}"
            )
        return jnp.array(jnp.sqrt(new) if name == "root_nu" else new, old.dtype, copy=True)

    return jax.tree.map(on_leaf, given, fresh)
