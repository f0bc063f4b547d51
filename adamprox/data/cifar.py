"""CIFAR as data sets of TensorFlow Datasets, written and read without TensorFlow.

TFDS's own builders prepare these archives with TensorFlow, and read images with Pillow or OpenCV.
Tensors that zlib compressed, in ArrayRecord files, need neither.
"""

import json
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.proto import tf_example_pb2

from adamprox.data.archive import Archive, Records, read_archive
from adamprox.data.dataset import Dataset, Split, channel_statistics
from adamprox.data.errors import DamagedDataError
from adamprox.data.layout import CIFAR10, CIFAR100, IMAGE_SHAPE, Layout


class _BinaryArchiveBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder over one official binary archive.

    Args:
      archive: What to write, read and checked; by default the archive is downloaded.
      **kwargs: Of the base class: ``data_dir`` above all.
    """

    LAYOUT: ClassVar[Layout]
    # checksums.tsv lies beside it. Named, so that TFDS need not search by importlib_resources, which
    # it imports and does not require.
    code_path: ClassVar[epath.Path] = epath.Path(__file__)  # pyright: ignore

    def __init__(self, *, archive: Archive | None = None, **kwargs: Any):
        kwargs.setdefault("file_format", "array_record")
        self._archive = archive
        self._provenance = tfds.core.MetadataDict()
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        classes = {
            label: tfds.features.ClassLabel(num_classes=count)
            for label, count in self.LAYOUT.labels.items()
        }
        image = tfds.features.Tensor(shape=IMAGE_SHAPE, dtype=np.uint8, encoding="zlib")
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"The images of {self.LAYOUT.url} in the archive's order.",
            features=tfds.features.FeaturesDict({"image": image, **classes}),
            supervised_keys=("image", "label"),
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            disable_shuffling=True,  # the archive's order is the order
            metadata=self._provenance,
        )

    def _split_generators(self, dl_manager):
        archive = self._archive or read_archive(dl_manager.download(self.LAYOUT.url), self.LAYOUT)
        self._provenance.update(provenance(archive, self.LAYOUT))
        return {name: self._generate_examples(part) for name, part in archive.splits.items()}

    def _generate_examples(self, records: Records) -> Iterator[tuple[int, dict[str, Any]]]:
        columns = [column.tolist() for column in records.labels.values()]
        for key, (image, *labels) in enumerate(zip(records.images, *columns, strict=True)):
            yield key, {"image": image, **dict(zip(records.labels, labels, strict=True))}


class Cifar10Binary(_BinaryArchiveBuilder):
    """CIFAR-10: 32×32 images in 10 classes."""

    VERSION = tfds.core.Version(CIFAR10.version)
    LAYOUT = CIFAR10


class Cifar100Binary(_BinaryArchiveBuilder):
    """CIFAR-100: 32×32 images in 100 classes of 20 groups."""

    VERSION = tfds.core.Version(CIFAR100.version)
    LAYOUT = CIFAR100


BUILDERS = {builder.LAYOUT.name: builder for builder in (Cifar10Binary, Cifar100Binary)}


def published(layout: Layout) -> Any:
    """Size and SHA-256 of the published archive, as ``.size`` and ``.checksum``."""
    infos = BUILDERS[layout.name].url_infos
    return infos[layout.url]  # pyright: ignore


def provenance(archive: Archive, layout: Layout) -> dict[str, Any]:
    """What is kept beside the images: which archive they come from and what differs from the published.

    Returns:
      ``archive`` (``name``, ``size``, ``sha256``, ``published``), ``counts`` by split, ``warnings``
      and the ``fingerprint`` that `read` verifies.
    """
    counts = {split: len(records.images) for split, records in archive.splits.items()}
    expected = published(layout)
    same = (archive.size, archive.sha256) == (expected.size, expected.checksum)
    warnings = (
        []
        if same
        else [
            f"SHA-256 is {archive.sha256} ({archive.size:,} bytes), "
            f"published is {expected.checksum} ({expected.size:,} bytes)"
        ]
    )
    warnings += [
        f"{counts[split]:,} {split} images, published are {count:,}"
        for split, count in layout.published.items()
        if counts[split] != count
    ]
    about = {
        "name": archive.name,
        "size": archive.size,
        "sha256": archive.sha256,
        "published": same,
    }
    return {
        "archive": about,
        "counts": counts,
        "warnings": warnings,
        "fingerprint": _dataset(layout, archive.splits).fingerprint,
    }


def stored_provenance(directory: pathlib.Path) -> dict[str, Any]:
    """What `provenance` was when the data set in ``directory`` was prepared."""
    return json.loads((directory / "metadata.json").read_text())


def read(layout: Layout, directory: pathlib.Path) -> Dataset:
    """Read a prepared data set and verify that every image and label is as it was prepared.

    Raises:
      DamagedDataError: Something is not; the message says what.
    """
    try:
        builder = tfds.builder_from_directory(directory)
        expected = stored_provenance(directory)["fingerprint"]
        data = _dataset(layout, {name: _records(builder, name) for name in ("train", "test")})
    except Exception as error:  # of TFDS, ArrayRecord, protobuf, zlib, JSON: no common base
        raise DamagedDataError(" ".join(f"{type(error).__name__}: {error}".split())) from error
    if data.fingerprint != expected:
        raise DamagedDataError(f"its fingerprint is {data.fingerprint}, prepared was {expected}")
    return data


def _records(builder: tfds.core.DatasetBuilder, split: str) -> Records:
    """All examples of a split.

    TFDS's own decoder takes three times as long: ten seconds for 60,000 images.
    """
    source = builder.as_data_source(
        split=split,  # pyright: ignore
        deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
    )
    examples = [
        tf_example_pb2.Example.FromString(record).features.feature  # pyright: ignore
        for record in source.__getitems__(range(len(source)))
    ]
    pixels = b"".join(zlib.decompress(x["image"].bytes_list.value[0]) for x in examples)
    labels = np.array([x["label"].int64_list.value[0] for x in examples], np.uint8)
    return Records(np.frombuffer(pixels, np.uint8).reshape(-1, *IMAGE_SHAPE), {"label": labels})


def _dataset(layout: Layout, splits: dict[str, Records]) -> Dataset:
    train, test = (
        Split(splits[name].images, splits[name].labels["label"].astype(np.int32))
        for name in ("train", "test")
    )
    mean, std = channel_statistics(train.images)
    return Dataset(layout.name, train, test, layout.labels["label"], mean, std)
