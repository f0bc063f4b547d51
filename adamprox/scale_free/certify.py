"""`scale_freeness`: feed an optimizer rescaled gradients and see whether its iterates notice."""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from adamprox.scale_free import probe as probing
from adamprox.scale_free.arguments import (
    check_callables,
    check_numbers,
    check_room,
    check_transformation,
    real_arrays,
)
from adamprox.scale_free.plan import Comparison, Plan, make_plan
from adamprox.scale_free.probe import ExtraArgs, Probe
from adamprox.scale_free.result import (
    Deviation,
    ScaleFreeness,
    Verdict,
    matters_below,
    not_tested,
)

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
    """Say whether an optimizer is scale-free: x_t(c ⊙ g_1, …, c ⊙ g_t) = x_t(g_1, …, g_t), c > 0.

    The same heavy-tailed gradients g_t are fed as they are and times one factor a coordinate:
    powers of two up to 2^±exponent (floating point multiplies by them without error, so a scale-free
    optimizer does not change a bit) and factors between them. Compared are the parameters after
    every step, relative to the length of the path that each coordinate takes. The whole is repeated
    with all gradients of about 2⁻⁴⁰ … 2³⁰, which shows where an ε begins to matter and lets no ε above
    1e-23 pass as none. With ``params`` of float64 (under ``jax.enable_x64``) the scales begin at 2⁻⁴⁰⁰
    and no ε above 1e-120 does; in float32 the squares of smaller gradients are out of range. In the same runs *one* factor for all coordinates tests the weaker property of
    sign and norm methods, ``global_rescaling``.

    EXACT: equal bits under powers of two at every gradient scale that can be compared, and within
    ``tolerance`` between them. TOLERANCE: within ``tolerance`` at ``gradient_scale``. NO: not even
    that; ``matters_below`` then says from which gradient scale on it would be. NOT_TESTED: it does
    not move, does not depend on the gradient, is not finite, not reproducible, or its ``update``
    raises without arguments that ``extra_args`` does not give. Random optimizers draw the same
    numbers in every run, as their state starts from the same seed. Only the first ``steps`` steps are
    seen: ask for more of an optimizer that changes later, at the end of a warmup, say.

    Args:
      tx: Any transformation of Optax: an object with ``init`` and ``update``.
      make: ``ε -> transformation``, to be tested at ε of 0 and 1e-16 … 1e-4 too.
      params: Pytree of real floating-point arrays to start from; a matrix, a vector and a scalar if
        None. Give your own where a mask or labels of ``tx`` expect them.
      gradient_scale: What the smallest typical |g| is about, in units of the gradient; from 1e-30 to
        1e30, to 1e±250 where all of ``params`` are float64.
      exponents: Positive integers k up to 20; factors are 2^−k … 2^k.
      steps: Gradients in the sequence, at least 2.
      tolerance: Relative deviation that is let pass, in (0, 1).
      seed: Of parameters, gradients and factors, ≥ 0.
      extra_args: ``(params, gradients) -> dict``, what ``update`` is given besides; ``gradients``
        are the rescaled ones.

    Returns:
      A `ScaleFreeness`.

    Raises:
      TypeError: ``tx`` or what ``make`` returns has no ``init`` and ``update``; ``params`` holds
        leaves that are not real floating-point arrays; ``make`` or ``extra_args`` is not callable.
      ValueError: A number is outside the range given above; ``params`` is empty.

    Example:
      >>> import adamprox, optax
      >>> print(adamprox.scale_freeness(adamprox.adamw(1e-2, eps=0.0)).verdict.value)
      exact
      >>> print(adamprox.scale_freeness(optax.sgd(1e-2)).verdict.value)
      no

    Source: §3 of the paper, the definition of a scale-free algorithm.
    """
    check_transformation("tx", tx)
    check_callables(make=make, extra_args=extra_args)
    check_numbers(gradient_scale, exponents, steps, tolerance, seed)
    start = probing.default_params(seed) if params is None else real_arrays(params)
    check_room(float(gradient_scale), start)
    probe = probing.make_probe(start, steps, float(gradient_scale), seed)
    examine = functools.partial(_examine, probe=probe, exponents=sorted(exponents), tolerance=tolerance, seed=seed, extra_args=extra_args)  # fmt: skip
    result = examine(tx)
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
    seed: int,
    extra_args: ExtraArgs | None,
) -> ScaleFreeness:
    """Run the whole plan on one transformation and judge."""
    plan = make_plan(probe, exponents, seed)
    try:
        runs = probing.trajectories(tx, probe, plan.rows, extra_args)
        objection = _objection(probe, plan, runs) or _blindness(tx, probe, plan, runs, extra_args)
    except Exception as error:  # whatever an unknown optimizer raises is the answer
        return not_tested(_explain(error), tolerance)
    if objection:
        return not_tested(objection, tolerance)
    judge = functools.partial(_judge, probe, runs, tolerance)
    # One constant is a vector of factors too: what it moves is not scale-free.
    everything = judge([*plan.coordinates, *plan.constants], [*plan.curve, *plan.global_curve])
    constants = judge(plan.constants, plan.global_curve)
    if everything.verdict is Verdict.NOT_TESTED:
        return not_tested("the parameters move by too little for their precision", tolerance)
    worst, below = everything.worst, matters_below(everything.curve, tolerance)
    return ScaleFreeness(
        everything.verdict, _reason(everything.verdict, worst, below, tolerance), worst.largest,
        worst.exponent, worst.step, constants.verdict, constants.worst, everything.curve,
        constants.curve, (), below, matters_below(constants.curve, tolerance), tolerance,
    )  # fmt: skip


class _Judgement(NamedTuple):
    """What comparisons amount to."""

    verdict: Verdict
    worst: Deviation
    curve: tuple[tuple[float, float], ...]


def _judge(
    probe: Probe,
    runs: np.ndarray,
    tolerance: float,
    at_scale: list[Comparison],
    along_curve: list[Comparison],
) -> _Judgement:
    """Comparisons at the probe's gradient scale, and one or more rounds of all scales."""
    found = [_deviation(probe, runs, c, tolerance) for c in at_scale]
    here = [_deviation(probe, runs, c, tolerance).largest for c in along_curve]
    count = len(probe.log2_scales)
    values = [_largest_finite(here[i::count]) for i in range(count)]
    curve = tuple((float(s), v) for s, v in zip(probe.log2_scales, values, strict=True))
    equal = all(_equal(runs, c) for c in (*at_scale, *along_curve) if c.exact)
    return _Judgement(_verdict(found, equal, tolerance), _worst(found), curve)


def _objection(probe: Probe, plan: Plan, runs: np.ndarray) -> str | None:
    """Why a comparison would mean nothing, or None."""
    first = runs[plan.first]
    finite = np.isfinite(first).all(axis=1)
    if not finite.all():
        return f"the parameters are not finite after step {int(np.argmin(finite)) + 1}"
    if not np.array_equal(first, runs[plan.again]):
        return "two equal runs differ: the optimizer is not reproducible"
    if not probing.path_length(probe, first).any():
        return f"it never moves the parameters in {len(first)} steps"
    return None


def _blindness(
    tx: Any, probe: Probe, plan: Plan, runs: np.ndarray, extra_args: ExtraArgs | None
) -> str | None:
    """Why nothing that is done to gradients can matter, or None."""
    first = runs[plan.first]
    if not np.array_equal(first, runs[plan.mirrored]):
        return None
    # Even in the gradient, or blind to it? One that is blind does not notice another sequence.
    others = probing.trajectories(tx, probe.reversed(), plan.rows[plan.first][None], extra_args)
    blind = np.array_equal(first, others[0])
    return "it moves the parameters, but not by the gradient" if blind else None


def _deviation(probe: Probe, runs: np.ndarray, c: Comparison, tolerance: float) -> Deviation:
    """Deviation of one comparison."""
    return probing.deviation(probe, runs[c.base], runs[c.other], c.exponent, tolerance)


def _equal(runs: np.ndarray, c: Comparison) -> bool:
    """Whether two runs have equal bits; a base that overflows on its own says nothing."""
    return not np.isfinite(runs[c.base]).all() or np.array_equal(runs[c.base], runs[c.other])


def _largest_finite(values: list[float]) -> float:
    """The largest finite number, NaN for none: a run that overflows says nothing about ε."""
    return max((v for v in values if math.isfinite(v)), default=math.nan)


def _worst(found: list[Deviation]) -> Deviation:
    """The largest that is a number."""
    known = [d for d in found if not math.isnan(d.largest)]
    return max(known, key=lambda d: d.largest, default=Deviation(math.nan))


def _verdict(found: list[Deviation], equal: bool, tolerance: float) -> Verdict:
    """The verdict that deviations at the gradient scale, and equality of all bits, amount to."""
    largest = _worst(found).largest
    if math.isnan(largest):
        return Verdict.NOT_TESTED
    if largest > tolerance:
        return Verdict.NO
    return Verdict.EXACT if equal else Verdict.TOLERANCE


def _reason(verdict: Verdict, worst: Deviation, below: float, tolerance: float) -> str:
    """The verdict in one sentence."""
    if verdict is Verdict.EXACT:
        return "no bit changes under powers of two at any tested gradient scale"
    if math.isinf(worst.largest):
        return f"rescaled gradients make the parameters non-finite at step {worst.step}"
    where = f"the largest relative deviation is {worst.largest:.1e}"
    if worst.step:
        where += f" at step {worst.step}, factors up to 2^{worst.exponent:g}"
    if 0 < below < math.inf:
        where += f"; it is under {tolerance:g} at gradient scales of {below:.1e} and more"
    return where


def _explain(error: Exception) -> str:
    """Why an optimizer could not run: the arguments it misses, or the first line of its message."""
    line = next(iter(str(error).strip().splitlines()), "no message").rstrip(".")
    if isinstance(error, TypeError) and "missing" in line and "required" in line:
        names = ", ".join(re.findall(r"'(\w+)'", line))
        return f"its update needs {names}: give extra_args"
    return f"it raises {type(error).__name__}: {line[:200]}"
