"""The digits, and what can be made of any data set."""

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_digits

import adamprox
from adamprox.data import Dataset, Split
from adamprox.data.dataset import channel_statistics


def test_digits_are_all_there_and_read_only():
    digits = adamprox.data.load("digits")
    images = np.concatenate([digits.train.images, digits.test.images])
    labels = np.concatenate([digits.train.labels, digits.test.labels])
    raw, raw_labels = load_digits(return_X_y=True)
    rows = lambda x, y: sorted(map(bytes, np.column_stack([x, y]).astype(np.uint8)))  # noqa: E731
    back = np.round(images.reshape(-1, 64) * (16 / 255))
    assert rows(back, labels) == rows(raw, raw_labels)
    assert images.dtype == np.uint8 and labels.dtype == np.int32 and digits.num_classes == 10
    with pytest.raises(ValueError, match="read-only"):
        digits.train.images[0] = 0


def test_digits_do_not_change():
    # Cells that have a record are found by this: another fingerprint trains everything again.
    assert adamprox.data.load("digits").fingerprint == "e362ac6345739f11"


def test_statistics_are_those_of_the_training_images():
    digits = adamprox.data.load("digits")
    scaled = digits.train.images / 255
    np.testing.assert_allclose(digits.mean, scaled.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(digits.std, scaled.std((0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 999, 1001, 2500])
def test_statistics_against_float64(count):
    images = np.random.default_rng(count).integers(0, 256, (count, 3, 2, 3), dtype=np.uint8)
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-6)


def test_statistics_of_white_images_do_not_overflow():
    mean, std = channel_statistics(np.full([3000, 2, 2, 1], 255, np.uint8))
    assert mean == 1 and std == 0


def test_unknown_data_sets_are_named():
    with pytest.raises(
        ValueError, match="data set must be one of 'cifar10', 'cifar100', 'digits', got 'mnist'"
    ):
        adamprox.data.load("mnist")


def rows(split):
    return {
        (bytes(image), int(label)) for image, label in zip(split.images, split.labels, strict=True)
    }


def test_validation_is_disjoint_exhaustive_and_seeded():
    digits = adamprox.data.load("digits")
    held_out = digits.with_validation(100, seed=3)
    train, validation = rows(held_out.train), rows(held_out.validation)
    assert (len(held_out.train), len(held_out.validation)) == (412, 100)
    assert not train & validation and train | validation == rows(digits.train)
    assert held_out.test is digits.test and held_out.mean is digits.mean
    assert held_out.fingerprint == digits.with_validation(100, seed=3).fingerprint
    assert held_out.fingerprint not in (digits.fingerprint, digits.with_validation(100).fingerprint)


def test_validation_does_not_change():
    # RandomState(0).permutation(10)[:3] is 2, 8, 4; both parts keep the order.
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    split = Split(images, np.zeros(10, np.int32))
    data = Dataset("ten", split, split, 1, *channel_statistics(images)).with_validation(3, seed=0)
    assert data.validation.images.ravel().tolist() == [2, 4, 8]
    assert data.train.images.ravel().tolist() == [0, 1, 3, 5, 6, 7, 9]


@pytest.mark.parametrize(
    ("size", "seed", "message"),
    [
        (0, 0, "size must be a whole number from 1 to 511, got 0"),
        (512, 0, "size must be a whole number from 1 to 511, got 512"),
        (0.1, 0, "size must be a whole number from 1 to 511, got 0.1"),
        (True, 0, "size must be a whole number from 1 to 511, got True"),
        (9, -1, "seed must be a whole number from 0 to 4294967295, got -1"),
    ],
)
def test_validation_refuses(size, seed, message):
    with pytest.raises(ValueError, match=message):
        adamprox.data.load("digits").with_validation(size, seed)


def test_a_second_validation_split_is_refused():
    with pytest.raises(ValueError, match="digits has a validation split of 5 already"):
        adamprox.data.load("digits").with_validation(5).with_validation(5)


@pytest.mark.parametrize("side", [8, 4, 2, 1])
def test_pooled_images_are_averages(side):
    digits = adamprox.data.load("digits").with_validation(12)
    pooled = digits.pooled(side)
    block = 8 // side
    for name in ("train", "test", "validation"):
        images = getattr(digits, name).images.astype(float)
        means = images.reshape(-1, side, block, side, block, 1).mean((2, 4))
        ours = getattr(pooled, name)
        np.testing.assert_array_equal(ours.images, np.floor(means + 0.5))
        np.testing.assert_array_equal(ours.labels, getattr(digits, name).labels)
    assert (pooled.fingerprint == digits.fingerprint) == (side == 8)
    first = adamprox.data.load("digits").pooled(side)
    for name in ("mean", "std"):
        np.testing.assert_array_equal(getattr(pooled, name), getattr(first, name))
    np.testing.assert_allclose(first.mean, (first.train.images / 255).mean((0, 1, 2)), rtol=1e-6)


def test_datasets_are_compared_by_identity():
    digits = adamprox.data.load("digits")
    assert digits == digits and digits != digits.pooled(8) and len({digits, digits.train}) == 2


@pytest.mark.parametrize(
    ("side", "message"), [(3, "side must divide 8 and 8, got 3"), (16, "side")]
)
def test_pooling_refuses(side, message):
    with pytest.raises(ValueError, match=message):
        adamprox.data.load("digits").pooled(side)


def test_everything_is_read_only():
    digits = adamprox.data.load("digits").with_validation(9).pooled(4)
    for array in (digits.validation.images, digits.train.labels, digits.mean, digits.std):
        assert not array.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.name = "other"


def test_a_data_set_shows_its_shapes():
    digits = adamprox.data.load("digits")
    text = "Dataset('digits', train=Split(uint8[512, 8, 8, 1], int32[512]), test=Split(uint8[1285, 8, 8, 1], int32[1285]), num_classes=10)"
    assert repr(digits) == text
    with pytest.raises(TypeError, match="index must be a slice or an index array, got 0"):
        digits.train[0]
