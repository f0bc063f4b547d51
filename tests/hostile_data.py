"""Prepared data sets as a stranger could make them: well-formed where it pays, hostile elsewhere."""

import copy
import json
import os
import pathlib
import shutil
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from array_record.python import array_record_module  # pyright: ignore
from tensorflow_datasets.proto import tf_example_pb2

Edit = Callable[[pathlib.Path], Any]
"""Changes the directory of a prepared CIFAR-10."""

EVIL = "evil_mod.X"
PARSED = ("features.json", "dataset_info.json", "metadata.json")
VALUES = (None, True, -1, 2**70, float("inf"), "", "x" * 40_000, "\x1b[2J", [], [[]], {}, {"a": {}})


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in parsed JSON, of objects and lists too."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """A copy of parsed JSON with another value at a path."""
    value = copy.deepcopy(value)
    place = value
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = by
    return value


def other_values(folder: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Name and content of every file of JSON with a value of another kind in one place."""
    for name in PARSED:
        whole = json.loads((folder / name).read_text())
        for path in leaves(whole):
            for by in (*VALUES, EVIL):
                changed = replaced(whole, path, by)
                if changed != whole and not _is_a_lie(path, by):
                    yield name, json.dumps(changed)


def _is_a_lie(path: tuple[Any, ...], by: Any) -> bool:
    """Return True for a value that could have been written there: it is for reading alone."""
    text = isinstance(by, str) and 0 < len(by) < 256
    forms = {
        ("warnings",): by == [],
        ("archive", "name"): text,
        ("archive", "published"): by is True,
    }
    return forms.get(path, path[0] == "warnings" and text)


def write(name: str, content: str | bytes) -> Edit:
    """The edit that replaces a file."""
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def set_in(name: str, *path: Any, by: Any) -> Edit:
    """The edit that replaces one value in a file of JSON."""

    def edit(folder: pathlib.Path) -> None:
        whole = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(replaced(whole, path, by)))

    return edit


def in_place_of(name: str, make: Callable[[pathlib.Path], Any]) -> Edit:
    """The edit that puts what is no plain file into the place of a file."""

    def edit(folder: pathlib.Path) -> None:
        path = next(folder.glob(name))
        path.rename(folder.parent / "elsewhere")
        make(path)

    return edit


def _sparse(path: pathlib.Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * 2**20)


_MAKERS: dict[str, Callable[[pathlib.Path], Any]] = {
    "a fifo": os.mkfifo,
    "a directory": pathlib.Path.mkdir,
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to the file, elsewhere": lambda path: path.symlink_to(path.parent.parent / "elsewhere"),
    "a file of 100 MB": _sparse,
}


def example(image: bytes | list[bytes], labels: tuple[int, ...] = (1,)) -> bytes:
    """A record."""
    feature = tf_example_pb2.Example()  # pyright: ignore
    images = image if isinstance(image, list) else [image]
    feature.features.feature["image"].bytes_list.value.extend(images)
    feature.features.feature["label"].int64_list.value.extend(labels)
    return feature.SerializeToString()


def shard(*records: bytes, options: str = "group_size:1,zstd:3") -> Edit:
    """The edit that replaces the test images (there are three)."""

    def edit(folder: pathlib.Path) -> None:
        path = next(folder.glob("*test*record*"))
        writer = array_record_module.ArrayRecordWriter(str(path), options)
        for record in records:
            writer.write(record)
        writer.close()

    return edit


_BLACK = zlib.compress(bytes(3072))
_RECORDS: dict[str, tuple[bytes, ...]] = {
    "no record": (),
    "a record less": (example(_BLACK),) * 2,
    "a record more": (example(_BLACK),) * 4,
    "an image of fewer bytes": (example(zlib.compress(bytes(3071))),) * 3,
    "an image of more bytes": (example(zlib.compress(bytes(3073))),) * 3,
    "an image that is a bomb": (example(zlib.compress(bytes(2**21), 9)),) * 3,
    "an image with bytes behind it": (example(_BLACK + b"x"),) * 3,
    "half of an image": (example(_BLACK[:-1]),) * 3,
    "two images": (example([_BLACK, _BLACK]),) * 3,
    "no image": (example([]),) * 3,
    "a label out of range": (example(_BLACK, (10,)),) * 3,
    "a negative label": (example(_BLACK, (-1,)),) * 3,
    "a label of 2**62": (example(_BLACK, (2**62,)),) * 3,
    "two labels": (example(_BLACK, (1, 1)),) * 3,
    "no label": (example(_BLACK, ()),) * 3,
    "no protobuf": (b"\xff" * 100,) * 3,
    "empty records": (b"",) * 3,
    "long records": (bytes(2**20),) * 3,
    "records of 65,535 bytes": (bytes(2**16 - 1),) * 3,
    "other images": (example(_BLACK),) * 3,
}
_TEMPLATES = ("../../{DATASET}", "/etc/passwd", "gs://bucket/{DATASET}", "{0.__class__}", "%s")


def edits() -> dict[str, Edit]:
    """Every edit, by what it does; after each the data set must be refused."""
    made = {
        "features.json names a module at the top": set_in(
            "features.json", "pythonClassName", by=EVIL
        ),
        **{
            f"features.json names a module for the {name}": set_in(
                "features.json", "featuresDict", "features", name, "pythonClassName", by=EVIL
            )
            for name in ("image", "label")
        },
        "dataset_info.json names a module": set_in("dataset_info.json", "moduleName", by=EVIL),
        "dataset_info.json names a format": set_in("dataset_info.json", "fileFormat", by="riegeli"),
        "many shards": set_in("dataset_info.json", "splits", 0, "shardLengths", by=["1"] * 10**4),
        "a million shards": set_in(
            "dataset_info.json", "splits", 0, "shardLengths", by=["1"] * 10**6
        ),
        "two splits of one name": set_in("dataset_info.json", "splits", 0, "name", by="test"),
        "a long integer": write("metadata.json", '{"a": %s}' % ("9" * 60_000)),
        "a link out": in_place_of("metadata.json", lambda path: path.symlink_to("/etc/passwd")),
    }
    for length in ("4", "999999999", "9" * 400, "-1", "0", "1e3", "²"):
        made[f"a shard of {length[:9]} records"] = set_in(
            "dataset_info.json", "splits", 1, "shardLengths", by=[length]
        )
    for template in _TEMPLATES:
        made[f"the template {template}"] = set_in(
            "dataset_info.json", "splits", 0, "filepathTemplate", by=template
        )
    for name in PARSED:
        for content in ("null", "[]", "1e999", "[" * 60_000, '{"a":' * 10_000, "\0", b"\xff\xfe"):
            made[f"{name} is {content[:6]!r}"] = write(name, content)
    for name in (*PARSED, "*test*record*"):
        for what, make in _MAKERS.items():
            made[f"{what} in the place of {name}"] = in_place_of(name, make)
    made |= {what: shard(*records) for what, records in _RECORDS.items()}
    return made


def copied(whole: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
    """A copy of a data dir, in the place of an earlier one; returns its directory of CIFAR-10."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(whole, to)
    return next(to.glob("cifar10_binary/*"))
