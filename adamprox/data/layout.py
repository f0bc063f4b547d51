"""How the official binary archives of CIFAR-10 and CIFAR-100 are laid out."""

import dataclasses

HEIGHT, WIDTH, CHANNELS = IMAGE_SHAPE = (32, 32, 3)
UNPACKED_LIMIT = 2**28  # bytes of records; the published archives have 184 million


@dataclasses.dataclass(frozen=True)
class Layout:
    """One published archive: records of label bytes, then the red, green and blue planes.

    Attributes:
      name: What `adamprox.data.load` calls the data set.
      builder: What TensorFlow Datasets calls it; its own ``cifar10`` is another builder.
      version: Of the prepared files.
      url: Where the archive is published.
      folder: In the archive, what all files lie in.
      train: Names of the files of training records.
      test: Likewise of test records.
      labels: The label bytes of a record in order, each with the number of its classes; ``label``
        is what `adamprox.data.load` gives.
      published: How many images the published archive has, by split.
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
        """Length of a record."""
        return len(self.labels) + HEIGHT * WIDTH * CHANNELS

    @property
    def files(self) -> dict[str, str]:
        """Path in the archive of every file of records, with its split."""
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
