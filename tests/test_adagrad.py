"""AdaGrad, Algorithms 2 and 3, against their formulas and their bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox


def run(tx, gradient, x, steps):
    """x_1 … x_{T+1} and the final state."""

    def step(carry, t):
        x, state = carry
        updates, state = tx.update(gradient(x, t), state, x)
        new = optax.apply_updates(x, updates)
        return (new, state), x

    @jax.jit
    def loop(x):
        return jax.lax.scan(step, (x, tx.init(x)), jnp.arange(steps))

    (last, state), path = loop(jnp.asarray(x))
    return jnp.concatenate([path, last[None]]), state


def test_follows_the_formula_and_averages_its_iterates(x64):
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(50, 6)) * np.logspace(-9, 9, 6)
    gradients[:, 2] = 0
    x = expected = rng.normal(size=6)
    radius, total, points = 0.7, np.zeros(6), [x]
    for g in gradients:
        total = total + g**2
        step = np.divide(g, np.sqrt(total), out=np.zeros(6), where=total > 0)
        moved = expected - np.sqrt(2) * radius * step
        expected = np.clip(moved, x - radius, x + radius)
        points.append(expected)
    path, state = run(adamprox.adagrad(radius), lambda _, t: jnp.asarray(gradients)[t], x, 50)
    np.testing.assert_allclose(path, points, rtol=0, atol=1e-12)
    np.testing.assert_allclose(state.average, np.mean(points[:-1], axis=0), rtol=0, atol=1e-12)
    assert np.all(path[:, 2] == x[2])


@pytest.mark.parametrize("seed", range(5))
def test_theorem_2_bounds_the_regret_of_any_linear_losses(x64, seed):
    """The worst comparator in K of linear losses is a corner, known in closed form."""
    rng = np.random.default_rng(seed)
    drift = rng.normal(size=4) * np.logspace(-3, 3, 4)
    gradients = rng.normal(size=(300, 4)) * np.logspace(-3, 3, 4) + rng.uniform(0, 1) * drift
    radius, x = 0.5, rng.normal(size=4)
    path, _ = run(adamprox.adagrad(radius), lambda _, t: jnp.asarray(gradients)[t], x, 300)
    best = np.sum((x - radius * np.sign(gradients.sum(0))) * gradients.sum(0))
    regret = np.sum(path[:-1] * gradients) - best
    bound = np.sqrt(2) * 2 * radius * np.sqrt((gradients**2).sum(0)).sum()
    assert regret <= bound
    assert regret > 0.05 * bound  # the bound is of the right size, not just large


def rotated_quadratic(condition_number, dimension=3):
    """f(x) = ½ (x − x*)ᵀ H (x − x*) with eigenvalues 1 … κ in a random basis."""
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    hessian = basis @ np.diag(np.geomspace(1, condition_number, dimension)) @ basis.T
    return jnp.asarray(hessian), jnp.asarray(rng.uniform(-1, 1, dimension))


@pytest.mark.parametrize("condition_number", [1.0, 5.0, 30.0])
def test_theorem_3_halves_the_distance_every_round(x64, condition_number):
    hessian, minimizer = rotated_quadratic(condition_number)
    steps, rounds = int(128 * 3 * condition_number), 6
    tx = adamprox.adagrad_with_restarts(1.0, steps)
    path, state = run(tx, lambda x, _: hessian @ (x - minimizer), np.zeros(3), rounds * steps)
    for k in range(1, rounds + 1):
        assert np.max(np.abs(path[k * steps] - minimizer)) <= 0.5**k
    np.testing.assert_allclose(state.radius, 0.5**rounds)
    assert state.count == 0


def test_the_condition_number_of_a_diagonal_quadratic_does_not_matter():
    tx = adamprox.adagrad_with_restarts(2.0, 40)

    @jax.jit  # one program, so that both problems are rounded alike
    def solve(curvatures):
        return run(tx, lambda x, _: curvatures * (x - 1.0), jnp.zeros(3), 400)[0]

    paths = [solve(h) for h in (jnp.ones(3), jnp.asarray(np.exp2([-20.0, 0.0, 20.0]), jnp.float32))]
    assert np.array_equal(*paths)
    assert np.max(np.abs(paths[0][-1] - 1.0)) < 2.0 / 2**9


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sums_and_averages_do_not_stall_in_half_precision(dtype):
    steps = 1500
    sizes = jnp.linspace(0.5, 1.5, steps).astype(dtype)
    x = jnp.zeros(1, dtype)
    for tx in (adamprox.adagrad(1.0), adamprox.adagrad_with_restarts(1.0, steps + 1)):
        path, state = run(tx, lambda x, t: jnp.ones(1, dtype) * sizes[t], x, steps)
        assert path.dtype == dtype
        total = np.sqrt(np.sum(np.asarray(sizes, np.float64) ** 2))
        np.testing.assert_allclose(state.root_sum, total, rtol=1e-4)
        mean = np.mean(np.asarray(path[:-1], np.float64))
        np.testing.assert_allclose(state.average, mean, rtol=1e-4)


def test_trees_jit_and_vmap():
    params = {"a": jnp.ones((2, 2)), "b": jnp.zeros(())}
    for tx in (adamprox.adagrad(1.0), adamprox.adagrad_with_restarts(1.0, 2)):
        state = tx.init(params)
        for _ in range(3):
            _, new = jax.jit(tx.update)(params, state, params)
            assert jax.tree.structure(new) == jax.tree.structure(state)
            state = new


def test_radius_may_be_batched():
    def step(radius):
        tx = adamprox.adagrad(radius)
        return tx.update(jnp.ones(2), tx.init(jnp.ones(2)), jnp.ones(2))[0]

    np.testing.assert_allclose(jax.vmap(step)(jnp.array([1.0, 2.0]))[:, 0], [-1.0, -2.0])


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, np.float64(2), np.int32(0)])
def test_bad_arguments_are_named(steps):
    with pytest.raises(ValueError, match="steps_per_round must be a positive integer, got"):
        adamprox.adagrad_with_restarts(1.0, steps)
    with pytest.raises(ValueError, match="radius must be a number >= 0, got -1"):
        adamprox.adagrad(-1.0)


@pytest.mark.parametrize("make", [adamprox.adagrad, lambda r: adamprox.adagrad_with_restarts(r, 3)])
def test_the_state_shares_no_memory_with_the_radius(make):
    radius, x = jnp.float32(0.1), {"w": jnp.ones(3)}
    injected = optax.inject_hyperparams(adamprox.adagrad)(0.1)
    for tx in (make(radius), injected):
        step = jax.jit(lambda g, s, x, tx=tx: tx.update(g, s, x)[1], donate_argnums=1)
        step(x, tx.init(x), x)
    assert not radius.is_deleted()
