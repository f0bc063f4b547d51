"""Archives: every record of a good one, and a reason for every other."""

import contextlib
import gzip
import hashlib
import io
import os
import random
import tarfile
import tracemalloc

import numpy as np
import pytest

from adamprox.data import archive as archive_module
from adamprox.data.archive import ArchiveError, read_archive
from tests.cifar_archives import (
    BAD_TARS,
    CIFAR10,
    CIFAR100,
    FIRST,
    contents,
    good,
    member,
    records,
    write,
)
from tests.hostile_archives import first, harmless, header, hostile, mutated


@pytest.mark.parametrize("layout", [CIFAR10, CIFAR100], ids=["cifar10", "cifar100"])
def test_every_record_is_read_in_order(tmp_path, layout):
    path = good(tmp_path / "a.tar.gz", layout, count=2)
    archive = read_archive(path, layout)
    raw = path.read_bytes()
    assert (archive.name, archive.size) == ("a.tar.gz", len(raw))
    assert archive.sha256 == hashlib.sha256(raw).hexdigest()
    seeds = {"train": range(len(layout.train)), "test": [len(layout.train)]}
    for split, of in seeds.items():
        rows = np.concatenate([records(layout, 2, seed) for seed in of])
        skip = len(layout.labels)
        for column, label in enumerate(layout.labels):
            np.testing.assert_array_equal(archive.splits[split].labels[label], rows[:, column])
        # A pixel of a plane, found where the published description says: red, green, blue planes.
        images = archive.splits[split].images
        assert images.flags.c_contiguous
        for channel, y, x in ((0, 0, 0), (1, 3, 31), (2, 31, 5)):
            plane = rows[:, skip + channel * 1024 + y * 32 + x]
            np.testing.assert_array_equal(images[:, y, x, channel], plane)


def test_the_order_of_members_is_free(tmp_path):
    members = [member(f"./{name}", data) for name, data in contents(CIFAR10).items()]
    shuffled = read_archive(write(tmp_path / "a", reversed(members)), CIFAR10)
    sorted_ = read_archive(good(tmp_path / "b"), CIFAR10)
    np.testing.assert_array_equal(shuffled.splits["train"].images, sorted_.splits["train"].images)


def refused(path, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        read_archive(path, CIFAR10)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("what", BAD_TARS)
def test_wrong_members_are_refused(tmp_path, what):
    members, message = BAD_TARS[what]
    refused(write(tmp_path / "a.tar.gz", members), message)


@pytest.mark.parametrize("keep", [1, 10, 0.5, 0.99, -1, -8, -9])
def test_truncated_downloads_are_refused(tmp_path, keep):
    raw = good(tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(raw[: int(keep * len(raw)) if 0 < keep < 1 else keep])
    refused(tmp_path / "a.tar.gz", "ends early|not an intact gzip")


def test_every_flipped_byte_is_refused(tmp_path):
    path = good(tmp_path / "a.tar.gz", count=1)
    raw = path.read_bytes()
    # Past the header of gzip, whose time stamp and file name mean nothing.
    for position in np.linspace(30, len(raw) - 1, 40).astype(int):
        path.write_bytes(raw[:position] + bytes([raw[position] ^ 4]) + raw[position + 1 :])
        refused(path, "gzip|ends early|tar")


def test_truncated_tars_are_refused(tmp_path):
    tar = gzip.decompress(good(tmp_path / "a.tar.gz").read_bytes())
    for length in (100, 700, 3000, 30_000, len(tar) // 2):
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tar[:length]))
        refused(tmp_path / "a.tar.gz", "not an intact tar file|ends within|lacks|no tar file")


def test_what_is_no_archive_is_refused(tmp_path):
    tar = gzip.decompress(good(tmp_path / "good.tar.gz").read_bytes())
    for content, message in (
        (b"", "empty"),
        (b"<html>not found</html>", "not an intact gzip file"),
        (gzip.compress(b""), "empty"),
        (gzip.compress(b"hello" * 1000), "not an intact tar file"),
        (gzip.compress(tar) + b"more", "not an intact gzip file"),
        (gzip.compress(tar + b"more"), "after its last member"),
    ):
        (tmp_path / "a").write_bytes(content)
        refused(tmp_path / "a", message)
    refused(tmp_path / "none", "there is no such file")
    refused(tmp_path, "not a file")


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "_LIMIT", 2**16)
    (tmp_path / "a").write_bytes(gzip.compress(b"\0" * 2**22))
    refused(tmp_path / "a", "holds more than 65,536 bytes")


def test_cifar100_labels_are_checked_both(tmp_path):
    for column, message in ((0, "coarse_label must be < 20, got 20"), (1, "label must be < 100")):
        rows = records(CIFAR100, 2)
        rows[1, column] = (20, 100)[column]
        files = {**contents(CIFAR100), "cifar-100-binary/test.bin": rows.tobytes()}
        path = write(tmp_path / "a", [member(name, data) for name, data in files.items()])
        with pytest.raises(ArchiveError, match=f"{message}.* in record 1 of"):
            read_archive(path, CIFAR100)


def assert_refused_in_one_line(path):
    with pytest.raises(ArchiveError) as caught:
        read_archive(path, CIFAR10)
    line = str(caught.value).removeprefix(f"{path}: ")
    assert line.isprintable() and len(line) < 300


@pytest.mark.parametrize("what", HOSTILE := hostile())
def test_hostile_headers_are_refused(tmp_path, what):
    (tmp_path / "a").write_bytes(gzip.compress(HOSTILE[what], 1))
    assert_refused_in_one_line(tmp_path / "a")


@pytest.mark.parametrize("what", HARMLESS := harmless())
def test_headers_that_change_no_record_are_read(tmp_path, what):
    (tmp_path / "plain").write_bytes(gzip.compress(first(), 1))
    (tmp_path / "a").write_bytes(gzip.compress(HARMLESS[what], 1))
    plain, read = (read_archive(tmp_path / name, CIFAR10) for name in ("plain", "a"))
    for split, same in plain.splits.items():
        np.testing.assert_array_equal(read.splits[split].images, same.images)


@pytest.mark.parametrize("seed", range(4))
def test_any_header_is_read_or_refused(tmp_path, seed):
    draws, path, read = random.Random(seed), tmp_path / "a", 0
    (tmp_path / "plain").write_bytes(gzip.compress(first(), 1))
    plain = read_archive(tmp_path / "plain", CIFAR10)
    for _ in range(int(os.environ.get("ADAMPROX_MUTATIONS", "100"))):
        path.write_bytes(gzip.compress(mutated(draws), 1))
        try:
            archive = read_archive(path, CIFAR10)
        except ArchiveError:
            assert_refused_in_one_line(path)
            continue
        read += 1
        for split, same in plain.splits.items():
            np.testing.assert_array_equal(archive.splits[split].images, same.images)
    assert read  # a time, say, is not checked


@pytest.mark.parametrize("pack", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_that_are_packed_again_are_read(tmp_path, pack):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=pack) as tar:
        for info, data in (member(name, data) for name, data in contents(CIFAR10).items()):
            info.mtime, info.uname = 1234.5678, "jürgen"
            tar.addfile(info, io.BytesIO(data))
    assert len(read_archive(tmp_path / "a.tar.gz", CIFAR10).splits["train"].images) == 15


def gzip_header(flags, *fields):
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + b"".join(fields)


def test_what_a_header_of_gzip_has_is_passed_over(tmp_path):
    packed, whole = gzip.compress(first()), tmp_path / "a"
    extra = (2**16 - 1).to_bytes(2, "little") + b"x" * (2**16 - 1)
    name, comment = b"n" * 2**20 + b"\0", b"c" * 2**20 + b"\0"
    whole.write_bytes(gzip_header(4 | 8 | 16, extra, name, comment) + packed[10:] + bytes(1000))
    assert len(read_archive(whole, CIFAR10).splits["test"].images) == 1
    for cut in (5, 2**15, 2**17, 2**20 + 2**16 + 100):
        whole.write_bytes(whole.read_bytes()[:cut])
        assert_refused_in_one_line(whole)
    whole.write_bytes(gzip_header(0xFF) + packed[10:])
    assert_refused_in_one_line(whole)


def test_gzip_streams_are_joined_and_counted(tmp_path, monkeypatch):
    raw = first()
    parts = [gzip.compress(raw[start : start + 1000]) for start in range(0, len(raw), 1000)]
    (tmp_path / "a").write_bytes(b"".join(parts))
    assert len(read_archive(tmp_path / "a", CIFAR10).splits["test"].images) == 1
    monkeypatch.setattr(archive_module, "_STREAMS", len(parts) - 1)
    refused(tmp_path / "a", "streams of gzip")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero"):
        refused(path, "not a file")


def test_memory_is_bounded_by_the_limit(tmp_path, monkeypatch):
    # The largest archive of good records, and what is refused only after all of it came out.
    limit = 2**24
    monkeypatch.setattr(archive_module, "_LIMIT", limit)
    files = {**contents(CIFAR10, 1), FIRST: bytes(3073 * (limit * 9 // 10 // 3073))}
    large = write(tmp_path / "a", [member(name, data) for name, data in files.items()])
    (tmp_path / "zeros").write_bytes(gzip.compress(bytes(4 * limit), 1))
    long = header("././@LongLink", limit // 2, b"L") + b"a" * (limit // 2)
    (tmp_path / "long").write_bytes(gzip.compress(first(long), 1))
    for path in (large, tmp_path / "zeros", tmp_path / "long"):
        tracemalloc.start()
        with contextlib.suppress(ArchiveError):
            read_archive(path, CIFAR10)
        assert tracemalloc.get_traced_memory()[1] < 2.2 * limit + 2**25  # and a chunk of the file
        tracemalloc.stop()
