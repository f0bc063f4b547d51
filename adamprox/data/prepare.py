"""Preparation of a data set: convert an archive to files that `adamprox.data.load` reads."""

import contextlib
import io
import os
import pathlib
import secrets
import shutil
import sys

import requests
import tensorflow_datasets as tfds

from adamprox.data.archive import existing_archive, read_archive
from adamprox.data.cifar import BUILDERS, published
from adamprox.data.layout import LAYOUTS, Layout
from adamprox.data.loading import clear_cache, is_prepared, prepared_directory, resolve_data_dir
from adamprox.output import reason_not_writable

_ROOM = 1.2  # size of prepared files relative to the archive, with a margin; measured: 1.02


class PrepareError(OSError):
    """Preparation failed for a reason other than the archive; the message is one line."""


def prepare(
    name: str,
    archive: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> bool:
    """Prepare a data set if necessary; its directory appears as a whole or not at all.

    Args:
      name: Name of the data set, ``"cifar10"`` or ``"cifar100"``.
      archive: Path of the official binary archive. If its checksum or number of images differs from
        the published ones, this is recorded. None means to download the archive, whose checksum
        must match.
      data_dir: Directory of prepared data sets, see `adamprox.data.load`.
      force: True to replace a prepared data set.

    Returns:
      True if files were written, False if the data set was already prepared.

    Raises:
      ValueError: ``name`` is unknown, or the archive is refused; nothing was written.
      PrepareError: The archive cannot be downloaded, or the files cannot be written.
    """
    if name not in LAYOUTS:
        raise ValueError(f"data set must be {' or '.join(map(repr, LAYOUTS))}, got {name!r}")
    layout = LAYOUTS[name]
    directory = prepared_directory(layout, data_dir)
    given = None if archive is None else existing_archive(archive)
    if is_prepared(directory) and not force:
        return False
    root = resolve_data_dir(data_dir)
    try:
        os.fspath(root).encode()
    except UnicodeEncodeError:  # ArrayRecord accepts only UTF-8
        raise ValueError(f"data dir must be a path in UTF-8, got {root}") from None
    contents = read_archive(given or _download(layout, root), layout)
    _check_room(root, contents.size * _ROOM)
    try:
        with _set_aside(directory):
            builder = BUILDERS[name](archive=contents, data_dir=os.fspath(root))
            with _quiet_tfds():
                builder.download_and_prepare()
    except (OSError, RuntimeError) as error:  # ArrayRecord raises RuntimeError for a full disk
        raise PrepareError(f"cannot write {directory}: {_one_line(error)}") from error
    clear_cache()
    return True


@contextlib.contextmanager
def _set_aside(directory: pathlib.Path):
    """Move an existing, perhaps damaged data set aside while a new one is written.

    The old one is removed after success, and moved back after a failure.
    """
    old = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}.old")
    there = os.path.lexists(directory)
    if there:
        os.rename(directory, old)
    try:
        yield
    except BaseException:
        if there:
            shutil.rmtree(directory, ignore_errors=True)
            os.rename(old, directory)
        raise
    if there:
        shutil.rmtree(old, ignore_errors=True)


def _download(layout: Layout, root: pathlib.Path) -> pathlib.Path:
    """Download the published archive, or find it among TFDS's downloads; verify its checksum."""
    _check_room(root, published(layout).size * (1 + _ROOM))
    try:
        # Without a network TFDS would retry for minutes.
        requests.get(layout.url, stream=True, timeout=20).close()
        with _quiet_tfds():
            manager = tfds.download.DownloadManager(
                download_dir=root / "downloads",
                url_infos={layout.url: published(layout)},
                dataset_name=layout.builder,
                force_checksums_validation=True,
            )
            return pathlib.Path(manager.download(layout.url))
    except Exception as error:  # errors of requests, TFDS and promise have no common base
        offline = isinstance(error, requests.ConnectionError)
        why = "no connection" if offline else _one_line(error)
        raise PrepareError(
            f"cannot download {layout.url}: {why}; if you have the archive, pass --archive FILE"
        ) from error


def _check_room(root: pathlib.Path, size: float) -> None:
    """Refuse a directory without room for ``size`` bytes, before anything is written."""
    if reason := reason_not_writable(root):
        raise PrepareError(f"cannot write {root}: {reason}")
    free = shutil.disk_usage(next(p for p in (root, *root.parents) if p.exists())).free
    if free < size:
        raise PrepareError(
            f"cannot write {root}: {size / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free"
        )


@contextlib.contextmanager
def _quiet_tfds():
    """Silence TFDS on standard output; show its progress bars only on a terminal."""
    tfds.display_progress_bar(sys.stderr.isatty())
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
