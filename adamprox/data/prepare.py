"""Preparing a data set: from an archive to files that `adamprox.data.load` reads."""

import contextlib
import io
import os
import pathlib
import secrets
import shutil
import sys

import requests
import tensorflow_datasets as tfds

from adamprox.data.archive import read_archive
from adamprox.data.cifar import BUILDERS, published
from adamprox.data.layout import LAYOUTS, Layout
from adamprox.data.loading import forget, is_prepared, prepared_directory, resolve_data_dir
from adamprox.output import obstacle

_ROOM = 1.2  # what prepared files take, relative to the archive; measured: 1.02


class PrepareError(OSError):
    """A data set cannot be prepared for a reason outside of its archive; one line."""


def prepare(
    name: str,
    archive: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> bool:
    """Prepare a data set, unless it is; its folder appears whole or not at all.

    Args:
      name: ``"cifar10"`` or ``"cifar100"``.
      archive: The official binary archive, fetched by hand. A checksum or a number of images other
        than the published is recorded, not refused. By default it is downloaded, and must match.
      data_dir: As for `adamprox.data.load`.
      force: Replace a data set that is prepared.

    Returns:
      Whether anything was written; False if the data set was prepared before.

    Raises:
      ValueError: ``name`` is not one of the above, or the archive is refused; nothing was written.
      PrepareError: The archive cannot be downloaded, or the files cannot be written.
    """
    if name not in LAYOUTS:
        raise ValueError(f"data set must be {' or '.join(map(repr, LAYOUTS))}, got {name!r}")
    layout = LAYOUTS[name]
    directory = prepared_directory(layout, data_dir)
    if is_prepared(directory) and not force:
        return False
    root = resolve_data_dir(data_dir)
    try:
        os.fspath(root).encode()
    except UnicodeEncodeError:  # ArrayRecord takes texts alone
        raise ValueError(f"data dir must be a path in UTF-8, got {root}") from None
    if archive is None:
        path = _download(layout, root)
    elif os.fspath(archive):
        path = pathlib.Path(os.path.expanduser(archive))
    else:
        raise ValueError("archive must be a file, got ''")
    contents = read_archive(path, layout)
    _check_room(root, contents.size * _ROOM)
    try:
        with _set_aside(directory):
            builder = BUILDERS[name](archive=contents, data_dir=os.fspath(root))
            with _as_quiet_as_a_pipe():
                builder.download_and_prepare()
    except (OSError, RuntimeError) as error:  # ArrayRecord raises RuntimeError where a disk is full
        raise PrepareError(f"cannot write {directory}: {_one_line(error)}") from error
    forget()
    return True


@contextlib.contextmanager
def _set_aside(directory: pathlib.Path):
    """Make room for a data set in place of the one, perhaps damaged, that is there.

    The old one is removed when the new one is whole, and put back if it does not become so.
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
    """Fetch the published archive, or find it where TFDS keeps downloads; its checksum matches."""
    _check_room(root, published(layout).size * (1 + _ROOM))
    try:
        # TFDS tries for minutes where there is no network.
        requests.get(layout.url, stream=True, timeout=20).close()
        with _as_quiet_as_a_pipe():
            manager = tfds.download.DownloadManager(
                download_dir=root / "downloads",
                url_infos={layout.url: published(layout)},
                dataset_name=layout.builder,
                force_checksums_validation=True,
            )
            return pathlib.Path(manager.download(layout.url))
    except Exception as error:  # of requests, TFDS and promise: no common base
        offline = isinstance(error, requests.ConnectionError)
        why = "no connection" if offline else _one_line(error)
        raise PrepareError(
            f"cannot download {layout.url}: {why}; if you have the archive, pass --archive FILE"
        ) from error


def _check_room(root: pathlib.Path, size: float) -> None:
    """Refuse a folder that cannot take ``size`` bytes, before anything is written."""
    if reason := obstacle(root):
        raise PrepareError(f"cannot write {root}: {reason}")
    free = shutil.disk_usage(next(p for p in (root, *root.parents) if p.exists())).free
    if free < size:
        raise PrepareError(
            f"cannot write {root}: {size / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free"
        )


@contextlib.contextmanager
def _as_quiet_as_a_pipe():
    """Nothing of TFDS on standard output; its progress bars only where someone watches."""
    tfds.display_progress_bar(sys.stderr.isatty())
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
