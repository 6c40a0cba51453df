"""The network as one writes it down first, to compare with: all filters at once, stock unfold.

Its layers are those of `ifan.networks`; the prediction is materialised whole, in the released
order, and each iteration cuts its filters out of it.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifan.networks import IFAN
from ifan.networks.iac import TAPS


class PlainIFAN(nn.Module):
    """An IFAN with Eq. 1 of the paper, in eager PyTorch."""

    def __init__(self, network: IFAN) -> None:
        super().__init__()
        self.network = network

    def forward(self, center: Tensor) -> Tensor:
        """Deblur a picture, Nx3xHxW."""
        network = self.network
        *skips, features = network.feature_extractor.pyramid(center)
        channels = features.shape[1]
        prediction = network.filters(center)
        taps = 2 * TAPS * channels
        biases = network.iterations * taps
        for n in range(network.iterations):
            first = n * taps
            middle = first + TAPS * channels
            bias = prediction[:, biases + n * channels : biases + (n + 1) * channels]
            features = filtered(features, prediction[:, first:middle], (TAPS, 1))
            features = filtered(features, prediction[:, middle : first + taps], (1, TAPS))
            features = F.leaky_relu(features + bias, 0.1)
        return cast("Tensor", network.reconstructor(features, skips)) + center


def filtered(features: Tensor, filters: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Filter each pixel and channel of NxCxHxW with taps of its own, N x C*3 x H x W."""
    batch, channels, height, width = features.shape
    down, across = kernel[0] // 2, kernel[1] // 2
    padded = F.pad(features, (across, across, down, down), mode="replicate")
    patches = F.unfold(padded, kernel).view(batch, channels, TAPS, height, width)
    return (patches * filters.view(batch, channels, TAPS, height, width)).sum(dim=2)


def build(width: int, iterations: int) -> PlainIFAN:
    """Return a network with weights of ordinary size, ready to run."""
    torch.manual_seed(0)
    return PlainIFAN(IFAN(width, iterations)).eval()
