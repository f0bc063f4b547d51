"""Reader of a prepared data set, which may come from an untrusted source.

The contents of the directory must not decide the imported modules, the opened files or the memory
use. TensorFlow Datasets would import the modules named in ``features.json`` and open the files
named in ``dataset_info.json``. This module compares both files with the output of our builder, and
reads the records without TFDS.
"""

import json
import pathlib
import re
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
from tensorflow_datasets.proto import tf_example_pb2

from adamprox.data import shards
from adamprox.data.archive import Records
from adamprox.data.dataset import Dataset, Split, channel_statistics
from adamprox.data.errors import DamagedDataError
from adamprox.data.layout import CHANNELS, HEIGHT, IMAGE_SHAPE, UNPACKED_LIMIT, WIDTH, Layout
from adamprox.files import read_file
from adamprox.output import one_line

HOMEPAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_SPLITS = ("train", "test")
_MOST_SHARDS = 1000
_JSON_BYTES = 2**16  # our files have about a thousand
_IMAGE_BYTES = HEIGHT * WIDTH * CHANNELS
_PATIENCE = 300.0  # seconds for all records; less than 1 s is usual
_FEATURES = "tensorflow_datasets.core.features"


def description(layout: Layout) -> str:
    """Return one sentence about a data set, for its metadata."""
    return f"The images of {layout.url} in the archive's order."


def stored_provenance(directory: pathlib.Path) -> dict[str, Any]:
    """Return the `adamprox.data.cifar.provenance` that is stored in ``directory``.

    Each text is one line, with unprintable characters escaped.

    Raises:
      DamagedDataError: The metadata have another form.
    """
    about = _json(directory, "metadata.json")
    if not _matches(about, _PROVENANCE):
        raise DamagedDataError("metadata.json is not as prepared")
    archive = {**about["archive"], "name": one_line(about["archive"]["name"])}
    return {**about, "archive": archive, "warnings": [*map(one_line, about["warnings"])]}


def read(layout: Layout, directory: pathlib.Path) -> Dataset:
    """Read a prepared data set and verify every image and label.

    Raises:
      DamagedDataError: A file changed after preparation; the message names it.
    """
    about = stored_provenance(directory)
    if _json(directory, "features.json") != _features(layout):
        raise DamagedDataError(f"features.json does not belong to {layout.name}")
    lengths = _shard_lengths(layout, directory)
    counts = {split: sum(lengths[split]) for split in _SPLITS}
    if counts != about["counts"] or sum(counts.values()) * _IMAGE_BYTES > UNPACKED_LIMIT:
        raise DamagedDataError("dataset_info.json and metadata.json contradict each other")
    files = [file for split in _SPLITS for file in _files(layout, directory, split, lengths[split])]
    data = assemble(layout, _read_records(layout, files, counts))
    if data.fingerprint != about["fingerprint"]:
        raise DamagedDataError(
            f"its fingerprint is {data.fingerprint}, expected {about['fingerprint']}"
        )
    return data


def assemble(layout: Layout, splits: dict[str, Records]) -> Dataset:
    """Build the data set from the records of ``train`` and ``test``."""
    train, test = (
        Split(splits[name].images, splits[name].labels["label"].astype(np.int32))
        for name in _SPLITS
    )
    mean, std = channel_statistics(train.images)
    return Dataset(layout.name, train, test, layout.labels["label"], mean, std)


def _matches(value: Any, form: Any) -> bool:
    """Return True if parsed JSON has a form: dict of forms, list of one form, or predicate."""
    if isinstance(form, dict):
        same = isinstance(value, dict) and value.keys() == form.keys()
        return same and all(_matches(value[key], form[key]) for key in form)
    if isinstance(form, list):
        return isinstance(value, list) and all(_matches(one, form[0]) for one in value)
    return form(value)


def _text(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value, re.DOTALL))


def _count(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**32


_PROVENANCE = {
    "archive": {
        "name": _text(".{1,255}"),
        "size": _count,
        "sha256": _text("[0-9a-f]{64}"),
        "published": lambda value: isinstance(value, bool),
    },
    "counts": {"train": _count, "test": _count},
    "warnings": [_text(".{1,300}")],
    "fingerprint": _text("[0-9a-f]{16}"),
}
_DIGITS = _text("[0-9]{1,15}")
_SPLIT = {
    "filepathTemplate": _text(re.escape("{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}")),
    "name": _text("train|test"),
    "numBytes": _DIGITS,
    "shardLengths": [_text("[1-9][0-9]{0,8}")],
}


def _features(layout: Layout) -> dict[str, Any]:
    """Return the ``features.json`` that TFDS writes for our builder."""
    shape = {"dimensions": [str(size) for size in IMAGE_SHAPE]}
    image = {
        "pythonClassName": f"{_FEATURES}.tensor_feature.Tensor",
        "tensor": {"dtype": "uint8", "encoding": "zlib", "shape": shape},
    }
    labels = {
        label: {
            "classLabel": {"numClasses": str(classes)},
            "pythonClassName": f"{_FEATURES}.class_label_feature.ClassLabel",
        }
        for label, classes in layout.labels.items()
    }
    return {
        "featuresDict": {"features": {"image": image, **labels}},
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
    }


def _info(layout: Layout) -> dict[str, Any]:
    """Return the ``dataset_info.json`` that TFDS writes for our builder, without the splits."""
    return {
        "description": description(layout),
        "disableShuffling": True,
        "fileFormat": "array_record",
        "location": {"urls": [HOMEPAGE]},
        "moduleName": "adamprox.data.cifar",
        "name": layout.builder,
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}},
        "version": layout.version,
    }


def _shard_lengths(layout: Layout, directory: pathlib.Path) -> dict[str, list[int]]:
    """Return the numbers of records in the files of each split, in order."""
    info = _json(directory, "dataset_info.json")
    splits = info.pop("splits", None)
    downloaded = info.pop("downloadSize", "0")  # present if the builder downloaded the archive
    named = {one["name"]: one for one in splits} if _matches(splits, [_SPLIT]) else {}
    few = all(len(one["shardLengths"]) <= _MOST_SHARDS for one in named.values())
    whole = few and _DIGITS(downloaded) and named.keys() == {*_SPLITS}
    if info != _info(layout) or not whole:
        raise DamagedDataError(f"dataset_info.json does not belong to {layout.name}")
    return {name: [*map(int, named[name]["shardLengths"])] for name in _SPLITS}


def _json(directory: pathlib.Path, name: str) -> dict[str, Any]:
    """Return the object in a small JSON file."""
    path = directory / name
    _check_file(path, _JSON_BYTES)
    try:
        value = json.loads(read_file(path, _JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedDataError(f"{name} cannot be read ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise DamagedDataError(f"{name} is not as prepared")
    return value


def _check_file(path: pathlib.Path, most: int) -> None:
    """Refuse links, devices and other special files, and files longer than ``most`` bytes."""
    try:
        status = path.lstat()
    except OSError as error:
        raise DamagedDataError(f"{path.name}: {(error.strerror or str(error)).lower()}") from None
    if not stat.S_ISREG(status.st_mode):
        raise DamagedDataError(f"{path.name} is not a plain file")
    if status.st_size > most:
        raise DamagedDataError(
            f"{path.name} has {status.st_size:,} bytes, at most {most:,} are allowed"
        )


def _files(
    layout: Layout, directory: pathlib.Path, split: str, lengths: list[int]
) -> list[tuple[pathlib.Path, int]]:
    """Return the files of a split and their numbers of records; the names come from the layout."""
    files = []
    for number, length in enumerate(lengths):
        shard = f"{number:05d}-of-{len(lengths):05d}"
        path = directory / f"{layout.builder}-{split}.array_record-{shard}"
        _check_file(path, length * shards.RECORD_BYTES + 2**20)
        files.append((path, length))
    return files


def _read_records(
    layout: Layout, files: list[tuple[pathlib.Path, int]], counts: dict[str, int]
) -> dict[str, Records]:
    """Return all examples, read by a subprocess with little memory."""
    program = [sys.executable, "-P", shards.__file__]  # -P: no imports from the working directory
    arguments = [text for path, length in files for text in (path.name, str(length))]
    with subprocess.Popen(
        [*program, *arguments],
        cwd=files[0][0].parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        limit = threading.Timer(_PATIENCE, process.kill)
        limit.start()
        try:
            records = _records(process.stdout)  # pyright: ignore
            return {split: _decoded(records, counts[split], layout) for split in _SPLITS}
        finally:
            limit.cancel()
            process.kill()


def _records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the records that `shards.main` wrote."""
    while True:
        number = int.from_bytes(file.read(2), "little")
        if number == shards.FAILURE:
            reason = file.read(1000).decode(errors="replace")
            raise DamagedDataError(" ".join(reason.split()))
        record = file.read(number)
        if not record or len(record) < number:
            raise DamagedDataError("its records cannot be read")
        yield record


def _decoded(records: Iterator[bytes], count: int, layout: Layout) -> Records:
    """Decode the next examples. TFDS's own decoder takes ten seconds for 60,000 images."""
    images = np.empty((count, *IMAGE_SHAPE), np.uint8)
    labels = np.empty(count, np.uint8)
    rows = images.reshape(count, -1)
    for number in range(count):
        try:
            image, labels[number] = _example(next(records), layout.labels["label"])
        except DamagedDataError:
            raise
        except Exception as error:  # errors of protobuf and zlib have no common base
            raise DamagedDataError(f"record {number} is not an image ({error})") from error
        rows[number] = np.frombuffer(image, np.uint8)
    return Records(images, {"label": labels})


def _example(record: bytes, classes: int) -> tuple[bytes, int]:
    """Return the bytes of one image, and its label."""
    feature = tf_example_pb2.Example.FromString(record).features.feature  # pyright: ignore
    (packed,) = feature["image"].bytes_list.value
    (label,) = feature["label"].int64_list.value
    stream = zlib.decompressobj()
    image = stream.decompress(packed, _IMAGE_BYTES + 1)
    if len(image) != _IMAGE_BYTES or not stream.eof or stream.unused_data:
        raise ValueError(f"not {_IMAGE_BYTES:,} bytes")
    if not 0 <= label < classes:
        raise ValueError(f"label must be < {classes}, got {label}")
    return image, label
