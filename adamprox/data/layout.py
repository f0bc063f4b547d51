"""Layouts of the official binary archives of CIFAR-10 and CIFAR-100."""

import dataclasses

HEIGHT, WIDTH, CHANNELS = IMAGE_SHAPE = (32, 32, 3)
UNPACKED_LIMIT = 2**28  # bytes of records; the published archives have 184 million


@dataclasses.dataclass(frozen=True)
class Layout:
    """Layout of one published archive: a record is label bytes, then red, green and blue planes.

    Attributes:
      name: Name of the data set for `adamprox.data.load`.
      builder: Name for TensorFlow Datasets, different from its own builder ``cifar10``.
      version: Version of the prepared files.
      url: Address of the published archive.
      folder: Folder of all files in the archive.
      train: Names of the files with training records.
      test: Names of the files with test records.
      labels: Names of the label bytes of a record in order, with their numbers of classes.
        `adamprox.data.load` returns ``label``.
      published: Number of images in the published archive, by split.
    """

    name: str
    builder: str
    version: str
    url: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: dict[str, int]
    published: dict[str, int]

    @property
    def record_bytes(self) -> int:
        """Length of a record in bytes."""
        return len(self.labels) + HEIGHT * WIDTH * CHANNELS

    @property
    def files(self) -> dict[str, str]:
        """Split of every file of records, by its path in the archive."""
        splits = dict.fromkeys(self.train, "train") | dict.fromkeys(self.test, "test")
        return {f"{self.folder}/{file}": split for file, split in splits.items()}


_SITE = "https://www.cs.toronto.edu/~kriz"
_PUBLISHED = {"train": 50_000, "test": 10_000}

CIFAR10 = Layout(
    name="cifar10",
    builder="cifar10_binary",
    version="1.0.0",
    url=f"{_SITE}/cifar-10-binary.tar.gz",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test=("test_batch.bin",),
    labels={"label": 10},
    published=_PUBLISHED,
)
CIFAR100 = Layout(
    name="cifar100",
    builder="cifar100_binary",
    version="1.0.0",
    url=f"{_SITE}/cifar-100-binary.tar.gz",
    folder="cifar-100-binary",
    train=("train.bin",),
    test=("test.bin",),
    labels={"coarse_label": 20, "label": 100},
    published=_PUBLISHED,
)
LAYOUTS = {layout.name: layout for layout in (CIFAR10, CIFAR100)}
