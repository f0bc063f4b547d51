"""The same ResNet without BatchNorm in PyTorch, as a baseline; importing it needs PyTorch."""

# pyright: reportMissingImports=false

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """conv, relu, conv, plus the option-A shortcut, relu."""

    def __init__(self, channels: int, features: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(channels, features, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.stride, self.missing = stride, features - channels

    def forward(self, x):
        y = self.second(F.relu(self.first(x)))
        if self.stride > 1:
            half = self.missing // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return F.relu(y + x)


def make(depth: int) -> nn.Module:
    """Build a network of ``depth`` = 6n + 2 layers, channels last."""
    layers: list = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.ReLU()]
    channels = 16
    for features in (16, 32, 64):
        for block in range((depth - 2) // 6):
            stride = 2 if features > 16 and block == 0 else 1
            layers.append(Block(channels, features, stride))
            channels = features
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def load(network: nn.Module, params: dict) -> None:
    """Copy the Flax parameters of a `ResNet` into ``network``."""
    blocks = [module for module in network if isinstance(module, Block)]  # type: ignore[attr-defined]
    kernels = [(network[0].weight, params["Conv3x3_0"])]  # type: ignore[index]
    for number, block in enumerate(blocks):
        flax = params[f"BasicBlock_{number}"]
        kernels += [
            (block.first.weight, flax["Conv3x3_0"]),
            (block.second.weight, flax["Conv3x3_1"]),
        ]
    with torch.no_grad():
        for weight, leaf in kernels:
            weight.copy_(torch.from_numpy(np.array(leaf["kernel"]).transpose(3, 2, 0, 1)))
        dense = jax.tree.map(np.array, params["Dense_0"])
        network[-1].weight.copy_(torch.from_numpy(dense["kernel"].T))  # type: ignore[index]
        network[-1].bias.copy_(torch.from_numpy(dense["bias"]))  # type: ignore[index]
