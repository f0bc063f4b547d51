"""Reader of official binary archives, in memory: check everything, write nothing to disk.

An archive may come from an untrusted source. This module walks over the archive itself, takes only
the parser of a single header from tarfile, and bounds everything that a header can request: bytes,
members, the length of an extension.
"""

import dataclasses
import hashlib
import os
import pathlib
import re
import tarfile
import zlib
from collections.abc import Iterator

import numpy as np

from adamprox.data.layout import CHANNELS, HEIGHT, IMAGE_SHAPE, UNPACKED_LIMIT, WIDTH, Layout

_LIMIT = UNPACKED_LIMIT  # bytes after decompression, and bytes of the file
_CHUNK = 2**14  # bytes of the file at a time, which decompress to at most 17 MB
_STREAMS = 2**14  # consecutive gzip streams; a block compressor makes thousands
_HEADERS = 256  # headers of tar; the published archives have nine
_EXTENSION = 2**13  # bytes of an extension header of pax
_SHOWN = 60  # characters of a name in a message
_DOCUMENTS = (".txt", ".html")  # suffixes of other allowed files: names of classes, a readme
_PAX_RECORD = re.compile(rb"([1-9][0-9]{0,4}) ([^=\n]+)=")


class ArchiveError(ValueError):
    """An archive is not intact or not the expected one; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of one split.

    Attributes:
      images: Images, uint8[N, 32, 32, 3].
      labels: Labels uint8[N], for every label of the layout.
    """

    images: np.ndarray
    labels: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Archive:
    """Contents of an archive, and identity of its file.

    Attributes:
      name: Name of the file, without its folder.
      size: Size of the file in bytes.
      sha256: SHA-256 of the file, hexadecimal.
      splits: Records of ``train`` and ``test``.
    """

    name: str
    size: int
    sha256: str
    splits: dict[str, Records]


def read_archive(path: str | os.PathLike[str], layout: Layout) -> Archive:
    """Read and check a whole archive.

    Args:
      path: Path of a gzip-compressed tar file.
      layout: Expected layout.

    Returns:
      The archive, with its records in the order of ``layout.files``.

    Raises:
      ArchiveError: The file is truncated, corrupt or has another layout.
      OSError: The file cannot be read.
    """
    path = existing_archive(path)
    try:
        data, size, sha256 = _decompress(path)
        contents = _contents(data, layout)
        parts = {name: _records(name, rows, layout) for name, rows in contents.items()}
    except ArchiveError as error:
        raise ArchiveError(f"{path}: {error}") from None
    splits = {
        split: _joined([parts[name] for name, of in layout.files.items() if of == split])
        for split in ("train", "test")
    }
    return Archive(path.name, size, sha256, splits)


def existing_archive(archive: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path of an archive with ~ expanded; raise ArchiveError if it is no file."""
    if not os.fspath(archive):
        raise ArchiveError("archive must be a file, got ''")
    path = pathlib.Path(os.path.expanduser(archive))
    if not path.is_file():
        raise ArchiveError(f"{path}: {'not a file' if path.exists() else 'there is no such file'}")
    return path


def _decompress(path: pathlib.Path) -> tuple[bytearray, int, str]:
    """Decompress a gzip file and verify its checksum; return also its size and SHA-256."""
    digest, size, unpacked = hashlib.sha256(), 0, _Gunzip()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if size > _LIMIT:
                raise ArchiveError(f"has more than {_LIMIT:,} bytes")
            unpacked.feed(chunk)
    return unpacked.end(), size, digest.hexdigest()


class _Gunzip:
    """Decompressor of gzip streams with limits."""

    def __init__(self):
        self._data = bytearray()
        self._stream = zlib.decompressobj(31)  # of gzip, not of zlib
        self._begun = self._streams = 0

    def feed(self, chunk: bytes) -> None:
        while chunk:
            if not self._begun and self._streams:
                chunk = chunk.lstrip(b"\0")  # padding
            self._begun |= bool(chunk)
            chunk = self._feed(chunk)

    def _feed(self, chunk: bytes) -> bytes:
        """Feed one stream; return the bytes after its end."""
        try:
            self._data += self._stream.decompress(chunk, _LIMIT + 1 - len(self._data))
        except zlib.error as error:
            raise ArchiveError(f"not an intact gzip file ({error})") from None
        if len(self._data) > _LIMIT:
            raise ArchiveError(f"holds more than {_LIMIT:,} bytes")
        if not self._stream.eof:
            return b""
        rest, self._stream, self._begun = self._stream.unused_data, zlib.decompressobj(31), 0
        self._streams += 1
        if self._streams > _STREAMS:
            raise ArchiveError(f"holds more than {_STREAMS:,} streams of gzip")
        return rest

    def end(self) -> bytearray:
        """Return all decompressed bytes."""
        if self._begun:
            raise ArchiveError("ends early; was its download cut short?")
        if not self._data:
            raise ArchiveError("empty")
        return self._data


def _contents(data: bytearray, layout: Layout) -> dict[str, memoryview]:
    """Return the files of records in a tar file, by name."""
    contents = {}
    for member, content in _members(data):
        name = member.name.removeprefix("./")
        _check_member(name, member, layout)
        if name in contents:
            raise ArchiveError(f"holds {_shown(name)} twice")
        if name in layout.files:
            contents[name] = content
    missing = layout.files.keys() - contents.keys()
    if missing:
        raise ArchiveError(f"lacks {min(missing)!r}, which belongs to {layout.name}")
    return contents


def _members(data: bytearray) -> Iterator[tuple[tarfile.TarInfo, memoryview]]:
    """Yield every member of a tar file with its content; check and skip the headers of pax."""
    start, headers, records = 0, 0, {}
    while start < len(data) and any(data[start : start + tarfile.BLOCKSIZE]):
        headers += 1
        if headers > _HEADERS:
            raise ArchiveError(f"holds more than {_HEADERS} members")
        member, content, start = _member(data, start)
        if member.type in (tarfile.XHDTYPE, tarfile.XGLTYPE):
            records |= _pax_records(member, content)
            continue
        _check_pax_records(records, member)
        yield member, content
        records = {}
    if np.frombuffer(data, np.uint8)[start:].any():
        raise ArchiveError("has bytes after its last member that are not part of a tar file")


def _member(data: bytearray, start: int) -> tuple[tarfile.TarInfo, memoryview, int]:
    """Return the header at ``start``, its content, and the place of the next header."""
    begin = start + tarfile.BLOCKSIZE
    try:
        # Python documents only HeaderError; others occur.
        member = tarfile.TarInfo.frombuf(bytes(data[start:begin]), "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError, ArithmeticError) as error:
        raise ArchiveError(f"not an intact tar file ({error})") from None
    size = 0 if member.isdir() else member.size
    if not 0 <= size <= len(data) - begin:
        raise ArchiveError(f"not an intact tar file: it ends within {_shown(member.name)}")
    return member, memoryview(data)[begin : begin + size], begin - -size // 512 * 512


def _pax_records(header: tarfile.TarInfo, content: memoryview) -> dict[bytes, bytes]:
    """Return the records of an extension header for the next member, or for all members."""
    if len(content) > _EXTENSION:
        raise ArchiveError(f"has an extension header of {len(content):,} bytes")
    raw, position, records = bytes(content), 0, {}
    while position < len(raw):
        match = _PAX_RECORD.match(raw, position)
        end = position + int(match[1]) if match else 0
        if not match or not match.end() < end <= len(raw) or raw[end - 1] != ord("\n"):
            raise ArchiveError("not an intact tar file (bad extension header)")
        records[match[2]] = raw[match.end() : end - 1]
        position = end
    if header.type == tarfile.XGLTYPE and any(_changes(key) for key in records):
        raise ArchiveError("has an extension header that changes all members")
    return records


def _check_pax_records(records: dict[bytes, bytes], member: tarfile.TarInfo) -> None:
    """Refuse an extension header that changes the path or contents of the next member."""
    name = member.name.encode("utf-8", "surrogateescape")
    same = records.get(b"path", name).rstrip(b"/") == name
    same &= records.get(b"size", b"%d" % member.size) == b"%d" % member.size
    if not same or any(_changes(key) for key in records.keys() - {b"path", b"size"}):
        raise ArchiveError(f"has an extension header that changes {_shown(member.name)}")


def _changes(key: bytes) -> bool:
    """Return True if a record of pax changes the path or the bytes of a member."""
    return key in (b"path", b"size") or key.startswith(b"GNU.sparse")


def _check_member(name: str, member: tarfile.TarInfo, layout: Layout) -> None:
    """Refuse a member that does not belong to the layout."""
    if member.isdir() and name in (layout.folder, "."):
        return
    document = name.startswith(f"{layout.folder}/") and name.endswith(_DOCUMENTS)
    if name not in layout.files and not (document and ".." not in name):
        expected = next(iter(layout.files))
        raise ArchiveError(
            f"holds {_shown(name)}; an archive of {layout.name} holds {expected!r} …"
        )
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise ArchiveError(f"{_shown(name)} in it is not a plain file")


def _shown(name: str) -> str:
    """Format a name for a message: quoted, printable and short."""
    text = repr(name)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2]}…{text[-1]}"


def _records(name: str, data: memoryview, layout: Layout) -> Records:
    """Return views of the records in one file."""
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
    """Join the parts of one split; copy every image once."""
    labels = {
        name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels
    }
    images = np.empty((sum(len(part.images) for part in parts), *IMAGE_SHAPE), np.uint8)
    np.concatenate([part.images for part in parts], out=images)
    return Records(images, labels)
