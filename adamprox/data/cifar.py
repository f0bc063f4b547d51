"""CIFAR as data sets of TensorFlow Datasets, written without TensorFlow; `prepared` reads them.

TFDS's own builders need TensorFlow to prepare these archives, and Pillow or OpenCV to read images.
Our builders write zlib-compressed tensors in ArrayRecord files, which need neither.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from adamprox.data.archive import Archive, Records, read_archive
from adamprox.data.layout import CIFAR10, CIFAR100, IMAGE_SHAPE, Layout
from adamprox.data.prepared import HOMEPAGE, assemble, description


class _BinaryArchiveBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builder for one official binary archive.

    Args:
      archive: Contents to write; None means to download the archive.
      **kwargs: Arguments of the base class, such as ``data_dir``.
    """

    LAYOUT: ClassVar[Layout]
    # checksums.tsv lies beside this file. Without the path TFDS would search by
    # importlib_resources, which it imports but does not require.
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
            description=description(self.LAYOUT),
            features=tfds.features.FeaturesDict({"image": image, **classes}),
            supervised_keys=("image", "label"),
            homepage=HOMEPAGE,
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
    """Return the metadata of the images: their archive, and its differences from the published one.

    Returns:
      ``archive`` (``name``, ``size``, ``sha256``, ``published``), ``counts`` by split, ``warnings``
      and the ``fingerprint`` that `adamprox.data.prepared.read` verifies.
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
        "fingerprint": assemble(layout, archive.splits).fingerprint,
    }
