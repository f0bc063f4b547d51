"""The digits, and the quadratics."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import adamprox
from adamprox.problems import quadratic


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


def test_statistics_are_those_of_the_training_images():
    digits = adamprox.data.load("digits")
    scaled = digits.train.images / 255
    np.testing.assert_allclose(digits.mean, scaled.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(digits.std, scaled.std((0, 1, 2)), rtol=1e-6)


def test_unknown_data_sets_are_named():
    with pytest.raises(ValueError, match="data set must be 'digits', got 'mnist'"):
        adamprox.data.load("mnist")


def test_quadratic_has_its_condition_number_and_minimizer():
    problem = quadratic(1e5, (1.0, -2.0, 3.0))
    np.testing.assert_allclose(problem.curvatures[-1] / problem.curvatures[0], 1e5, rtol=1e-5)
    assert np.all(problem.gradient(problem.minimizer) == 0)
    assert problem.value(problem.minimizer + 0.1) > 0


@pytest.mark.parametrize("kappa", [0.5, float("inf"), float("nan"), -1])
def test_quadratic_refuses(kappa):
    with pytest.raises(ValueError, match="condition_number must be finite and >= 1"):
        quadratic(kappa)
