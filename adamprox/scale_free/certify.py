"""`scale_freeness`: compare the iterates of an optimizer on original and rescaled gradients."""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adamprox.chains import check_chain
from adamprox.scale_free import probe as probing
from adamprox.scale_free.arguments import (
    check_callables,
    check_numbers,
    check_room,
    check_transformation,
    real_arrays,
)
from adamprox.scale_free.deviations import measure
from adamprox.scale_free.judgement import Judge
from adamprox.scale_free.plan import make_plan
from adamprox.scale_free.probe import Probe
from adamprox.scale_free.result import Deviation, ScaleFreeness, Verdict, matters_below, not_tested
from adamprox.scale_free.runs import ExtraArgs, run_all
from adamprox.scale_free.time_varying import time_varying
from adamprox.scale_free.untested import untested_leaves

EPSILONS = (0.0, 1e-16, 1e-12, 1e-8, 1e-4)


def scale_freeness(
    tx: Any,
    *,
    make: Callable[[float], Any] | None = None,
    params: Any = None,
    gradient_scale: float = 1.0,
    exponents: Sequence[int] = (1, 5, 10),
    steps: int = 12,
    tolerance: float = 1e-3,
    seed: int = 0,
    extra_args: ExtraArgs | None = None,
) -> ScaleFreeness:
    """Test if an optimizer is scale-free: x_t(c ⊙ g_1, …, c ⊙ g_t) = x_t(g_1, …, g_t), c > 0.

    The test runs the optimizer on heavy-tailed gradients g_t, and again on the same gradients times
    one factor per coordinate. The factors are powers of two up to 2^±exponent, and numbers between
    them. Multiplication by a power of two is exact in floating point: a scale-free optimizer then
    changes no bit. The test compares the parameters after every step, relative to the length of the
    path of each coordinate. In the same runs, *one* factor for all coordinates tests
    ``global_rescaling``, the weaker property of sign and norm methods.

    The test repeats all of this with gradients of about 2⁻⁴⁰ … 2³⁰, and finds the scale at which an
    ε matters. The test detects every ε above 1e-23. In float32 the squares of smaller gradients are
    out of range. With ``params`` of float64 (under ``jax.enable_x64``) the scales begin at 2⁻⁴⁰⁰,
    and the test detects every ε above 1e-120.

    The deviation of a coordinate is its median over 15 gradient sequences (fewer for more than
    2,000 coordinates, at least 3). No verdict depends on a rare sequence. These sequences, the
    factors and the default parameters are the same in every call. ``seed`` draws three further
    sequences for ``seeded_deviation``, on which no verdict depends.

    Factors that are not powers of two change the rounding of low-precision states, gradients and
    updates. For them the verdict tolerates ``rounding``: twice the deviation that one more unit of
    rounding per step causes. The test skips numbers near the ends of the range of float16 or
    float8. ``untested`` and ``reason`` list the leaves that could not be tested.

    Verdicts:

    - EXACT: equal bits under powers of two at every gradient scale that can be compared, and
      deviations within ``tolerance`` for other factors.
    - TOLERANCE: deviations within ``tolerance`` at ``gradient_scale``.
    - NO: a larger deviation at ``gradient_scale``; ``matters_below`` is the gradient scale above
      which it would be within ``tolerance``.
    - NOT_TESTED: no leaf moves by the gradient with finite, reproducible values, or ``update``
      raises, for example because it needs ``extra_args``.

    ``time_varying`` is about one factor *per step* for all coordinates. A random power of two per
    step must change no bit (EXACT) or little (TOLERANCE), as for sign methods without momentum. If
    it changes more, constant gradients times exp(ρt) decide: the deviation is quadratic in ρ
    (FIRST_ORDER) or not (NO). Adam has this property if and only if β₁ = β₂. With noisy gradients
    a linear term remains for any β; at β₁ = β₂ its mean over the noise is about 0.

    ``misuse`` has the messages of `check_chain`.

    A random optimizer starts from the same seed and draws the same numbers in every run. The test
    sees only the first ``steps`` steps; increase ``steps`` for an optimizer that changes later,
    such as at the end of a warmup.

    Args:
      tx: Transformation of Optax, an object with ``init`` and ``update``; or a PyTorch optimizer,
        the result of `adamprox.scale_free.torch.optimizer`.
      make: Function ``ε -> transformation`` to test also at ε = 0 and 1e-16 … 1e-4, or None.
      params: Pytree of real floating-point arrays to start from. None means a matrix, a vector, a
        scalar and a vector of zeros. Pass your own if a mask or labels of ``tx`` require them.
      gradient_scale: Typical |g| of the coordinate with the smallest gradients, in units of the
        gradient; from 1e-30 to 1e30, or from 1e-250 to 1e250 if all of ``params`` are float64. An
        exponent k > 10 narrows this range by 2^(k − 10) at both ends.
      exponents: Positive integers k up to 20; factors are 2^−k … 2^k.
      steps: Number of gradients in a sequence, at least 2.
      tolerance: Largest relative deviation that passes, in (0, 1).
      seed: Integer seed ≥ 0 of three further gradient sequences, on which no verdict depends.
      extra_args: Function ``(params, gradients) -> dict`` of further arguments of ``update``;
        ``gradients`` are rescaled.

    Returns:
      A `ScaleFreeness`.

    Raises:
      TypeError: ``tx`` or a result of ``make`` has no ``init`` and ``update``; ``params`` has
        leaves that are not real floating-point arrays; ``make`` or ``extra_args`` is not callable.
      ValueError: A number is outside the range given above; ``params`` is empty.

    Example:
      >>> import adamprox, optax
      >>> print(adamprox.scale_freeness(adamprox.adamw(1e-2, eps=0.0)).verdict.value)
      exact
      >>> print(adamprox.scale_freeness(optax.sgd(1e-2)).verdict.value)
      no

    Source: §3 of the paper, the definition of a scale-free algorithm; arXiv 2601.21739,
      first-order invariance to a scale that varies in time.
    """
    check_transformation("tx", tx)
    check_callables(make=make, extra_args=extra_args)
    check_numbers(gradient_scale, exponents, steps, tolerance, seed)
    exponents, steps, seed = [*map(int, exponents)], int(steps), int(seed)
    start = probing.default_params() if params is None else real_arrays(params)
    check_room(float(gradient_scale), max(exponents), start)
    probe = probing.make_probe(start, steps, float(gradient_scale), seed)
    examine = functools.partial(_examine, probe=probe, exponents=sorted(exponents), tolerance=tolerance, extra_args=extra_args)  # fmt: skip
    result = examine(tx)
    result = dataclasses.replace(result, misuse=_misuse(tx, start, extra_args))
    if make is None:
        return result
    made = {eps: make(eps) for eps in EPSILONS}
    for eps, transformation in made.items():
        check_transformation(f"make({eps})", transformation)
    curve = tuple((eps, examine(one).deviation) for eps, one in made.items())
    return dataclasses.replace(result, epsilon_curve=curve)


def _examine(
    tx: Any,
    probe: Probe,
    exponents: list[int],
    tolerance: float,
    extra_args: ExtraArgs | None,
) -> ScaleFreeness:
    """Run the whole plan on one transformation and return the result."""
    plan = make_plan(probe, exponents)
    try:
        own = getattr(tx, "run_all", None)  # of `adamprox.scale_free.torch`
        runs = own(probe, plan.rows) if own else run_all(tx, probe, plan.rows, extra_args)
    except Exception as error:  # any error of an unknown optimizer becomes the reason
        return not_tested(_explain(error), tolerance)
    first, again = (runs.parameters(rows) for rows in (plan.again.base, plan.again.other))
    if not np.array_equal(first, again, equal_nan=True):
        return not_tested("two equal runs differ: the optimizer is not reproducible", tolerance)
    measured = functools.cache(functools.partial(measure, probe, runs))
    untested, ignored = untested_leaves(probe, runs, measured, plan.here, tolerance)
    judge = Judge(probe, measured, plan.roundings, ignored, tolerance)
    everything = judge(plan.here.everything, [*plan.curve, *plan.global_curve])
    constants = judge(plan.here.constants, plan.global_curve)
    if everything.verdict is Verdict.NOT_TESTED:
        return not_tested(_nothing(untested), tolerance, untested)
    worst, below = everything.worst, matters_below(everything.curve, tolerance)
    reason = _reason(everything.verdict, worst, below, tolerance)
    reason += _elsewhere(everything.curve, everything.verdict, tolerance)
    reason += _gaps(everything.curve) + _rounding(judge.rounding, tolerance)
    reason += f"; not tested: {_listed(untested)}" if untested else ""
    return ScaleFreeness(
        everything.verdict, reason, worst.largest, worst.exponent, worst.step, constants.verdict,
        constants.worst, everything.curve, constants.curve, (), below,
        matters_below(constants.curve, tolerance), tolerance, untested, judge.rounding,
        judge(plan.seeded.everything, []).worst.largest,
        time_varying(judge, measured, plan.varying, constants.verdict, tolerance),
    )  # fmt: skip


def _misuse(tx: Any, params: Any, extra_args: ExtraArgs | None) -> tuple[str, ...]:
    """Return the messages of `check_chain`, none if it cannot run ``tx``."""
    try:
        extra = {} if extra_args is None else extra_args(params, params)
        return tuple(check_chain(tx, params, **extra))
    except Exception:  # the reason of the verdict names the errors of an unknown optimizer
        return ()


def _reason(verdict: Verdict, worst: Deviation, below: float, tolerance: float) -> str:
    """Return one sentence about the verdict."""
    if verdict is Verdict.EXACT:
        return "no bit changes under powers of two at any tested gradient scale"
    if math.isinf(worst.largest):
        return f"rescaled gradients make the parameters non-finite at step {worst.step}"
    where = f"the largest relative deviation at the given gradient scale is {worst.largest:.1e}"
    if worst.step:
        where += f" at step {worst.step}, factors up to 2^{worst.exponent:g}"
    if 0 < below < math.inf:
        where += f"; it is under {tolerance:g} at gradient scales of {below:.1e} and more"
    return where


def _elsewhere(curve: tuple[tuple[float, float], ...], verdict: Verdict, tolerance: float) -> str:
    """Return the part of the reason about gradient scales with deviations above the tolerance."""
    scales = [scale for scale, value in curve if value > tolerance]
    if verdict is Verdict.NO or not scales or math.isinf(2.0 ** scales[-1]):
        return ""
    largest = max(value for _, value in curve if value > tolerance)
    span = f"{2.0 ** scales[0]:.0e} to {2.0 ** scales[-1]:.0e}"
    return f"; at gradient scales from {span} it is up to {largest:.0e}"


def _gaps(curve: tuple[tuple[float, float], ...]) -> str:
    """Return the part of the reason about gradient scales without a result."""
    missing = sum(math.isnan(value) for _, value in curve)
    return f"; {missing} of {len(curve)} gradient scales cannot be compared" if missing else ""


def _rounding(rounding: float, tolerance: float) -> str:
    """Return the part of the reason about a deviation by rounding above the tolerance."""
    if rounding <= tolerance:
        return ""
    return f"; rounding explains deviations of up to {rounding:.0e} for factors that are not powers of two"


def _listed(untested: tuple[tuple[str, str], ...], most: int = 3) -> str:
    """Return the part of the reason about leaves that could not be tested."""
    more = f" and {len(untested) - most} more" if len(untested) > most else ""
    return ", ".join(f"{path} {why}" for path, why in untested[:most]) + more


def _nothing(untested: tuple[tuple[str, str], ...]) -> str:
    """Return the reason why no leaf could be tested."""
    reasons = {why for _, why in untested}
    why = f"each leaf {reasons.pop()}" if len(reasons) == 1 else _listed(untested)
    return f"nothing can be tested: {why}"


def _explain(error: Exception) -> str:
    """Return the reason for an error: missing arguments, or the first line of its message."""
    line = next(iter(str(error).strip().splitlines()), "no message").rstrip(".")
    if isinstance(error, TypeError) and "missing" in line and "required" in line:
        names = ", ".join(re.findall(r"'(\w+)'", line))
        return f"its update needs {names}: give extra_args"
    return f"it raises {type(error).__name__}: {line[:200]}"
