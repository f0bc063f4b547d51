"""Reading an official binary archive: in memory, all of it checked, nothing ever unpacked."""

import dataclasses
import gzip
import hashlib
import io
import os
import pathlib
import tarfile
import zlib

import numpy as np

from adamprox.data.layout import CHANNELS, HEIGHT, WIDTH, Layout

_LIMIT = 2**30  # bytes unpacked; the published archives have 184 million
_DOCUMENTS = (".txt", ".html")  # names of classes, a readme: allowed beside the records


class ArchiveError(ValueError):
    """An archive is not what it has to be; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of one split.

    Attributes:
      images: uint8[N, 32, 32, 3].
      labels: uint8[N] for every label of the layout.
    """

    images: np.ndarray
    labels: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Archive:
    """What an archive holds, and which file it was.

    Attributes:
      name: Of the file, without its folder.
      size: Of the file in bytes.
      sha256: Of the file, hexadecimal.
      splits: Records of ``train`` and ``test``.
    """

    name: str
    size: int
    sha256: str
    splits: dict[str, Records]


def read_archive(path: str | os.PathLike[str], layout: Layout) -> Archive:
    """Read and check a whole archive.

    Args:
      path: A gzip-compressed tar file.
      layout: What must be in it.

    Returns:
      Its records, in the order of ``layout.files``.

    Raises:
      ArchiveError: It is truncated, corrupt or not such an archive.
      OSError: It cannot be read.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ArchiveError(f"{path}: {'not a file' if path.exists() else 'there is no such file'}")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        contents = _contents(_decompress(path), layout)
        parts = {name: _records(name, data, layout) for name, data in contents.items()}
    except ArchiveError as error:
        raise ArchiveError(f"{path}: {error}") from None
    splits = {
        split: _joined([parts[name] for name, of in layout.files.items() if of == split])
        for split in ("train", "test")
    }
    return Archive(path.name, path.stat().st_size, sha256, splits)


def _decompress(path: pathlib.Path) -> bytes:
    """Everything in a gzip file, to the checksum at its end."""
    data = bytearray()
    try:
        with gzip.open(path) as file:
            while chunk := file.read(2**20):
                data += chunk
                if len(data) > _LIMIT:
                    raise ArchiveError(f"holds more than {_LIMIT:,} bytes")
    except EOFError:
        raise ArchiveError("ends early; was its download cut short?") from None
    except gzip.BadGzipFile as error:
        raise ArchiveError(f"not an intact gzip file ({error})") from None
    except zlib.error as error:
        raise ArchiveError(f"corrupt gzip file ({error})") from None
    if not data:
        raise ArchiveError("empty")
    return bytes(data)


def _contents(data: bytes, layout: Layout) -> dict[str, bytes]:
    """The files of records in a tar file, by name."""
    contents = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                _check_member(name, member, layout)
                if name in contents:
                    raise ArchiveError(f"holds {name!r} twice")
                if name in layout.files:
                    contents[name] = _member(tar, member)
            rest = data[tar.offset :]
    except tarfile.TarError as error:
        raise ArchiveError(f"not an intact tar file ({error})") from None
    missing = layout.files.keys() - contents.keys()
    if missing:
        raise ArchiveError(f"lacks {min(missing)!r}, which belongs to {layout.name}")
    if rest.strip(b"\0"):  # where tarfile meets a damaged header, it stops without a word
        raise ArchiveError("holds bytes that are no tar file after its last member")
    return contents


def _check_member(name: str, member: tarfile.TarInfo, layout: Layout) -> None:
    """Refuse what no archive of this layout has."""
    if member.isdir() and name in (layout.folder, "."):
        return
    document = name.startswith(f"{layout.folder}/") and name.endswith(_DOCUMENTS)
    if name not in layout.files and not (document and ".." not in name):
        expected = next(iter(layout.files))
        raise ArchiveError(f"holds {name!r}; an archive of {layout.name} holds {expected!r} …")
    if not member.isreg() or member.issparse():
        raise ArchiveError(f"{name!r} in it is not a plain file")


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    data = file.read() if file else b""
    if len(data) != member.size:
        raise ArchiveError(f"ends within {member.name!r}")
    return data


def _records(name: str, data: bytes, layout: Layout) -> Records:
    """The records in one file."""
    whole, rest = divmod(len(data), layout.record_bytes)
    if rest or not whole:
        raise ArchiveError(
            f"{name!r} in it has {len(data):,} bytes, not records of {layout.record_bytes:,}"
        )
    rows = np.frombuffer(data, np.uint8).reshape(whole, layout.record_bytes)
    labels = {label: rows[:, column] for column, label in enumerate(layout.labels)}
    for label, classes in layout.labels.items():
        if labels[label].max() >= classes:
            where = int(labels[label].argmax())
            got = f"{labels[label][where]} in record {where} of {name!r}"
            raise ArchiveError(f"{label} must be < {classes}, got {got}")
    planes = rows[:, len(labels) :].reshape(whole, CHANNELS, HEIGHT, WIDTH)
    return Records(planes.transpose(0, 2, 3, 1), labels)


def _joined(parts: list[Records]) -> Records:
    labels = {
        name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels
    }
    images = np.concatenate([part.images for part in parts])
    return Records(np.ascontiguousarray(images), labels)
