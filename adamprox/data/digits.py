"""The handwritten digits that scikit-learn ships."""

import numpy as np
from sklearn.datasets import load_digits

from adamprox.data.dataset import Dataset, Split, channel_statistics


def digits() -> Dataset:
    """The 1,797 digits, 8×8 and grey: 512 to train, 1,285 to test.

    Source: the UCI ML hand-written digits data (test part), Alpaydin and Kaynak, 1998.
    """
    images, labels = load_digits(return_X_y=True)
    # Grey levels are 0 … 16; 255/16 brings them to the units of the other data sets.
    images = np.round(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    whole = Split(images, labels.astype(np.int32))
    # Few to train on, so that a regularizer has something to do; many to test on, so that an error
    # is known to better than a percent.
    # The file is ordered by writer, so an unshuffled split would test on strangers' hands.
    order = np.random.RandomState(0).permutation(len(whole))
    train, test = whole[order[:512]], whole[order[512:]]
    mean, std = channel_statistics(train.images)
    return Dataset("digits", train, test, num_classes=10, mean=mean, std=std)
