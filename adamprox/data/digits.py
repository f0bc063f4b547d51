"""The handwritten digits that scikit-learn ships."""

import numpy as np
from sklearn.datasets import load_digits

from adamprox.data.dataset import Dataset, Split, channel_statistics


def digits() -> Dataset:
    """Return the 1,797 digits, 8×8 in grayscale: 512 for training, 1,285 for testing.

    Source: the UCI ML hand-written digits data (test part), Alpaydin and Kaynak, 1998.
    """
    images, labels = load_digits(return_X_y=True)
    # Gray levels are 0 … 16; 255/16 converts them to the units of the other data sets.
    images = np.round(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    whole = Split(images, labels.astype(np.int32))
    # A small training set gives the regularizer an effect; a large test set measures an error to
    # better than one percentage point. The file is ordered by writer: without the shuffle, training
    # and test set would have different writers.
    order = np.random.RandomState(0).permutation(len(whole))
    train, test = whole[order[:512]], whole[order[512:]]
    mean, std = channel_statistics(train.images)
    return Dataset("digits", train, test, num_classes=10, mean=mean, std=std)
