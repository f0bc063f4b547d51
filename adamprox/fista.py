"""Accelerated proximal gradient (FISTA) for convex problems, with restarts and a line search."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from adamprox.arguments import (
    Mask,
    Schedule,
    at_count,
    check_floating,
    check_mask,
    check_nonnegative,
)
from adamprox.checks import is_integer, is_known
from adamprox.prox import Prox
from adamprox.prox._arithmetic import check_operator, filled
from adamprox.transforms import NO_PARAMS_MSG, PROXIMAL_PROBE, map_updates

_ROUNDING = 32  # relative length of a step that says nothing of f, in units of rounding


class FistaState(NamedTuple):
    """State of `fista`.

    Attributes:
      count: Number of steps taken, int32[].
      solution: Point x_k, in the dtypes of the parameters; the result of the method.
      momentum: Number t_k ≥ 1 of the extrapolation, float[].
      step: Size s of the last step, float[]; infinite before the first step.
    """

    count: Any
    solution: optax.Params
    momentum: Any
    step: Any


def fista(
    step: Schedule,
    prox: Prox,
    weight: Schedule = 1.0,
    *,
    mask: Mask | None = None,
    restart: chex.Numeric = True,
    max_backtracking_steps: chex.Numeric | None = None,
    decrease_factor: chex.Numeric = 0.5,
) -> optax.GradientTransformationExtraArgs:
    """Minimize f + λR, with f convex and smooth, by accelerated proximal gradient steps.

    x_{k+1} = prox_{sλR}(y_k − s ∇f(y_k)),   t_{k+1} = (1 + √(1 + 4t_k²)) / 2,   t_0 = 1,
    y_{k+1} = x_{k+1} + ((t_k − 1) / t_{k+1}) (x_{k+1} − x_k).

    The parameters that you hold are y_k, the point at which the method needs the gradient. The
    result is x_k, which has the exact zeros of the prox: read it with ``optax.tree.get(state,
    "solution")``. A step s ≤ 1/L, with L the Lipschitz constant of ∇f, reaches the minimum of f +
    λR to within 2‖x₀ − x*‖²/(s (k+1)²) if there are no restarts. Place `fista` last in a chain.

    A restart sets t to 1 and y_{k+1} to x_{k+1} where ⟨y_k − x_{k+1}, x_{k+1} − x_k⟩ > 0: there the
    momentum points uphill. With restarts the method adapts to strong convexity.

    The line search needs no L. It multiplies s by ``decrease_factor`` until

        f(x_{k+1}) ≤ f(y_k) + ⟨∇f(y_k), x_{k+1} − y_k⟩ + ‖x_{k+1} − y_k‖² / (2s).

    s never grows again. To allow for rounding, the search also compares slopes along x_{k+1} − y_k
    by forward-mode derivatives, which f must support. Pass ``value``, ``grad`` and ``value_fn`` to
    ``update``, as for ``optax.scale_by_backtracking_linesearch``: f(y_k), ∇f(y_k) and the function
    f itself, without λR. ``update`` passes further keyword arguments on to ``value_fn``. If no
    trial is accepted, the parameters return to x_k, and the next search starts with a smaller s.

    Args:
      step: Step size s > 0, in units of a parameter per gradient; a number, traced scalar or
        schedule. With the line search it is the largest s.
      prox: Operator of `adamprox.prox`, or any callable ``(tree, t) -> tree``, of a convex R.
      weight: Weight λ ≥ 0 of the regularizer, in units of the loss per unit of R; a number, traced
        scalar or schedule. Unlike the weight of `proximal` it is multiplied by the step size.
      mask: Pytree of booleans, or a callable that returns one; the prox sees only True leaves.
      restart: True for adaptive restarts.
      max_backtracking_steps: Largest number of reductions of s per step, such as 30; None for no
        line search.
      decrease_factor: Factor of s in the line search, between 0 and 1.

    Returns:
      The optimizer; its ``update`` needs ``params``.

    Raises:
      TypeError: ``prox`` is not callable.
      ValueError: ``step`` or ``weight`` is a negative number, an argument of the line search is out
        of range; ``params``, or what the line search needs, is not passed.

    Example:
      >>> import jax, jax.numpy as jnp, optax
      >>> from adamprox import prox
      >>> f = lambda x: jnp.sum((x - jnp.array([3.0, 0.5])) ** 2) / 2
      >>> tx, y = fista(0.5, prox.l1, 1.0), jnp.zeros(2)
      >>> state = tx.init(y)
      >>> for _ in range(40):
      ...     updates, state = tx.update(jax.grad(f)(y), state, y)
      ...     y = optax.apply_updates(y, updates)
      >>> print(optax.tree.get(state, "solution").round(4))
      [2. 0.]

    Source: Beck and Teboulle, *A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse
    Problems*, 2009; O'Donoghue and Candès, *Adaptive Restart for Accelerated Gradient Schemes*,
    2015 (gradient scheme).
    """
    check_operator(prox)
    check_mask(mask)
    check_nonnegative(step=step, weight=weight)
    if is_known(max_backtracking_steps) and not is_integer(max_backtracking_steps, 1):
        raise ValueError(
            f"max_backtracking_steps must be an integer >= 1 or None, got {max_backtracking_steps}"
        )
    if is_known(decrease_factor) and not 0 < float(decrease_factor) < 1:
        raise ValueError(f"decrease_factor must be between 0 and 1, got {decrease_factor}")

    def init(params):
        copy = jax.tree.map(jnp.copy, params)
        one = jnp.ones([], float)
        return FistaState(jnp.zeros([], jnp.int32), copy, one, one * jnp.inf)

    def update(updates, state, params=None, *, value=None, grad=None, value_fn=None, **extra_args):
        if params is None:
            raise ValueError(NO_PARAMS_MSG)
        if (probe := PROXIMAL_PROBE.get()) is not None:
            return probe(updates, params), state
        check_floating(updates, params)
        size = jnp.asarray(at_count(step, state.count), state.step.dtype)
        pull = at_count(weight, state.count)
        seen = mask(params) if callable(mask) else mask

        def point(size):
            return _forward_backward(prox, params, updates, size, size * pull, seen)

        if max_backtracking_steps is None:
            x, failed = point(size), False
        else:
            if value is None or grad is None or value_fn is None:
                raise ValueError("the line search needs value, grad and value_fn in update")

            def accepts(size, x):
                function = functools.partial(value_fn, **extra_args)
                return _is_majorized(function, value, grad, params, x, size)

            first = jnp.minimum(size, state.step)
            size, x, found = _search(
                point, accepts, first, decrease_factor, max_backtracking_steps, state.solution
            )
            failed = ~found
        return _extrapolated(updates, state, params, x, size, restart, failed)

    return optax.GradientTransformationExtraArgs(init, update)


def _extrapolated(gradients, state, params, x, size, restart, failed):
    """Return y_{k+1} − y_k and the state after the point x_{k+1}."""
    uphill = _dot(_minus(gradients, params, x), _minus(gradients, x, state.solution))
    restarted = failed | (restart & (uphill > 0))
    grown = (1 + jnp.sqrt(1 + 4 * state.momentum**2)) / 2
    beta = jnp.where(restarted, 0, (state.momentum - 1) / grown)

    def on_leaf(step, change, p):
        return (step + beta.astype(jnp.finfo(step.dtype).dtype) * change).astype(jnp.result_type(p))

    moved = map_updates(
        on_leaf,
        _minus(gradients, x, params),
        _minus(gradients, x, state.solution),
        params,
    )
    momentum = jnp.where(restarted, 1, grown)
    return moved, FistaState(optax.safe_increment(state.count), x, momentum, size)


def _forward_backward(prox, params, gradients, size, threshold, mask):
    """Return prox(y − s g); a leaf without a gradient keeps its value."""

    def forward(g, p):
        g, p = _wide(g), _wide(p)
        return p - size.astype(jnp.finfo(p.dtype).dtype) * g

    target = map_updates(forward, gradients, params)
    seen = target
    if mask is not None:
        seen = jax.tree.map(
            lambda keep, part: part if keep else jax.tree.map(lambda _: None, part), mask, target
        )
    moved = filled(filled(prox(seen, threshold), target), params)
    return jax.tree.map(lambda z, p: z.astype(jnp.result_type(p)), moved, params)


def _search(
    point: Callable, accepts: Callable, size, decrease_factor, limit, otherwise: optax.Params
):
    """Return the first size whose point is accepted, the point, and True if there is one."""

    def trial(carry):
        size, _, _, count = carry
        size = jnp.where(count > 0, decrease_factor * size, size).astype(size.dtype)
        x = point(size)
        return size, x, accepts(size, x), count + 1

    start = (size, otherwise, jnp.array(False), jnp.zeros([], jnp.int32))
    size, x, found, _ = jax.lax.while_loop(lambda c: ~c[2] & (c[3] <= limit), trial, start)
    return size, optax.tree.where(found, x, otherwise), found


def _is_majorized(function, value, grad, y, x, size):
    """Return True if the model f(y) + ⟨∇f(y), z − y⟩ + ‖z − y‖²/(2s) lies above f at x.

    Near the minimum the difference of two values of f is all rounding. The first condition
    therefore has a tolerance. The second compares the slopes at x and y: it follows from s ≤ 1/L,
    and is equivalent to the first for a quadratic f. Steps of a few units of rounding pass.
    """
    moved = jax.tree.map(lambda a, b: a - b, x, y)
    after, slope_after = jax.jvp(function, (x,), (moved,))
    slope = sum(jax.tree.leaves(map_updates(lambda g, d: jnp.sum(jnp.real(g * d)), grad, moved)))
    square = _dot(moved, moved)
    half, eps = square / (2 * size), jnp.finfo(jnp.result_type(value)).eps
    # Differences, not sums: inf ≤ inf would accept a step that overflows.
    below = after - value - slope - half <= jnp.sqrt(eps) * jnp.abs(value)
    flat = slope_after - slope - half <= half
    tiny = square <= (_ROUNDING * eps) ** 2 * _dot(y, y)
    return (below & flat) | tiny


def _minus(gradients, a, b):
    """Return a − b in float32 or wider, None where there is no gradient."""
    return map_updates(lambda _, x, y: _wide(x) - _wide(y), gradients, a, b)


def _dot(a, b):
    """Return Re⟨a, b⟩; a product and a sum, for any sharding, where a contraction needs a choice."""
    products = jax.tree.map(lambda x, y: jnp.sum(jnp.real(jnp.conj(_wide(x)) * _wide(y))), a, b)
    return sum(jax.tree.leaves(products))


def _wide(x):
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
