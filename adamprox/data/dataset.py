"""Data sets as frozen arrays, loaded by name."""

import dataclasses
import functools
import hashlib
import os

import numpy as np
from sklearn.datasets import load_digits


@dataclasses.dataclass(frozen=True)
class Split:
    """Images and labels of one split, read-only.

    Attributes:
      images: uint8[N, H, W, C].
      labels: int32[N].
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        """Check the promises above and make the arrays read-only."""
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            got = f"{self.images.dtype}{self.images.shape}"
            raise ValueError(f"images must be uint8[N, H, W, C], got {got}")
        if self.labels.dtype != np.int32 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels must be int32[N], got {self.labels.dtype}{self.labels.shape}")
        self.images.setflags(write=False)
        self.labels.setflags(write=False)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A classification data set.

    Attributes:
      name: What `load` calls it.
      train: The training split.
      test: The test split.
      num_classes: Labels run from 0 to this, exclusive.
      mean: Per channel of the training images, float32[C], in units of 1 = white.
      std: Likewise.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    mean: np.ndarray
    std: np.ndarray

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every image and label in order: what a result depends on."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(repr(split.images.shape).encode())
            digest.update(split.images.tobytes())
            digest.update(split.labels.tobytes())
        return digest.hexdigest()[:16]


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set.

    Args:
      name: ``"digits"``: the 1,797 handwritten digits (8×8, grey) that scikit-learn ships.
      data_dir: Where prepared data sets lie; the digits need none.

    Returns:
      The data set, its arrays read-only.

    Raises:
      ValueError: ``name`` is not one of the above.

    Example:
      >>> digits = load("digits")
      >>> digits.train.images.shape, digits.test.images.shape, digits.num_classes
      ((512, 8, 8, 1), (1285, 8, 8, 1), 10)

    Source: the UCI ML hand-written digits data (test part), Alpaydin and Kaynak, 1998.
    """
    del data_dir
    if name != "digits":
        raise ValueError(f"data set must be 'digits', got {name!r}")
    return _digits()


@functools.cache
def _digits() -> Dataset:
    images, labels = load_digits(return_X_y=True)
    # Grey levels are 0 … 16; 255/16 brings them to the units of the other data sets.
    images = np.round(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int32)
    # Few to train on, so that a regularizer has something to do; many to test on, so that an error
    # is known to better than a percent.
    # The file is ordered by writer, so an unshuffled split would test on strangers' hands.
    order = np.random.RandomState(0).permutation(len(labels))
    train, test = order[:512], order[512:]
    mean, std = _channel_statistics(images[train])
    for statistic in (mean, std):
        statistic.setflags(write=False)
    return Dataset(
        name="digits",
        train=Split(images[train], labels[train]),
        test=Split(images[test], labels[test]),
        num_classes=10,
        mean=mean,
        std=std,
    )


def _channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = images.astype(np.float64) / 255
    return (
        scaled.mean(axis=(0, 1, 2)).astype(np.float32),
        scaled.std(axis=(0, 1, 2)).astype(np.float32),
    )
