"""The building blocks that all parts of IFAN share (the paper's overview and its supplement).

Activations work in place, as does the addition in a residual unit: each acts on a fresh tensor that
no gradient needs, so training gives the same numbers with less memory. (What an activation
returned must not be changed: its gradient needs it.)
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

NEGATIVE_SLOPE = 0.1
"""Slope of every leaky ReLU of the network for negative values."""


def leaky_relu_(x: Tensor) -> Tensor:
    """Apply the network's leaky ReLU in place."""
    return F.leaky_relu(x, NEGATIVE_SLOPE, inplace=True)


def conv3x3(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Conv2d:
    """Return the paper's plain convolution: 3x3, zero padding 1, bias."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)


def activated_conv3x3(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution followed by a leaky ReLU."""
    return nn.Sequential(
        conv3x3(in_channels, out_channels, stride=stride),
        nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
    )


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions and the identity: x -> LReLU(x + k3(LReLU(k3(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map NxCxHxW to NxCxHxW."""
        residual = self.conv2(leaky_relu_(self.conv1(x)))
        return leaky_relu_(residual.add_(x))


class ResidualBlock(nn.Module):
    """A chain of residual units; the block's input is added once more if there are several.

    Args:
        channels: channels of input and output.
        units: number of residual units in the chain.
    """

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(ResidualUnit(channels) for _ in range(units))

    def forward(self, x: Tensor) -> Tensor:
        """Map NxCxHxW to NxCxHxW."""
        block_input = x
        for unit in self.units:
            x = unit(x)
        return x + block_input if len(self.units) > 1 else x


class Encoder(nn.Module):
    """Four stages of three convolutions each; stages 2 to 4 halve the size.

    Feature extractor and filter encoder have this shape, each with weights of its own.

    Args:
        in_channels: 3 for one view, 6 for the two dual-pixel views.
        width: channels of stage 1; the stages have 1, 2, 4 and 4 times as many.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        channels = (in_channels, width, 2 * width, 4 * width, 4 * width)
        self.stages = nn.ModuleList(
            nn.Sequential(
                activated_conv3x3(channels[i], channels[i + 1], stride=1 if i == 0 else 2),
                activated_conv3x3(channels[i + 1], channels[i + 1]),
                activated_conv3x3(channels[i + 1], channels[i + 1]),
            )
            for i in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map Nx`in_channels`xHxW to the last stage's Nx4*`width`xH/8xW/8."""
        for stage in self.stages:
            x = stage(x)
        return x

    def pyramid(self, x: Tensor, stages: int = 4) -> list[Tensor]:
        """Return the outputs of the first stages, at 1, 1/2, 1/4 and 1/8 of the size."""
        outputs = []
        for stage in self.stages[:stages]:
            x = cast("Tensor", stage(x))
            outputs.append(x)
        return outputs
