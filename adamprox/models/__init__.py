"""The networks of the paper, as Flax linen modules."""

from adamprox.models.densenet import DenseNet as DenseNet
from adamprox.models.mlp import MLP as MLP
from adamprox.models.reference import from_reference as from_reference
from adamprox.models.reference import to_reference as to_reference
from adamprox.models.resnet import ResNet as ResNet
