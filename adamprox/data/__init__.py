"""Image classification data as arrays."""

from adamprox.data.dataset import Dataset as Dataset
from adamprox.data.dataset import Split as Split
from adamprox.data.dataset import load as load
