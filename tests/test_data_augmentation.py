"""Augmentation: exact against NumPy, uniform, and a function of seed and step."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import strategies as st

from adamprox.data.augmentation import Draws, augment, augmentation_key, draw, transform


def oracle(draws, images, pad):
    """One image after the other, as the paper's training code does it."""
    out = np.empty_like(images)
    height, width = images.shape[1:3]
    for i, image in enumerate(images):
        image = image[:, ::-1] if draws.flip[i] else image
        image = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
        down, right = draws.down[i], draws.right[i]
        out[i] = image[down : down + height, right : right + width]
    return out


jit_transform = jax.jit(transform, static_argnums=2)


def random_images(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@hypothesis.settings(max_examples=6)  # every shape compiles
@hypothesis.given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)),
    pad=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_transform_is_flip_pad_crop(shape, pad, seed):
    rng = np.random.default_rng(seed)
    offsets = rng.integers(0, 2 * pad + 1, (2, shape[0]))
    draws = Draws(rng.integers(0, 2, shape[0]), *offsets)
    images = random_images(seed, *shape)
    ours = jit_transform(Draws(*map(jnp.asarray, draws)), images, pad)
    assert ours.dtype == jnp.uint8
    np.testing.assert_array_equal(ours, oracle(draws, images, pad))


def test_every_offset_at_the_corners():
    images = random_images(1, 8, 32, 32, 3)
    corners = np.array([(f, d, r) for f in (0, 1) for d in (0, 8) for r in (0, 8)])
    draws = Draws(*corners.T)
    ours = jit_transform(Draws(*map(jnp.asarray, draws)), images, 4)
    np.testing.assert_array_equal(ours, oracle(draws, images, 4))


def test_augment_is_its_parts_in_a_compiled_scan():
    images = random_images(2, 16, 8, 8, 3)
    keys = jax.vmap(augmentation_key, (None, 0))(3, jnp.arange(5))
    scan = jax.jit(lambda keys: jax.lax.scan(lambda c, k: (c, augment(k, images)), 0, keys)[1])
    for key, batch in zip(keys, scan(keys), strict=True):
        draws = Draws(*map(np.asarray, draw(key, 16, 4)))
        np.testing.assert_array_equal(batch, oracle(draws, images, 4))


def test_draws_are_uniform_and_independent():
    flip, down, right = map(np.asarray, draw(jax.random.key(0), 162_000, 4))
    assert {flip.min(), down.min(), right.min()} == {0}
    assert (flip.max(), down.max(), right.max()) == (1, 8, 8)
    # 2 × 9 × 9 outcomes, a thousand expected of each. With this key the p-value is what it is; of
    # uniform draws one key in a thousand would fail.
    counts = np.bincount((flip * 9 + down) * 9 + right, minlength=162)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_images_of_a_batch_are_drawn_independently():
    draws = draw(jax.random.key(1), 20_000, 4)
    for one in map(np.asarray, draws):
        assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 4 / np.sqrt(20_000)


def test_a_function_of_seed_and_step():
    images = random_images(3, 32, 8, 8, 1)
    batch = jax.jit(lambda seed, step: augment(augmentation_key(seed, step), images))
    eager = augment(augmentation_key(5, 9), jnp.asarray(images))
    np.testing.assert_array_equal(batch(5, 9), eager)
    assert np.any(batch(5, 9) != batch(5, 10)) and np.any(batch(5, 9) != batch(6, 9))


def test_keys_are_not_those_of_the_order_of_examples():
    order = jax.random.fold_in(jax.random.key(4), 7)
    ours = augmentation_key(4, 7)
    assert np.any(jax.random.key_data(order) != jax.random.key_data(ours))


def test_cells_side_by_side():
    images = random_images(4, 8, 8, 8, 3)
    keys = jax.vmap(augmentation_key, (0, None))(jnp.arange(3), 11)
    together = jax.jit(jax.vmap(augment, (0, None)))(keys, images)
    alone = jax.jit(augment)
    for key, batch in zip(keys, together, strict=True):
        np.testing.assert_array_equal(batch, alone(key, images))


def test_padding_is_black_and_pixels_survive():
    batch = augment(jax.random.key(2), jnp.full([64, 8, 8, 1], 200, jnp.uint8))
    assert set(np.unique(batch)) == {0, 200}


def test_refuses():
    with pytest.raises(ValueError, match=r"images must be uint8\[N, H, W, C\], got float32"):
        augment(jax.random.key(0), jnp.zeros([1, 8, 8, 1]))
    with pytest.raises(ValueError, match="pad must be >= 0, got -1"):
        augment(jax.random.key(0), jnp.zeros([1, 8, 8, 1], jnp.uint8), pad=-1)


def test_no_images_are_no_images():
    images = jnp.zeros((0, 8, 8, 3), jnp.uint8)
    assert augment(jax.random.key(0), images).shape == images.shape
