"""The filter predictor of the paper: from encoder feature and disparity map to filters.

The filters are those of `ifan.networks.iac`, N vertical and horizontal ones for each cell of 8x8
pixels and each channel, or others: see `ifan.networks.ablations`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifan.networks.iac import PARTS, TAPS, SeparableFilters
from ifan.networks.layers import ResidualBlock, activated_conv3x3


class FilterPredictor(nn.Module, ABC):
    """From encoder feature and disparity map to filters.

    Args:
        channels: channels C of the feature that the filters are for.
        values: how many numbers make the filters of one channel in one cell.
    """

    def __init__(self, channels: int, values: int) -> None:
        super().__init__()
        self.channels = channels
        self.disparity_encoder: nn.Module = activated_conv3x3(1, channels)
        self.fusion = nn.Sequential(
            activated_conv3x3(2 * channels, channels),
            ResidualBlock(channels, units=2),
            ResidualBlock(channels, units=2),
            activated_conv3x3(channels, channels),
        )
        self.refinement = nn.Sequential(
            activated_conv3x3(channels, channels),
            ResidualBlock(channels, units=2),
            ResidualBlock(channels, units=2),
        )
        self.output = nn.Conv2d(channels, values * channels, 1)

    def trunk(self, encoded: Tensor, disparity: Tensor) -> Tensor:
        """Return the feature from which a 1x1 convolution makes the filters, NxCxhxw."""
        fused = torch.cat((encoded, self.disparity_encoder(disparity)), dim=1)
        return cast("Tensor", self.refinement(self.fusion(fused)))

    def forward(self, encoded: Tensor, disparity: Tensor) -> Tensor:
        """Return the whole prediction, N x values*C x h x w, which is large."""
        return cast("Tensor", self.output(self.trunk(encoded, disparity)))

    @abstractmethod
    def copying_bias(self) -> Tensor:
        """Return the bias of `output` whose filters copy: all taps are 0, those in the middle 1."""


class SeparableFilterPredictor(FilterPredictor):
    """The predictor of the filters of the IAC.

    Args:
        channels: channels C of the feature that the filters are for.
        iterations: number of IAC iterations, the paper's N.
        shared_filters: the vertical filter serves in both directions; at inference the
            horizontal one is then not computed.
    """

    def __init__(self, channels: int, iterations: int, *, shared_filters: bool) -> None:
        super().__init__(channels, iterations * PARTS)
        self.iterations = iterations
        self.shared_filters = shared_filters

    def one_by_one(self, feature: Tensor) -> Iterator[SeparableFilters]:
        """Yield the filters of each iteration, made of what `trunk` returns when asked for.

        At 24 megapixels, N=17 and width 32 the whole prediction would take 23 GB, one iteration
        takes 1.3 GB.
        """
        weights = self._by_part(self.output.weight)
        biases = self._by_part(cast("Tensor", self.output.bias))

        def part(index: int) -> Tensor:
            # By a convolution of its own: to cut one result apart, engines copy it.
            return F.conv2d(feature, weights[index], biases[index])

        for n in range(0, self.iterations * PARTS, PARTS):
            vertical = part(n), part(n + 1), part(n + 2)
            horizontal = (
                vertical if self.shared_filters else (part(n + 3), part(n + 4), part(n + 5))
            )
            yield SeparableFilters(vertical, horizontal, part(n + 6))

    def _by_part(self, values: Tensor) -> Sequence[Tensor]:
        """Take the rows of the last convolution apart: those of each tap or bias."""
        if torch.is_grad_enabled():
            # The gradient of each index would be as large as all the weights.
            return torch.split(values, self.channels)
        # Of an exported graph, this leaves nothing but the weights that are read.
        firsts = range(0, len(values), self.channels)
        return [values[first : first + self.channels] for first in firsts]

    def copying_bias(self) -> Tensor:
        """Return the bias of `output` whose filters all are (0, 1, 0)."""
        bias = torch.zeros(self.iterations, PARTS, self.channels)
        bias[:, [TAPS // 2, TAPS + TAPS // 2]] = 1
        return bias.flatten()
