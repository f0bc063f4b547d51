"""Image classification data as arrays.

Heavy imports wait until needed: TensorFlow Datasets for CIFAR, scikit-learn for the digits.
"""

from adamprox.data.dataset import Dataset as Dataset
from adamprox.data.dataset import Split as Split
from adamprox.data.errors import DamagedDataError as DamagedDataError
from adamprox.data.errors import MissingDataError as MissingDataError
from adamprox.data.loading import load as load
