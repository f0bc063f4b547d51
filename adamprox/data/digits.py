"""The handwritten digits that scikit-learn ships."""

import importlib.util
import pathlib

import numpy as np

from adamprox.data.dataset import Dataset, Split, channel_statistics


def digits() -> Dataset:
    """Return the 1,797 digits, 8×8 in grayscale: 512 for training, 1,285 for testing.

    Source: the UCI ML hand-written digits data (test part), Alpaydin and Kaynak, 1998.
    """
    table = np.loadtxt(_file(), delimiter=",")
    # Gray levels are 0 … 16; 255/16 converts them to the units of the other data sets.
    images = np.round(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    whole = Split(images, table[:, -1].astype(np.int32))
    # A small training set gives the regularizer an effect; a large test set measures an error to
    # better than one percentage point. The file is ordered by writer: without the shuffle, training
    # and test set would have different writers.
    order = np.random.RandomState(0).permutation(len(whole))
    train, test = whole[order[:512]], whole[order[512:]]
    mean, std = channel_statistics(train.images)
    return Dataset("digits", train, test, num_classes=10, mean=mean, std=std)


def _file() -> pathlib.Path:
    """Return the file of `sklearn.datasets.load_digits`, whose import would take two seconds."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    return pathlib.Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
