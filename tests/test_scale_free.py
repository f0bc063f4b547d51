"""The scale-freeness test on optimizers whose answer is known, and the scorecard."""

import functools
import math
import pathlib
import re
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import adamprox
from adamprox.scale_free import Verdict, probe
from adamprox.scale_free.__main__ import main
from adamprox.scale_free.catalogue import entries, optax_aliases
from adamprox.scale_free.explanations import EXPLANATIONS
from adamprox.scale_free.probe import default_params
from adamprox.scale_free.result import matters_below
from adamprox.scale_free.scorecard import markdown, scorecard

ROOT = pathlib.Path(__file__).parents[1]
SLOW = pytest.mark.slow  # the same property on another type or value; a certificate takes a second
EXACT, TOLERANCE, FIRST, NO, NOT_TESTED = Verdict
NORMALIZED = optax.chain(optax.normalize_by_update_norm(eps=0.0), optax.sgd(0.01))
ANSWERS = {
    "sgd": (optax.sgd(0.01), NO, NO, NO),
    "sign_sgd": (optax.sign_sgd(0.01), EXACT, EXACT, EXACT),
    "lion": (optax.lion(0.01, weight_decay=0.0), EXACT, EXACT, FIRST),
    "rprop": (optax.rprop(0.01), EXACT, EXACT, EXACT),
    "adam": (optax.adam(0.01), TOLERANCE, TOLERANCE, NO),
    "adam at a small rate": (optax.adam(1e-5), TOLERANCE, TOLERANCE, NO),
    "adam eps=0": (optax.adam(0.01, eps=0.0), EXACT, EXACT, NO),
    "tiny eps": (optax.adam(0.01, eps=1e-20), TOLERANCE, TOLERANCE, NO),
    "adam_l2": (adamprox.adam_l2(0.01, eps=0.0, weight_decay=1e-4), NO, NO, NO),
    "scale_free_adam_l2": (adamprox.scale_free_adam_l2(0.01, eps=0.0), EXACT, EXACT, NO),
    "proxgen": (adamprox.proxgen(0.01, adamprox.prox.squared_l2, 1e-4, eps=0.0), NO, NO, NO),
    "adamw": (adamprox.adamw(0.01, eps=0.0), EXACT, EXACT, NO),
    "adamprox": (adamprox.adamprox(0.01, eps=0.0), EXACT, EXACT, NO),
    "adamprox_l2": (adamprox.adamprox_l2(0.01, eps=0.0), EXACT, EXACT, NO),
    "adamprox_l1": (adamprox.adamprox_l1(0.01, eps=0.0), EXACT, EXACT, NO),
    "normalized": (NORMALIZED, NO, EXACT, EXACT),
    "muon": (optax.contrib.muon(0.01), NO, TOLERANCE, NO),
    "adagrad": (optax.adagrad(0.01), NO, NO, NO),
    "no params": (optax.scale_by_sign(), EXACT, EXACT, EXACT),
    "accumulated": (
        optax.MultiSteps(adamprox.adamw(0.01, eps=0.0), 3).gradient_transformation(),
        EXACT,
        EXACT,
        NO,
    ),
    "clipped": (
        optax.chain(optax.clip_by_global_norm(1.0), adamprox.adamw(0.01, eps=0.0)),
        NO,
        NO,
        FIRST,  # the norm of the constant gradients is always above 1
    ),
}


@functools.cache
def certificate(name, **arguments):
    """Certify an optimizer of ``ANSWERS`` once for all tests."""
    return adamprox.scale_freeness(ANSWERS[name][0], **arguments)


RARE = (
    "rprop", "adam at a small rate", "adagrad", "no params", "clipped", "tiny eps", "adamprox_l1",
    "sign_sgd", "accumulated",
)  # fmt: skip
COMMON = [pytest.param(name, marks=SLOW) if name in RARE else name for name in ANSWERS]


@pytest.mark.parametrize("name", COMMON)
def test_known_answers(name):
    _, coordinates, constant, in_time = ANSWERS[name]
    result = certificate(name)
    assert (result.verdict, result.global_rescaling) == (coordinates, constant), result.reason
    assert (result.deviation <= result.tolerance) == (coordinates is not NO)
    assert result.time_varying.verdict is in_time, result.time_varying


@pytest.mark.parametrize(
    ("tx", "reason"),
    [
        (optax.set_to_zero(), "never moves"),
        (optax.sgd(0.0), "never moves"),
        (optax.chain(optax.set_to_zero(), optax.add_decayed_weights(-0.1)), "not by the gradient"),
        (optax.polyak_sgd(), "needs value"),
        (optax.lbfgs(), "needs value, grad, value_fn"),
        (optax.stateless(lambda g, p: jax.tree.map(lambda x: x * jnp.nan, g)), "not finite"),
        (optax.sgd(1e-12), "too little|never moves"),
    ],
)
def test_what_cannot_be_tested_says_why(tx, reason):
    result = adamprox.scale_freeness(tx, params={"w": jnp.ones((4, 3)), "b": jnp.ones(3)})
    assert result.verdict is NOT_TESTED and result.global_rescaling is NOT_TESTED
    assert any(part in result.reason for part in reason.split("|")), result.reason


@pytest.mark.parametrize("amount", [1e-3, 1e-6])
def test_a_little_of_the_gradient_is_caught(amount):
    good = adamprox.scale_by_adam(eps=0.0)

    def update(updates, state, params=None):
        out, state = good.update(updates, state, params)
        return jax.tree.map(lambda u, g: -0.01 * (u + amount * g), out, updates), state

    result = adamprox.scale_freeness(optax.GradientTransformation(good.init, update))
    assert result.verdict is (NO if amount == 1e-3 else result.verdict) is not EXACT
    assert result.deviation > 0 and result.exponent > 0 and result.step > 0


def test_a_place_that_depends_on_the_mantissa_is_caught():
    """Equal bits under powers of two are not enough."""
    tx = optax.stateless(lambda g, p: jax.tree.map(lambda x: 0.01 * jnp.frexp(x)[0], g))
    assert adamprox.scale_freeness(tx).verdict is NO


def test_epsilon_curves():
    result = adamprox.scale_freeness(optax.adam(0.01), make=lambda eps: optax.adam(0.01, eps=eps))
    epsilons = dict(result.epsilon_curve)
    assert epsilons[0.0] < 1e-6 < epsilons[1e-8] < 1e-3 < epsilons[1e-4]
    scales = dict(result.scale_curve)
    assert scales[-40.0] > 0.5 and scales[20.0] < 1e-6
    assert 1e-4 < result.matters_below < 1
    small = certificate("adam", gradient_scale=1e-6)
    assert small.verdict is NO and "gradient scales of" in small.reason


@pytest.mark.parametrize("gradient_scale", [1e-6, pytest.param(1024.0, marks=SLOW)])
def test_scales_are_those_of_the_gradients(gradient_scale):
    """Where ε matters does not depend on the scale that the verdict is for."""
    here, there = certificate("adam"), certificate("adam", gradient_scale=gradient_scale)
    assert 0.5 < there.matters_below / here.matters_below < 2
    for (a, _), (b, _) in zip(here.scale_curve, there.scale_curve, strict=True):
        assert abs(a - b) <= 0.5


@pytest.mark.parametrize(("gradient_scale", "exponent"), [(1e30, 10), (1e-27, 20)])
def test_no_factor_leaves_its_range_at_the_ends_of_the_allowed_scales(gradient_scale, exponent):
    """A gradient of 1e30 times 2⁻⁴⁰/1e30 · 2⁻¹⁰ is in range; that factor alone is not."""
    result = adamprox.scale_freeness(
        adamprox.adamw(0.01, eps=0.0), gradient_scale=gradient_scale, exponents=(exponent,)
    )
    assert result.verdict is EXACT
    assert all(value == 0 for _, value in (*result.scale_curve, *result.global_curve))


@pytest.mark.parametrize(
    ("function", "verdict"), [(jnp.square, NO), (lambda g: jnp.exp2(0.0 * g), NOT_TESTED)]
)
def test_even_in_the_gradient_is_not_blind_to_it(function, verdict):
    tx = optax.stateless(lambda g, p: jax.tree.map(lambda x: -0.01 * function(x), g))
    result = adamprox.scale_freeness(tx)
    assert result.verdict is verdict
    assert ("not by the gradient" in result.reason) == (verdict is NOT_TESTED)


HALF = ("bfloat16", pytest.param("float16", marks=SLOW))
STATES = {
    "adamw": (lambda d: adamprox.adamw(0.01, eps=0.0, mu_dtype=d), EXACT),
    "adamprox_l2": (lambda d: adamprox.adamprox_l2(0.01, eps=0.0, mu_dtype=d), EXACT),
    "scale_by_adam": (
        lambda d: optax.chain(optax.scale_by_adam(eps=0.0, mu_dtype=d), optax.scale(-0.01)),
        EXACT,
    ),
    "lion": (lambda d: optax.lion(0.01, mu_dtype=d), EXACT),
    "adam": (lambda d: optax.adam(0.01, mu_dtype=d), TOLERANCE),
    "adam_l2": (lambda d: adamprox.adam_l2(0.01, eps=0.0, mu_dtype=d), NO),
    "sgd": (lambda d: optax.sgd(0.01, momentum=0.9, accumulator_dtype=d), NO),
    "mantissa": (lambda d: momentum(lambda m: jnp.frexp(m)[0], dtype=d), NO),
}


def momentum(function, beta=0.9, dtype="float32"):
    """A function of the average of gradients, which is kept in a type of its own."""

    def update(updates, state, params=None):
        state = jax.tree.map(
            lambda m, g: (beta * m.astype(g.dtype) + (1 - beta) * g).astype(dtype), state, updates
        )
        return jax.tree.map(lambda m: -0.01 * function(m.astype(jnp.float32)), state), state

    return optax.GradientTransformation(
        lambda params: optax.tree.zeros_like(params, dtype=dtype), update
    )


REST = ("adamprox_l2", "scale_by_adam", "lion", "mantissa")


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW) if name in REST else name for name in STATES]
)
def test_rounding_of_the_state_is_no_scale(name, dtype):
    make, verdict = STATES[name]
    result = adamprox.scale_freeness(make(dtype))
    assert result.verdict is verdict, result.reason
    assert (result.deviation <= result.tolerance) == (verdict is not NO)
    assert result.rounding > 1e-4


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", pytest.param("float8_e5m2", marks=SLOW)])
def test_three_bits_of_mantissa_are_enough(dtype):
    assert adamprox.scale_freeness(momentum(jnp.sign, dtype=dtype)).verdict is EXACT
    assert adamprox.scale_freeness(momentum(lambda m: m, dtype=dtype)).verdict is NO


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(
    ("tx", "verdict"),
    [
        (adamprox.adamprox(0.01, eps=0.0), EXACT),
        pytest.param(optax.lion(0.01), EXACT, marks=SLOW),
        (adamprox.adam_l2(0.01, eps=0.0, weight_decay=0.1), NO),
        pytest.param(optax.sgd(0.01), NO, marks=SLOW),
    ],
)
def test_parameters_of_half_precision(tx, verdict, dtype):
    params = jax.tree.map(lambda x: x.astype(dtype), default_params())
    result = adamprox.scale_freeness(tx, params=params)
    assert result.verdict is verdict, result.reason
    assert result.untested or verdict is NO  # they resolve no deviation of 0.001


def test_rounding_inside_of_the_update_is_no_scale():
    through = optax.stateless(
        lambda g, p: jax.tree.map(lambda x: x.astype(jnp.bfloat16).astype(x.dtype), g)
    )
    adamw = adamprox.adamw(0.01, eps=0.0)
    for tx in (optax.chain(through, adamw), optax.chain(adamw, through)):
        assert adamprox.scale_freeness(tx).verdict is EXACT


def test_a_leaf_that_starts_at_zero_is_tested():
    """LARS takes the gradient as it is where the parameters are zero."""
    params = {"w": jnp.ones((4, 3)), "b": jnp.zeros(3)}
    result = adamprox.scale_freeness(optax.lars(0.01), params=params)
    assert (result.verdict, result.global_rescaling) == (NO, NO)
    result = adamprox.scale_freeness(optax.lars(0.01), params={"w": jnp.ones((4, 3))})
    assert result.global_rescaling is EXACT


def nan_on(name):
    def update(updates, params):
        return {k: -jnp.sign(g) * (jnp.nan if k == name else 0.01) for k, g in updates.items()}

    return optax.stateless(update)


MASKED = optax.multi_transform(
    {"move": adamprox.adamw(0.01, eps=0.0), "stay": optax.set_to_zero()}, {"w": "move", "b": "stay"}
)
DECAYED = optax.multi_transform(
    {
        "move": adamprox.adamw(0.01, eps=0.0),
        "decay": optax.chain(optax.set_to_zero(), optax.add_decayed_weights(-0.1)),
    },
    {"w": "move", "b": "decay"},
)


@pytest.mark.parametrize(
    ("tx", "b", "reason"),
    [
        (MASKED, jnp.ones(3), "never moves in 12 steps"),
        (adamprox.adamw(0.01, eps=0.0), jnp.full(3, 1e9), "too little for the precision"),
        (optax.adam(0.01, eps=0.0), jnp.full(3, 1e9), "never moves in 12 steps"),
        (DECAYED, jnp.ones(3), "moves, but not by the gradient"),
        (adamprox.adamw(0.01, eps=0.0), jnp.full(3, 1e5), "too little for the precision"),
        (nan_on("b"), jnp.ones(3), "not finite after step 1"),
        (
            optax.adam(0.01, eps=0.0),
            jnp.asarray([1.0, 1e9, 1.0]),
            "never moves in 12 steps (1 of 3 coordinates)",
        ),
    ],
)
def test_what_could_not_be_tested_is_listed(tx, b, reason):
    result = adamprox.scale_freeness(tx, params={"b": b, "w": jnp.ones((4, 3))})
    assert result.verdict is EXACT, result.reason
    ((path, why),) = result.untested
    assert path == "['b']" and reason in why and f"['b'] {why}" in result.reason
    if tx is MASKED:
        assert adamprox.scale_freeness(tx, params={"w": jnp.ones(2), "b": b}, seed=5).untested


def test_float16_beside_float32_hides_no_epsilon():
    """A leaf with little range limits its own gradients, not those of others."""
    params = {"a": jnp.ones(4, jnp.float16), "b": jnp.ones(3)}
    result = adamprox.scale_freeness(adamprox.adamw(0.01, eps=1e-14), params=params)
    assert result.verdict is TOLERANCE, result.reason
    huge = adamprox.scale_freeness(adamprox.adamw(0.01, eps=0.0), params=params, gradient_scale=1e6)
    assert huge.verdict is EXACT and ("['a']", "leaves the range") in [
        (path, why[:16]) for path, why in huge.untested
    ]


def test_no_verdict_depends_on_the_seed():
    """m/(|m| + ε) deviates by any amount where m passes zero, which is in another place a seed."""
    for eps, verdict in ((1e-8, TOLERANCE), (1e-5, NO)):
        tx = momentum(lambda m, eps=eps: m / (abs(m) + eps))
        found = [adamprox.scale_freeness(tx, seed=seed) for seed in (0, 1, 2)]
        assert [r.verdict for r in found] == [verdict] * 3, found
        assert len({r.deviation for r in found}) == 1 < len({r.seeded_deviation for r in found})


@pytest.mark.parametrize("design", [1, *(pytest.param(design, marks=SLOW) for design in (2, 3))])
def test_verdicts_are_no_accident_of_the_sequences(design, monkeypatch):
    monkeypatch.setattr(probe, "DESIGN", design)
    tx = momentum(lambda m: m / (abs(m) + 1e-8))
    assert adamprox.scale_freeness(tx).verdict is TOLERANCE


@pytest.mark.parametrize(
    "index", [(3, 2), *(pytest.param(index, marks=SLOW) for index in ((0, 0), (7, 5)))]
)
def test_one_coordinate_is_caught(index):
    good = adamprox.scale_by_adam(eps=0.0)

    def update(updates, state, params=None):
        out: Any
        out, state = good.update(updates, state, params)
        one = out["matrix"].at[index].set(updates["matrix"][index])
        return jax.tree.map(lambda u: -0.01 * u, {**out, "matrix": one}), state

    assert adamprox.scale_freeness(optax.GradientTransformation(good.init, update)).verdict is NO


def test_even_and_scale_free():
    rms = optax.scale_by_rms(eps=0.0, eps_in_sqrt=False)

    def update(updates, state, params=None):
        return rms.update(jax.tree.map(lambda g: 0.01 * jnp.abs(g), updates), state, params)

    tx = optax.chain(optax.GradientTransformation(rms.init, update), optax.scale(0.01))
    assert adamprox.scale_freeness(tx).verdict is EXACT


@pytest.mark.parametrize(
    ("eps", "verdict"),
    [(0.0, EXACT), (1e-100, TOLERANCE), pytest.param(1e-30, TOLERANCE, marks=SLOW)],
)
def test_double_precision_sees_any_epsilon(x64, eps, verdict):
    params = {"a": jnp.linspace(0.5, 1, 6), "b": jnp.ones(())}
    result = adamprox.scale_freeness(optax.adam(0.01, eps=eps), params=params)
    assert result.verdict is verdict, result.reason
    ours = adamprox.scale_freeness(adamprox.adamw(0.01, eps=eps), params=params)
    assert ours.verdict is verdict, ours.reason


def test_more_steps_see_what_comes_later():
    """Signs for 20 steps, then SGD."""
    late = optax.conditionally_transform(optax.scale_by_sign(), lambda step: step < 20)
    tx = optax.chain(late, optax.scale(-0.01))
    assert adamprox.scale_freeness(tx).verdict is EXACT
    assert adamprox.scale_freeness(tx, steps=24).verdict is NO


def test_extra_arguments_and_own_parameters():
    def update(updates, state, params=None, *, value, **extra):
        return jax.tree.map(lambda g: -0.01 * jnp.sign(g) * value, updates), state

    tx = optax.GradientTransformationExtraArgs(lambda p: optax.EmptyState(), update)
    assert adamprox.scale_freeness(tx).verdict is NOT_TESTED
    params = {"a": jnp.ones((3, 2)), "b": None}
    given = adamprox.scale_freeness(tx, params=params, extra_args=lambda p, g: {"value": 1.0})
    assert given.verdict is EXACT


def test_same_answer_twice():
    tx = optax.noisy_sgd(0.01, key=0)
    first, second = adamprox.scale_freeness(tx), adamprox.scale_freeness(tx)
    assert first.details() == second.details() and first.verdict is NO


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tx": optax.adam}, TypeError, "tx must have init and update"),
        ({"make": 1.0}, TypeError, "make must be a callable"),
        ({"make": lambda eps: eps}, TypeError, "make.0.0. must have init"),
        ({"extra_args": {}}, TypeError, "extra_args must be a callable"),
        ({"params": jnp.arange(3)}, TypeError, "params must hold real"),
        ({"params": {}}, ValueError, "params must hold at least one"),
        ({"gradient_scale": 0}, ValueError, "gradient_scale must be a finite number > 0, got 0"),
        ({"gradient_scale": 1e-34}, ValueError, "gradient_scale must be from 1e-30 to 1e.30"),
        ({"gradient_scale": math.nan}, ValueError, "gradient_scale"),
        (
            {"gradient_scale": 1e-30, "exponents": (20,)},
            ValueError,
            "gradient_scale must be from 1e-27 to 1e.27 for params of these types and factors up to",
        ),
        ({"exponents": (0, 1)}, ValueError, "exponents must be a non-empty sequence"),
        ({"exponents": ()}, ValueError, "exponents"),
        ({"steps": 1}, ValueError, "steps must be an integer >= 2, got 1"),
        ({"tolerance": 1.0}, ValueError, "tolerance must be a number in .0, 1., got 1.0"),
        ({"seed": -1}, ValueError, "seed must be an integer >= 0, got -1"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        adamprox.scale_freeness(**{"tx": optax.sgd(0.1), **arguments})


def test_from_where_on_a_curve_is_within():
    assert matters_below(((0.0, 1.0), (1.0, math.nan), (2.0, 0.0)), 0.1) == 4.0
    assert matters_below(((0.0, 0.0),), 0.1) == 0.0
    assert matters_below(((0.0, 0.0), (1.0, 1.0)), 0.1) == math.inf
    assert math.isnan(matters_below((), 0.1))


def test_discovery_finds_what_users_know():
    names = {"adam", "sgd", "lbfgs", "nadamw", "contrib.muon", "contrib.dog", "contrib.sam"}
    assert names <= set(optax_aliases())


PINNED = re.search(r"^optax==(.*)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)[1]
of_the_pinned_optax = pytest.mark.skipif(
    optax.__version__ != PINNED, reason="the committed scorecard is that of the pinned Optax"
)


@of_the_pinned_optax
def test_explanations_belong_to_rows():
    rows = {e.name for e in entries()} | {f"{e.name}({e.arguments})" for e in entries()}
    assert set(EXPLANATIONS) <= rows


@of_the_pinned_optax
def test_committed_scorecard_names_every_optimizer():
    page = (ROOT / "docs" / "scale_free_scorecard.md").read_text(encoding="utf-8")
    assert f"optax {optax.__version__}" in page
    for entry in entries():
        assert f"| `{entry.name}` | " + (f"`{entry.arguments}`" if entry.arguments else "") in page


def test_scorecard_of_a_few():
    chosen = [e for e in entries() if e.name in ("sign_sgd", "polyak_sgd", "sgd")]
    page = markdown(scorecard(chosen))
    committed = (ROOT / "docs" / "scale_free_scorecard.md").read_text(encoding="utf-8")
    lines = page.splitlines()[-len(chosen) :]
    assert "| exact | exact | never |" in page
    assert set(lines) <= set(committed.splitlines())


@of_the_pinned_optax
@pytest.mark.slow
def test_committed_scorecard_is_what_the_command_writes(tmp_path):
    committed = (ROOT / "docs" / "scale_free_scorecard.md").read_text(encoding="utf-8")
    assert main(["--out", str(tmp_path / "card.md")]) == 0
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == committed


def test_every_surprise_has_a_sentence():
    """An entry that is not scale-free for every constant has a note, except plain gradient descent."""
    plain = ("sgd", "optimistic_gradient_descent")
    page = (ROOT / "docs" / "scale_free_scorecard.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 90
    for name, _, verdict, _, below, _, *note in rows:
        expected = name.strip("`") in plain or verdict == "exact" or below == "3e-02"
        assert expected or (note and note[0].strip().endswith(".")), name


def test_command_refuses_a_bad_path(tmp_path, capsys):
    pytest.importorskip("rich")
    assert main(["--out", str(tmp_path / "nowhere" / "card.md")]) == 2
    assert main(["--out", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 2
    assert not list(tmp_path.iterdir())


def test_command_runs_without_warnings():
    pytest.importorskip("rich")
    command = [sys.executable, "-W", "error", "-m", "adamprox.scale_free", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "--out" in done.stdout and not done.stderr


def test_leaves_without_entries_are_no_objection():
    params = {"empty": jnp.zeros((0,)), "full": jnp.ones(3)}
    found = adamprox.scale_freeness(adamprox.adamw(1e-3, eps=0.0), params=params)
    assert found.verdict is Verdict.EXACT


def test_float64_has_room_for_scales_that_float32_has_not():
    with jax.enable_x64(True):
        params = {"x": jnp.ones(4, jnp.float64)}
        found = adamprox.scale_freeness(
            adamprox.adamw(1e-3, eps=0.0), params=params, gradient_scale=1e-60
        )
    assert found.verdict is Verdict.EXACT


def test_hyperparameters_in_the_state_are_not_rounded():
    """One unit of rounding of β₂ = 0.99999 moves 1 − β₂ by a part in a hundred."""

    def make(learning_rate, b2):
        def depends(gradients, params):
            return jax.tree.map(lambda g: jnp.sign(g) * (1 + 0.1 * jnp.frexp(g)[0]), gradients)

        adam = optax.scale_by_adam(b2=b2, eps=0.0)
        return optax.chain(
            optax.stateless(depends), adam, optax.scale_by_learning_rate(learning_rate)
        )

    for tx in (make(0.01, 0.99999), optax.inject_hyperparams(make)(0.01, 0.99999)):
        result = adamprox.scale_freeness(tx)
        assert result.verdict is NO and result.rounding < 1e-3, result.reason


def test_a_deviation_at_other_gradient_scales_is_in_the_reason():
    tx = optax.stateless(
        lambda g, p: jax.tree.map(
            lambda x: -0.01 * jnp.sign(x) * jnp.where(abs(x) > 1e6, 2.0, 1.0), g
        )
    )
    result = adamprox.scale_freeness(tx)
    assert result.verdict is TOLERANCE and "at gradient scales from 3e+01 to 1e+09" in result.reason


def test_exponents_are_integers_of_any_type():
    params = jnp.ones(2)
    results = [
        adamprox.scale_freeness(optax.sign_sgd(0.1), params=params, exponents=e)
        for e in ([np.uint8(2), np.uint8(3)], np.array([2, 3]), (2, 3))
    ]
    assert len({r.details() for r in results}) == 1
