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
    """What a good archive holds: bytes by name."""
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


__all__ = ["CIFAR10", "CIFAR100", "contents", "good", "member", "records", "write"]
