"""Tiny archives in the published layout, of random pixels."""

import io
import tarfile

import numpy as np

from adamprox.data.layout import CIFAR10, CIFAR100


def records(layout, count, seed=0):
    """Rows of label bytes, each in range, and planes of pixels."""
    rng = np.random.default_rng(seed)
    labels = [rng.integers(0, classes, (count, 1)) for classes in layout.labels.values()]
    return np.hstack([*labels, rng.integers(0, 256, (count, 3072))]).astype(np.uint8)


def contents(layout, count=3):
    """Return the files of a good archive: bytes by name."""
    files = {name: records(layout, count, seed).tobytes() for seed, name in enumerate(layout.files)}
    names = "batches.meta.txt" if layout is CIFAR10 else "fine_label_names.txt"
    return {**files, f"{layout.folder}/{names}": b"cat\ndog\n"}


def member(name, data=b"", **changes):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, data


def write(path, members):
    """A gzip-compressed tar file of `member`s."""
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def good(path, layout=CIFAR10, count=3):
    """A good archive, its folder as a member, as published."""
    folder = member(layout.folder, type=tarfile.DIRTYPE)
    files = [member(name, data) for name, data in contents(layout, count).items()]
    return write(path, [folder, *files])


FIRST = "cifar-10-batches-bin/data_batch_1.bin"


def changed(**changes):
    """Members of a good archive with some files replaced, added or (None) left out."""
    files = {**contents(CIFAR10), **changes}
    return [member(name, data) for name, data in files.items() if data is not None]


BAD_TARS = {
    "missing batch": (changed(**{FIRST: None}), "lacks '.*data_batch_1.bin', which belongs to"),
    "part of a record": (changed(**{FIRST: b"\0" * 3072}), "has 3,072 bytes, not records of 3,073"),
    "extra bytes": (changed(**{FIRST: b"\0" * 3074}), "has 3,074 bytes, not records of 3,073"),
    "no record": (changed(**{FIRST: b""}), "has 0 bytes, not records of 3,073"),
    "label": (changed(**{FIRST: b"\x0a" + b"\0" * 3072}), "label must be < 10, got 10 in record 0"),
    "other name": (changed(**{"cifar-10-batches-bin/data_batch_6.bin": b""}), "holds '.*batch_6"),
    "traversal": (changed(**{"../evil.txt": b"x"}), "holds '../evil.txt'; an archive of cifar10"),
    "traversal within": (changed(**{"cifar-10-batches-bin/../../evil.txt": b"x"}), "holds '"),
    "absolute": (changed(**{"/etc/evil.txt": b"x"}), "holds '/etc/evil.txt'"),
    "twice": ([*changed(), member(FIRST, records(CIFAR10, 1).tobytes())], "holds '.*' twice"),
    "symlink": (
        [*changed(**{FIRST: None}), member(FIRST, type=tarfile.SYMTYPE, linkname="/etc/passwd")],
        "is not a plain file",
    ),
    "hard link": (
        [*changed(**{FIRST: None}), member(FIRST, type=tarfile.LNKTYPE, linkname="test_batch.bin")],
        "is not a plain file",
    ),
    "device": (
        [*changed(**{FIRST: None}), member(FIRST, type=tarfile.CHRTYPE)],
        "is not a plain file",
    ),
    "cifar100": (
        [member(name, data) for name, data in contents(CIFAR100).items()],
        "holds 'cifar-100-binary/train.bin'; an archive of cifar10 holds 'cifar-10-batches-bin/",
    ),
    "nothing": ([], "lacks"),
}
"""Members that are refused, by what is wrong with them, and a pattern of why."""

__all__ = ["BAD_TARS", "CIFAR10", "CIFAR100", "contents", "good", "member", "records", "write"]
