"""Data sets as frozen arrays, with a validation split or smaller images on request."""

import dataclasses
import functools
import hashlib

import numpy as np

from adamprox.checks import is_integer


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one split, read-only.

    Attributes:
      images: Images, uint8[N, H, W, C].
      labels: Labels, int32[N].

    Raises:
      ValueError: An array has another dtype or shape.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        """Check dtypes and shapes, and make the arrays read-only."""
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            got = f"{self.images.dtype}{self.images.shape}"
            raise ValueError(f"images must be uint8[N, H, W, C], got {got}")
        if self.labels.dtype != np.int32 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels must be int32[N], got {self.labels.dtype}{self.labels.shape}")
        self.images.setflags(write=False)
        self.labels.setflags(write=False)

    def __repr__(self) -> str:
        """Return the type with the shapes of the arrays."""
        return f"Split(uint8{list(self.images.shape)}, int32{list(self.labels.shape)})"

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)

    def __getitem__(self, which) -> "Split":
        """Return the examples of a slice or an index array, in its order."""
        if is_integer(which, -(2**62), 2**62):
            raise TypeError(f"index must be a slice or an index array, got {which}")
        return Split(self.images[which], self.labels[which])


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A classification data set.

    Attributes:
      name: Name for `load`.
      train: Training split.
      test: Test split.
      num_classes: Number of classes; labels are 0 … ``num_classes`` − 1.
      mean: Mean per channel of the training images, float32[C], in units of 1 = white.
      std: Standard deviation per channel of the training images, float32[C], in units of 1 = white.
      validation: Validation split that `with_validation` took from the training split, or None.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    mean: np.ndarray
    std: np.ndarray
    validation: Split | None = None

    def __repr__(self) -> str:
        """Return name, splits and number of classes."""
        splits = f"train={self.train}, test={self.test}"
        splits += f", validation={self.validation}" if self.validation else ""
        return f"Dataset({self.name!r}, {splits}, num_classes={self.num_classes})"

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every image and label in order, 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for split in self._splits():
            digest.update(repr(split.images.shape).encode())
            digest.update(split.images.ravel().data)
            digest.update(split.labels.ravel().data)
        return digest.hexdigest()[:16]

    def with_validation(self, size: int, seed: int = 0) -> "Dataset":
        """Move ``size`` training examples, drawn by ``seed``, into `validation`.

        Both parts keep the order of the data set. The test split, mean and std do not change: as
        published, they are those of the whole training set, and the normalized images stay the
        same.

        Args:
          size: Number of validation examples, at least 1 and less than the training set.
          seed: Seed of the choice of examples, from 0 to 2**32 - 1.

        Returns:
          The data set; `train` and `validation` are disjoint parts of the former `train`.

        Raises:
          ValueError: ``size`` or ``seed`` is out of range, or there is a validation split already.

        Example:
          >>> from adamprox.data import load
          >>> held_out = load("digits").with_validation(112, seed=1)
          >>> len(held_out.train), len(held_out.validation), len(held_out.test)
          (400, 112, 1285)
        """
        size = _whole("size", size, 1, len(self.train) - 1)
        seed = _whole("seed", seed, 0, 2**32 - 1)
        if self.validation is not None:
            raise ValueError(
                f"{self.name} has a validation split of {len(self.validation)} already"
            )
        # NumPy promises that the stream of RandomState never changes; default_rng's may.
        order = np.random.RandomState(seed).permutation(len(self.train))
        validation, train = np.sort(order[:size]), np.sort(order[size:])
        return dataclasses.replace(self, train=self.train[train], validation=self.train[validation])

    def pooled(self, side: int) -> "Dataset":
        """Average images over squares down to ``side`` × ``side`` pixels, with halves rounded up.

        Mean and std are those of the pooled training images, with those of `validation`.

        Args:
          side: Height and width of the result, a divisor of both.

        Returns:
          The data set at the lower resolution.

        Raises:
          ValueError: ``side`` does not divide height and width.

        Example:
          >>> from adamprox.data import load
          >>> load("digits").pooled(4).train.images.shape
          (512, 4, 4, 1)
        """
        height, width = self.train.images.shape[1:3]
        side = _whole("side", side, 1, min(height, width))
        if height % side or width % side:
            raise ValueError(f"side must divide {height} and {width}, got {side}")
        pool = lambda split: split and Split(_pool(split.images, side), split.labels)  # noqa: E731
        train, validation = pool(self.train), pool(self.validation)
        whole = [split.images for split in (train, validation) if split]
        mean, std = channel_statistics(np.concatenate(whole))
        return dataclasses.replace(
            self,
            train=train,
            test=pool(self.test),
            validation=validation,
            mean=mean,
            std=std,
        )

    def _splits(self) -> list[Split]:
        splits = (self.train, self.test, self.validation)
        return [split for split in splits if split is not None]


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation per channel of uint8[N, H, W, C]; float32[C], 1 = white.

    The sums of integers are exact and need a fraction of the memory of float64 images.
    """
    total, squares = np.zeros((2, *images.shape[1:]), np.int64)
    for chunk in np.array_split(images, -(-len(images) // 1000)):
        total += chunk.sum(0, dtype=np.int64)
        squares += np.square(chunk, dtype=np.uint16).sum(0, dtype=np.uint32)
    pixels = images.size // images.shape[-1]
    mean = total.sum((0, 1)) / pixels
    variance = squares.sum((0, 1)) / pixels - mean**2
    statistics = tuple((x / 255).astype(np.float32) for x in (mean, np.sqrt(variance)))
    for statistic in statistics:
        statistic.setflags(write=False)
    return statistics[0], statistics[1]


def _pool(images: np.ndarray, side: int) -> np.ndarray:
    count, height, width, channels = images.shape
    down, across = height // side, width // side
    sums = np.zeros((count, side, side, channels), np.uint32)
    for row in range(down):
        for column in range(across):
            sums += images[:, row::down, column::across]
    pixels = down * across
    return ((sums + pixels // 2) // pixels).astype(np.uint8)


def _whole(name: str, value: int, low: int, high: int) -> int:
    """Return ``value`` as an int; raise ValueError if it is no integer from ``low`` to ``high``."""
    if not is_integer(value, low, high):
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    return int(value)
