"""Archives: every record of a good one, and a reason for every other."""

import gzip
import hashlib

import numpy as np
import pytest

from adamprox.data import archive as archive_module
from adamprox.data.archive import ArchiveError, read_archive
from tests.cifar_archives import BAD_TARS, CIFAR10, CIFAR100, contents, good, member, records, write


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
