"""FISTA on lasso, group lasso and matrix completion: duality gaps, rates, restarts, line search."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adamprox import fista, prox, proximal

GROUPS = prox.per_output_channel(prox.l2)


class Problem:
    """Minimize ½‖A(x) − b‖² + λR(x) from 0, for a linear A."""

    def __init__(self, operator, b, shape, weight, prox, norm, dual_norm):
        self.operator, self.b, self.start = operator, b, jnp.zeros(shape)
        self.weight, self.prox, self.norm, self.dual_norm = weight, prox, norm, dual_norm

    def smooth(self, x):
        return jnp.sum((self.operator(x) - self.b) ** 2) / 2

    def objective(self, x):
        return self.smooth(x) + self.weight * self.norm(x)

    def gap(self, x):
        """Objective minus a lower bound: ⟨b, r⟩ − ½‖r‖² of any r with R°(Aᵀr) ≤ λ."""
        residual = self.b - self.operator(x)
        (back,) = jax.vjp(self.operator, x)[1](residual)
        r = residual * jnp.minimum(1, self.weight / self.dual_norm(back))
        return self.objective(x) - (jnp.vdot(self.b, r) - jnp.sum(r**2) / 2)


def spectral(x):
    return jnp.linalg.svd(x, compute_uv=False)


def make(name):
    rng = np.random.default_rng(0)
    if name == "nuclear":
        low_rank = rng.standard_normal((20, 2)) @ rng.standard_normal((2, 15))
        seen = jnp.asarray(rng.random((20, 15)) < 0.5, float)
        norms = (lambda x: jnp.sum(spectral(x)), lambda x: jnp.max(spectral(x)))
        completed = functools.partial(jnp.multiply, seen)
        return Problem(completed, seen * low_rank, (20, 15), 0.5, prox.nuclear, *norms), 1.0
    a = jnp.asarray(rng.standard_normal((40, 60)))
    bound = 1 / float(np.linalg.norm(a, 2)) ** 2
    if name == "lasso":
        b = a @ jnp.asarray(np.where(np.arange(60) < 5, 1.0, 0.0)) + rng.standard_normal(40) / 10
        norms = (lambda x: jnp.sum(jnp.abs(x)), lambda x: jnp.max(jnp.abs(x)))
        return Problem(lambda x: a @ x, b, 60, 2.0, prox.l1, *norms), bound
    truth = np.where(np.arange(20) < 3, 1.0, 0.0) * np.ones((3, 1))
    b = a @ jnp.asarray(truth.ravel()) + rng.standard_normal(40) / 10
    lengths = functools.partial(jnp.linalg.norm, axis=0)
    norms = (lambda x: jnp.sum(lengths(x)), lambda x: jnp.max(lengths(x)))
    return Problem(lambda x: a @ x.ravel(), b, (3, 20), 2.0, GROUPS, *norms), bound


def solve(problem, tx, steps):
    """Return the last solution and its objective after every step."""

    def step(carry, _):
        y, state = carry
        value, grad = jax.value_and_grad(problem.smooth)(y)
        extra = {"value": value, "grad": grad, "value_fn": problem.smooth}
        updates, state = tx.update(grad, state, y, **extra)
        y = optax.apply_updates(y, updates)
        x = optax.tree.get(state, "solution", y)
        return (y, state), problem.objective(x)

    @jax.jit
    def run(y):
        (y, state), values = jax.lax.scan(step, (y, tx.init(y)), length=steps)
        return optax.tree.get(state, "solution", y), values, optax.tree.get(state, "step")

    return run(problem.start)


@pytest.mark.parametrize("name", ["lasso", "group lasso", "nuclear"])
def test_reaches_the_minimum(x64, name):
    """A duality gap bounds the distance to the minimum, without another solver."""
    problem, size = make(name)
    x, values, _ = solve(problem, fista(size, problem.prox, problem.weight), 1500)
    assert -1e-12 < problem.gap(x) < 1e-10 * values[-1]
    assert problem.gap(problem.start) > 1


@pytest.mark.parametrize("name", ["lasso", "group lasso", "nuclear"])
def test_line_search_reaches_the_minimum_from_a_large_step(x64, name):
    problem, size = make(name)
    tx = fista(1e6 * size, problem.prox, problem.weight, max_backtracking_steps=40)
    x, values, found = solve(problem, tx, 1500)
    assert problem.gap(x) < 1e-10 * values[-1]
    assert size / 2 < found < 100 * size


@pytest.mark.parametrize("name", ["lasso", "group lasso", "nuclear"])
@pytest.mark.filterwarnings("ignore")
def test_objective_of_jaxopt(x64, name):
    """Objectives differed by at most 6e-15 with JAXopt 0.8.5; JAXopt is not a dependency."""
    jaxopt = pytest.importorskip("jaxopt")
    problem, size = make(name)
    solver = jaxopt.ProximalGradient(
        problem.smooth,
        lambda x, weight, scaling: problem.prox(x, scaling * weight),
        stepsize=size,
        maxiter=20_000,
        tol=1e-12,
    )
    theirs = problem.objective(solver.run(problem.start, problem.weight).params)
    x, *_ = solve(problem, fista(size, problem.prox, problem.weight), 1500)
    assert abs(problem.objective(x) - theirs) <= 1e-8


def test_rates(x64):
    """FISTA satisfies 2‖x₀ − x*‖²/(s(k+1)²), ISTA does not; restarts converge linearly."""
    rng = np.random.default_rng(0)
    a = jnp.asarray(rng.standard_normal((80, 60)) * np.logspace(0, -1, 60))
    b, size = a @ jnp.ones(60), 1 / float(np.linalg.norm(a, 2)) ** 2
    problem = Problem(lambda x: a @ x, b, 60, 0.1, prox.l1, lambda x: jnp.sum(jnp.abs(x)), None)
    arguments = (size, prox.l1, problem.weight)
    best, values, _ = solve(problem, fista(*arguments), 3000)

    def errors(tx):
        return np.asarray(solve(problem, tx, 500)[1] - values[-1])

    plain, restarted = errors(fista(*arguments, restart=False)), errors(fista(*arguments))
    ista = errors(optax.chain(optax.sgd(size), proximal(prox.l1, size * problem.weight)))
    bound = 2 * np.sum(np.square(best)) / (size * np.arange(2, 502) ** 2)
    assert np.all(plain <= bound) and np.any(ista > bound)
    assert plain[-1] < ista[-1] / 1e3 and restarted[-1] < plain[-1] / 1e3


def test_first_steps_equal_the_algorithm(x64):
    problem, size = make("lasso")
    a = np.asarray(jax.jacobian(problem.operator)(problem.start))
    b, x, y, t = np.asarray(problem.b), np.zeros(60), np.zeros(60), 1.0
    for _ in range(50):
        z = y - size * a.T @ (a @ y - b)
        before, x = x, np.sign(z) * np.maximum(np.abs(z) - size * problem.weight, 0)
        grown = (1 + np.sqrt(1 + 4 * t * t)) / 2
        y, t = x + (t - 1) / grown * (x - before), grown
    tx = fista(size, problem.prox, problem.weight, restart=False)
    np.testing.assert_allclose(solve(problem, tx, 50)[0], x, rtol=0, atol=1e-12)


def test_search_in_single_precision_keeps_its_step():
    """Near the minimum, rounding of f and of its slopes does not make the step vanish."""
    problem, size = make("lasso")
    for weight in (problem.weight, 1e-2):
        tx = fista(1.0, problem.prox, weight, max_backtracking_steps=30)
        assert solve(problem, tx, 3000)[2] > size / 2


def test_masks_missing_leaves_and_dtypes():
    params = {"w": jnp.ones(3, jnp.bfloat16), "b": jnp.ones(2), "frozen": jnp.ones(2), "no": None}
    given = {
        "w": jnp.full(3, 0.25, jnp.bfloat16),
        "b": jnp.full(2, 0.25),
        "frozen": None,
        "no": None,
    }
    tx = fista(1.0, prox.l1, 2.0, mask=lambda tree: {**dict.fromkeys(tree, True), "b": False})
    state = tx.init(params)
    updates, after = jax.jit(tx.update)(given, state, params)
    assert jax.tree.map(jnp.result_type, after) == jax.tree.map(jnp.result_type, state)
    solution = optax.tree.get(after, "solution")
    assert updates["w"].dtype == jnp.bfloat16 and jnp.all(solution["w"] == 0)
    assert jnp.all(solution["b"] == 0.75) and updates["frozen"] is updates["no"] is None
    assert jnp.all(solution["frozen"] == 1)


def test_inside_masked_and_with_injected_hyperparameters():
    params = {"w": jnp.ones(3), "other": jnp.ones(2)}
    tx = optax.masked(fista(1.0, prox.l1, 2.0), {"w": True, "other": False})
    updates, _ = tx.update(params, tx.init(params), params)
    assert jnp.all(updates["w"] == -1) and jnp.all(updates["other"] == 1)
    tx = optax.inject_hyperparams(fista, static_args=("prox",))(
        step=optax.linear_schedule(1.0, 0.5, 2),
        prox=prox.l1,
        weight=0.25,
        restart=True,
        decrease_factor=0.5,
        max_backtracking_steps=3,
    )
    value = lambda p: jnp.sum(p["w"] ** 2) / 2 + jnp.sum(p["other"])  # noqa: E731
    loss, grad = jax.value_and_grad(value)(params)
    update = jax.jit(functools.partial(tx.update, value_fn=value))
    updates, state = update(grad, tx.init(params), params, value=loss, grad=grad)
    assert jnp.all(optax.tree.get(state, "solution")["w"] == 0)
    assert jnp.all(optax.tree.get(state, "solution")["other"] == 0)


def test_schedules_and_arguments_of_the_function():
    """Weights may fall from step to step; the function gets the batch."""
    tx = fista(1.0, prox.l1, lambda count: 0.5 / (count + 1.0), max_backtracking_steps=5)
    x, state = jnp.zeros(2), tx.init(jnp.zeros(2))
    fn = lambda x, target: jnp.sum((x - target) ** 2) / 2  # noqa: E731
    for expected in (0.5, 0.75):
        value, grad = jax.value_and_grad(fn)(x, 1.0)
        extra = {"value": value, "grad": grad, "value_fn": fn, "target": 1.0}
        updates, state = tx.update(grad, state, x, **extra)
        x = optax.apply_updates(x, updates)
        assert jnp.all(optax.tree.get(state, "solution") == expected)


def test_a_failed_search_returns_to_the_solution():
    tx = fista(1e30, prox.l1, 0.0, max_backtracking_steps=2, decrease_factor=0.1)
    fn = lambda x: jnp.sum(x**4)  # noqa: E731

    @jax.jit
    def step(x, state):
        value, grad = jax.value_and_grad(fn)(x)
        updates, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=fn)
        return optax.apply_updates(x, updates), state

    x = jnp.ones(2)
    state = tx.init(x)
    for number in range(20):
        x, state = step(x, state)
        assert number > 5 or jnp.all(x == 1)
    assert jnp.all(jnp.abs(x) < 1)


def test_complex_parameters():
    target, x = jnp.array([3 + 4j, 0.3j]), jnp.zeros(2, complex)
    fn = lambda x: jnp.sum(jnp.abs(x - target) ** 2) / 2  # noqa: E731
    tx = fista(8.0, prox.l1, 1.0, max_backtracking_steps=10)
    state = tx.init(x)
    for _ in range(3):
        value, grad = jax.value_and_grad(fn)(x)
        updates, state = tx.update(jnp.conj(grad), state, x, value=value, grad=grad, value_fn=fn)
        x = optax.apply_updates(x, updates)
    np.testing.assert_allclose(optax.tree.get(state, "solution"), [2.4 + 3.2j, 0], atol=1e-6)


def test_bad_arguments():
    with pytest.raises(TypeError, match="prox must be a callable"):
        fista(0.1, 0.1)  # pyright: ignore
    with pytest.raises(ValueError, match="step must be a number >= 0"):
        fista(-0.1, prox.l1)
    x = jnp.ones(2)
    with pytest.raises(ValueError, match="params must be passed"):
        fista(0.1, prox.l1).update(x, fista(0.1, prox.l1).init(x))
    tx = fista(0.1, prox.l1, max_backtracking_steps=3)
    with pytest.raises(ValueError, match="needs value, grad and value_fn"):
        tx.update(x, tx.init(x), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_backtracking_steps": -1}, "max_backtracking_steps must be an integer >= 1 or None"),
        ({"max_backtracking_steps": 2.5}, "max_backtracking_steps must be an integer >= 1 or None"),
        ({"decrease_factor": 2.0}, "decrease_factor must be between 0 and 1, got 2.0"),
        ({"decrease_factor": np.nan}, "decrease_factor must be between 0 and 1, got nan"),
    ],
)
def test_bad_arguments_of_the_line_search(options, message):
    with pytest.raises(ValueError, match=message):
        fista(1.0, prox.l1, **options)
