"""Every variant of weight decay against a transcription of its algorithm in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox import prox

ALPHA, LAM, DELTA, RADIUS, STEPS, SIZE = 0.01, 0.02, 0.3, 0.9, 1000, 8
START = np.linspace(-1.5, 1.5, SIZE)
GRADIENTS = np.random.default_rng(0).standard_normal((STEPS, SIZE)) * np.logspace(-3, 3, SIZE) + 0.1


def eta(t):
    return 2.0 * (1 - (t.astype(float) if hasattr(t, "astype") else t) / STEPS)


def cautious(x, d, t):
    """CWD: x − η(d + λ I(d ⊙ x ≥ 0) ⊙ x), written with λ per step."""
    return x - eta(t) * (ALPHA * d + LAM * (d * x >= 0) * x)


def corrected(x, d, t):
    """AdamC: the decay is wd γ_t²/γ_max for the learning rate γ_t."""
    gamma, largest, wd = ALPHA * eta(t), ALPHA * eta(0), LAM / ALPHA
    return x - gamma * d - wd * gamma**2 / largest * x


def huber(x, d, t):
    """AdamHD: the proximal step of Huber's function after Adam's."""
    z, tau = x - ALPHA * eta(t) * d, eta(t) * LAM
    beyond = np.abs(z) > (1 + tau) * DELTA
    return np.where(beyond, z - tau * DELTA * np.sign(z), z / (1 + tau))


def to_init(x, d, t):
    """L2-SP, decoupled."""
    return x - ALPHA * eta(t) * d - eta(t) * LAM * (x - START)


def ball(x, d, t):
    """A norm constraint in place of decay: projection after each step."""
    z = x - ALPHA * eta(t) * d
    return z * min(1.0, RADIUS / np.linalg.norm(z))


VARIANTS = {
    "cautious": (cautious, adamprox.cautious_decay(LAM, eta)),
    "corrected": (corrected, adamprox.corrected_decay(LAM, eta, peak=eta(0))),
    "huber": (huber, adamprox.huber_decay(LAM, eta, delta=DELTA)),
    "to_init": (to_init, adamprox.decay_to_init(LAM, eta)),
    "ball": (ball, adamprox.proximal(lambda x, t: prox.l2_ball(x, t, RADIUS), 1.0)),
}
MAKERS = (
    adamprox.cautious_decay,
    adamprox.corrected_decay,
    adamprox.huber_decay,
    adamprox.decay_to_init,
)


def transcription(decayed):
    """Adam with one variant of decay, after Kingma and Ba's Algorithm 1."""
    x, m, v = START.copy(), np.zeros(SIZE), np.zeros(SIZE)
    for t, g in enumerate(GRADIENTS):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        d = m / (1 - 0.9 ** (t + 1)) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)
        x = decayed(x, d, t)
    return x


def run(tx, x, gradients):
    def step(carry, g):
        x, state = carry
        updates, state = tx.update(g, state, x)
        return (optax.apply_updates(x, updates), state), None

    return jax.lax.scan(step, (x, tx.init(x)), gradients)[0][0]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_thousand_steps_equal_the_transcription(x64, name):
    decayed, variant = VARIANTS[name]
    tx = optax.chain(adamprox.adam_direction(ALPHA, schedule=eta), variant)
    x = run(tx, jnp.asarray(START), jnp.asarray(GRADIENTS))
    np.testing.assert_allclose(x, transcription(decayed), rtol=0, atol=1e-12)


def test_cautious_decay_refuses_complex_parameters():
    tx, x = adamprox.cautious_decay(0.05), jnp.ones(2, jnp.complex64)
    with pytest.raises(TypeError, match="params must be real for cautious_decay, got complex64"):
        tx.update(x, tx.init(x), x)


def test_cautious_decay_needs_signs_only_and_decays_where_nothing_moves():
    tx, x = adamprox.cautious_decay(0.0625), jnp.array([1e-30, 2.0, -2.0])
    updates, _ = tx.update(jnp.array([1e-30, 0.0, 1e-30]), tx.init(x), x)
    np.testing.assert_array_equal(updates, np.float32([1e-30, -0.125, 0.125]))


def test_adamw_stays_within_its_box(x64):
    """‖x‖_∞ ≤ α/λ for β₁ = β₂, where |u| ≤ 1 (Xie and Li, arXiv 2404.04454)."""
    tx = adamprox.adamw(ALPHA, 0.9, 0.9, eps=0.0, weight_decay=LAM)
    x = run(tx, jnp.zeros(SIZE), -jnp.ones((300, SIZE)))
    assert jnp.all(x <= ALPHA / LAM * (1 + 1e-12)) and jnp.all(x > 0.99 * ALPHA / LAM)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_scale_free(name):
    tx = optax.chain(adamprox.adam_direction(ALPHA, eps=0.0), VARIANTS[name][1])
    found = adamprox.scale_freeness(tx, params=jnp.array([1.0, -0.5, 2.0]))
    assert found.verdict.value == "exact", found.reason


@pytest.mark.parametrize("make", MAKERS)
def test_masks_dtypes_and_missing_leaves(make):
    params = {"w": jnp.full(3, 2.0, jnp.bfloat16), "b": jnp.ones(2), "frozen": jnp.ones(2)}
    still = {"w": jnp.zeros(3, jnp.bfloat16), "b": jnp.zeros(2), "frozen": None}
    later = jax.tree.map(lambda p: 2 * p, params)
    tx = make(0.0625, mask={"w": True, "b": False, "frozen": True})
    updates, _ = jax.jit(tx.update)(still, tx.init(params), later)
    assert updates["w"].dtype == jnp.bfloat16 and jnp.all(updates["w"] < 0)
    assert jnp.all(updates["b"] == 0) and updates["frozen"] is None
    assert optax.tree.get(make(lambda t: 0.1 * t).init(params), "count") == 0


@pytest.mark.parametrize("make", MAKERS)
def test_bad_arguments_and_missing_parameters(make):
    for bad in ({"weight_decay": -1.0}, {"weight_decay": 0.01, "schedule": -1.0}):
        with pytest.raises(ValueError, match="must be a number >= 0"):
            make(**bad)
    with pytest.raises(ValueError, match="params must be passed"):
        make(0.01).update(jnp.ones(2), make(0.01).init(jnp.ones(2)))
    with pytest.raises(ValueError, match="peak"):
        adamprox.corrected_decay(0.01, peak=0.0)
    with pytest.raises(ValueError, match="delta"):
        adamprox.huber_decay(0.01, delta=-1.0)


@pytest.mark.parametrize("name", ["cautious_decay", "corrected_decay", "decay_to_init"])
def test_a_large_decay_warns(name):
    with pytest.warns(UserWarning, match="λη = 0.1") as caught:
        getattr(adamprox, name)(0.1)
    assert len(caught) == 1 and caught[0].filename == __file__
