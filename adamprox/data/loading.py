"""`load`, and the directories that it reads."""

import functools
import importlib
import os
import pathlib
import shlex

from adamprox.data.dataset import Dataset
from adamprox.data.errors import DamagedDataError, MissingDataError
from adamprox.data.layout import LAYOUTS, Layout


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set; further calls in this process return the same object.

    Args:
      name: Name of the data set. ``"cifar10"`` and ``"cifar100"`` (100 fine classes) are 32×32 in
        color and need ``python -m adamprox.data prepare`` first. ``"digits"`` are the 1,797
        handwritten digits (8×8, grayscale) of scikit-learn.
      data_dir: Directory of prepared data sets; by default the environment variable
        ``TFDS_DATA_DIR``, or else ``~/tensorflow_datasets``. The digits need none.

    Returns:
      The data set, its arrays read-only.

    Raises:
      ValueError: ``name`` is not one of the above, or ``data_dir`` is a file.
      MissingDataError: The data set is not prepared in this directory.
      DamagedDataError: Its files changed after preparation.

    Example:
      >>> digits = load("digits")
      >>> digits.train.images.shape, digits.test.images.shape, digits.num_classes
      ((512, 8, 8, 1), (1285, 8, 8, 1), 10)

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009; the UCI ML
    hand-written digits data (test part), Alpaydin and Kaynak, 1998.
    """
    if name == "digits":
        return _digits()
    if name not in [*LAYOUTS]:
        names = ", ".join(map(repr, [*LAYOUTS, "digits"]))
        raise ValueError(f"data set must be one of {names}, got {name!r}")
    layout = LAYOUTS[name]
    directory = prepared_directory(layout, data_dir)
    # Check before slow imports.
    if not is_prepared(directory):
        raise MissingDataError(
            f"{name} is not prepared: there is no {directory / _INFO}; "
            f"run: {prepare_command(layout, data_dir)}"
        )
    try:
        return _prepared(name, directory)
    except DamagedDataError as error:
        mend = prepare_command(layout, data_dir, "--force")
        raise DamagedDataError(f"{name} in {directory} is damaged: {error}; run: {mend}") from error


_INFO = "dataset_info.json"


def resolve_data_dir(data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Return ``data_dir``, or else the directory of TensorFlow Datasets, as an absolute path.

    Raises:
      ValueError: The path is a file.
    """
    variable = os.environ.get("TFDS_DATA_DIR")
    given = data_dir or variable or "~/tensorflow_datasets"
    # Path.expanduser raises if the user does not exist.
    path = pathlib.Path(os.path.expanduser(given)).absolute()
    if path.is_file():
        name = "data dir" if data_dir or not variable else "TFDS_DATA_DIR"
        raise ValueError(f"{name} must be a directory, got the file {path}")
    return path


def prepared_directory(
    layout: Layout, data_dir: str | os.PathLike[str] | None = None
) -> pathlib.Path:
    """Return the directory of the prepared files of a data set."""
    return resolve_data_dir(data_dir) / layout.builder / layout.version


def is_prepared(directory: pathlib.Path) -> bool:
    """Return True if preparation has finished; the directory appears as a whole at the end."""
    return (directory / _INFO).is_file()


def prepare_command(
    layout: Layout, data_dir: str | os.PathLike[str] | None = None, *options: str
) -> str:
    """Return the shell command that prepares a data set."""
    where = ("--data-dir", os.fspath(data_dir)) if data_dir else ()
    return shlex.join(["python", "-m", "adamprox.data", "prepare", layout.name, *where, *options])


def clear_cache() -> None:
    """Make `load` read files again."""
    _prepared.cache_clear()


@functools.cache
def _digits() -> Dataset:
    return importlib.import_module("adamprox.data.digits").digits()


@functools.cache
def _prepared(name: str, directory: pathlib.Path) -> Dataset:
    return importlib.import_module("adamprox.data.prepared").read(LAYOUTS[name], directory)
