"""The networks of the paper, as Flax linen modules."""

from adamprox.models.resnet import ResNet as ResNet
