"""A check of the order of transformations around `proximal` and its relatives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adamprox.transforms import PROXIMAL_PROBE

_LONGEST_WAIT = 256
_Leaves = dict[tuple[Any, ...], np.ndarray]


def check_chain(
    tx: optax.GradientTransformation | optax.MultiSteps, params: optax.Params, **extra_args: Any
) -> list[str]:
    """Return a message for every kind of change that a chain makes to the result of `proximal`.

    x + c·(prox(x + u) − x) is not prox(x + u) unless c = 1: a transformation after `proximal` loses
    its zeros and bounds. `dual_averaging`, `straight_through` and `fista` count as `proximal`.

    The check runs ``tx`` outside of ``jit``, on parameters of ones and zero gradients. In these
    steps `proximal` returns known marks in place of its result: large numbers, then others, then
    zeros. A leaf whose update is not its mark was clipped, scaled, averaged or decayed afterwards.
    A second `proximal` may follow the first.

    The check does not find a `proximal` that acts too often, as in
    ``chain(MultiSteps(base, k), proximal(…))``, one that does not act in the first step, or a
    transform that begins to change updates only after `proximal` has acted twice.

    Args:
      tx: Optimizer or transformation, with or without `proximal`, or an ``optax.MultiSteps`` of at
        most 256 steps.
      params: Parameters, any pytree that ``tx.init`` accepts; only shapes and dtypes count.
      **extra_args: Further arguments of ``tx.update``, such as ``value``.

    Returns:
      A list of messages, empty if no change was found.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from adamprox import prox, proximal
      >>> sparse, x = proximal(prox.l1, 1e-3), jnp.ones(2)
      >>> check_chain(optax.chain(optax.clip(1.0), optax.sgd(0.1), sparse), x)
      []
      >>> check_chain(optax.chain(optax.sgd(0.1), sparse, optax.scale(0.5)), x)
      ['a transformation after proximal multiplies its result by 0.5 (all leaves)']

    Source: this project; docs/composition.md.
    """
    update = tx.update
    if extra_args:
        update = optax.with_extra_args_support(tx).update  # pyright: ignore[reportArgumentType]
    # A function that the caller compiled must not keep a mark, hence no jit.
    with jax.disable_jit():
        ones = jax.tree.map(lambda p: jnp.ones_like(p) if _is_inexact(p) else p, params)
        fast = ones.fast if isinstance(ones, optax.LookaheadParams) else ones
        zeros = jax.tree.map(jnp.zeros_like, fast)
        state: Any = tx.init(ones)
        if not _contains_proximal(lambda: update(zeros, state, ones, **extra_args)):
            return []

        def step(state, amplitude):
            marks: _Leaves = {}
            token = PROXIMAL_PROBE.set(_probe(amplitude, marks))
            try:
                updates, state = update(zeros, state, ones, **extra_args)
            finally:
                PROXIMAL_PROBE.reset(token)
            return marks, _by_path(updates), state

        return _messages(_actions(step, state))


def _contains_proximal(update: Callable[[], Any]) -> bool:
    """Return True if `proximal` is in the traced program, or if the trace fails."""
    seen = []

    def notice(updates, params):
        seen.append(params)
        return updates

    token = PROXIMAL_PROBE.set(notice)
    try:
        jax.eval_shape(update)
    except Exception:  # it may work with numbers, for which the check does not need a trace
        return True
    finally:
        PROXIMAL_PROBE.reset(token)
    return bool(seen)


def _actions(step, state) -> list[tuple[_Leaves, _Leaves]]:
    """Return marks and updates of three actions of `proximal`, the last with marks of zero.

    ``optax.MultiSteps`` calls it in every step and multiplies the steps before an action by zero.
    """
    seen, wait = [], _LONGEST_WAIT if _accumulates(state) else 1
    for amplitude in (1.0, -0.5, 0.0):
        marks, given, count = {}, {}, 0
        while count < wait and not any(np.any(given.get(path, 1)) for path in marks):
            marks, given, state = step(state, amplitude)
            count += 1
        seen.append((marks, given))
        wait = count if amplitude < 0 else wait
    return seen


def _accumulates(state) -> bool:
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, optax.MultiStepsState))
    return any(isinstance(node, optax.MultiStepsState) for node in nodes)


def _is_inexact(x) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _by_path(tree) -> _Leaves:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {path: _wide(leaf) for path, leaf in leaves if _is_inexact(leaf)}


def _wide(leaf) -> np.ndarray:
    return np.asarray(leaf).astype(complex if np.iscomplexobj(leaf) else float)


def _probe(amplitude: float, marks: _Leaves):
    """Return a substitute for the step of `proximal`, which enters its result in ``marks``."""

    def step(updates, params):
        result = jax.tree.map(
            lambda u, p: None if u is None else _mark(p, amplitude),
            updates,
            params,
            is_leaf=lambda x: x is None,
        )
        marks.update(_by_path(result))
        return result

    return step


def _mark(parameter, amplitude: float) -> jax.Array:
    """Return ±1 to ±30 times 2⁴⁰, or as near to that as the dtype allows, times ``amplitude``."""
    parameter = jnp.asarray(parameter)
    number = np.arange(parameter.size).reshape(parameter.shape)
    floating = jnp.issubdtype(parameter.dtype, jnp.inexact)
    largest = jnp.finfo(parameter.dtype).maxexp if floating else jnp.iinfo(parameter.dtype).bits
    exponent = min(40, largest - 6)
    pattern = (number % 30 + 1.0) * (-1.0) ** number * 2.0**exponent
    return jnp.asarray(amplitude * pattern).astype(parameter.dtype)


def _messages(seen: list[tuple[_Leaves, _Leaves]]) -> list[str]:
    problems: dict[str, list[str]] = {}
    for path, mark in seen[0][0].items():
        acted = [(marks, given) for marks, given in seen if path in marks]
        if any(path not in given or given[path].shape != mark.shape for _, given in acted):
            problem = "the update has no leaf of the same path and shape as the result of proximal"
        else:
            problem = _problem([(marks[path], given[path]) for marks, given in acted])
        if problem:
            problems.setdefault(problem, []).append(jax.tree_util.keystr(path))
    return [
        f"{problem} ({'all leaves' if len(paths) == len(seen[0][0]) else ', '.join(paths)})"
        for problem, paths in problems.items()
    ]


def _problem(actions: list[tuple[np.ndarray, np.ndarray]]) -> str | None:
    """Return what happened to the marks of one leaf, None if it kept them."""
    if all(np.array_equal(mark, given) for mark, given in actions):
        return None
    ratios = np.concatenate(
        [np.ravel(np.real(given / mark)) for mark, given in actions[:-1] or actions]
    )
    factors = {f"{ratio + 0.0:.4g}" for ratio in ratios}
    if factors == {"1"}:
        return "a transformation after proximal adds to its result"
    if len(factors) == 1 and not np.any(actions[-1][1]):
        return f"a transformation after proximal multiplies its result by {factors.pop()}"
    return "a transformation after proximal changes its result"
