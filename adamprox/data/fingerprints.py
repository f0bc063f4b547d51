"""Fingerprints and sizes of the data sets in the keys of runs, without reading the images."""

import functools
import os
import re
from typing import NamedTuple

from adamprox.data.dataset import Dataset
from adamprox.data.layout import IMAGE_SHAPE, LAYOUTS

VARIABLE = "ADAMPROX_FINGERPRINTS"
"""Environment variable that names other copies, as in ``cifar10=0123456789abcdef,cifar100=…``."""
FINGERPRINT = "[0-9a-f]{16}"
"""Pattern of a fingerprint."""


class Expected(NamedTuple):
    """A data set as runs expect it.

    Attributes:
      fingerprint: `adamprox.data.Dataset.fingerprint` of the copy; part of the key of every run.
      train: Number of training images.
      test: Number of test images.
      image_shape: Height, width and channels.
      num_classes: Number of classes.
    """

    fingerprint: str
    train: int
    test: int
    image_shape: tuple[int, int, int]
    num_classes: int


COMMITTED = {
    "digits": Expected("e362ac6345739f11", 512, 1285, (8, 8, 1), 10),
    "cifar10": Expected("9b57214e7dd48f86", 50_000, 10_000, IMAGE_SHAPE, 10),
    "cifar100": Expected("145e516912e2f8c9", 25_000, 5_000, IMAGE_SHAPE, 100),
}
"""The copies that the records in ``results/`` were trained on.

They are not the published archives: CIFAR-10 has its images in another order, CIFAR-100 has half of
its images.
"""


def expected(name: str) -> Expected:
    """Return the copy of a data set that runs are trained on.

    It is that of the committed records, unless the environment variable ``ADAMPROX_FINGERPRINTS``
    names another one; the sizes are then those of the published archive.

    Args:
      name: A name for `adamprox.data.load`.

    Raises:
      ValueError: The variable is not a list of names and fingerprints.

    Example:
      >>> expected("digits").fingerprint, expected("digits").train
      ('e362ac6345739f11', 512)
    """
    committed = COMMITTED[name]
    fingerprint = _accepted(os.environ.get(VARIABLE, "")).get(name, committed.fingerprint)
    if fingerprint == committed.fingerprint:
        return committed
    published = LAYOUTS[name].published
    return committed._replace(
        fingerprint=fingerprint, train=published["train"], test=published["test"]
    )


def check_fingerprint(data: Dataset) -> None:
    """Raise ValueError if the data set's fingerprint is not the one in the runs' keys.

    Raises:
      ValueError: It is another one; the message says how to train on it.
    """
    fingerprint = expected(data.name).fingerprint
    if data.fingerprint != fingerprint:
        accepted = _accepted(os.environ.get(VARIABLE, "")) | {data.name: data.fingerprint}
        value = ",".join("=".join(pair) for pair in sorted(accepted.items()))
        raise ValueError(
            f"{data.name} must have the fingerprint {fingerprint}, got other images with "
            f"{data.fingerprint}; to train on them, with records of their own, set {VARIABLE}={value}"
        )


@functools.cache
def _accepted(text: str) -> dict[str, str]:
    """Return the fingerprints by name that the environment variable names."""
    names = "|".join(LAYOUTS)
    pairs = [pair.strip() for pair in text.split(",") if pair.strip()]
    for pair in pairs:
        if not re.fullmatch(rf"(?:{names})={FINGERPRINT}", pair):
            raise ValueError(
                f"{VARIABLE} must be a list such as cifar10=0123456789abcdef, got {text!r}"
            )
    return dict(pair.split("=") for pair in pairs)
