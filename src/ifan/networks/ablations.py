"""The networks that the paper compares IFAN with: parts left out (Table 1), FAC for IAC (Table 5).

| row | network |
|---|---|
| B: neither filters nor disparity | `Baseline` |
| D: disparity | `DisparityOnly` |
| F: filters; FR: trained with the reblurring loss, too | `FiltersOnly` |
| FD: trained without the reblurring loss; FDR | `ifan.networks.IFAN` |
| FAC | `FACNetwork` |

Each takes the center view only. What a network has in place of a part left out is about as large,
so that no row gains by its parameters: all have 10.3 to 10.6 million with the paper's settings.
Every convolution is activated, as in the network of the paper.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifan.networks.disparity import DisparityMapEstimator
from ifan.networks.iac import SeenFilters, iterative_adaptive_convolution, shown
from ifan.networks.ifan import IFAN, DeblurredFeature, DeblurringNetwork
from ifan.networks.layers import (
    NEGATIVE_SLOPE,
    ResidualBlock,
    activated_conv3x3,
    leaky_relu_,
)
from ifan.networks.predictor import FilterPredictor, SeparableFilterPredictor
from ifan.networks.reconstructor import Reconstructor


class Baseline(DeblurringNetwork):
    """B: an encoder-decoder, with neither filters nor disparity.

    Convolutions on both features replace filter prediction and IAC, and a longer reconstructor
    makes up for their parameters.

    Args:
        width: base channel count; 32 in the paper.
        output_activation: a leaky ReLU follows the reconstructor's last convolution.
    """

    estimates_disparity = False
    predicts_filters = False

    def __init__(self, width: int = 32, output_activation: bool = True) -> None:
        super().__init__(width, output_activation=output_activation)
        channels = 4 * width
        self.fusion = nn.Sequential(
            activated_conv3x3(2 * channels, channels),
            ResidualBlock(channels, units=2),
            ResidualBlock(channels, units=2),
            activated_conv3x3(channels, channels),
        )
        self.reconstructor = Reconstructor(width, output_activation=output_activation, units=19)

    def deblur_feature(
        self,
        encoded: Tensor,
        defocused: Tensor,
        seen: SeenFilters | None = None,  # noqa: ARG002
    ) -> DeblurredFeature:
        """Fuse the features, see `DeblurringNetwork.deblur_feature`."""
        return DeblurredFeature(self.fusion(torch.cat((encoded, defocused), dim=1)))


class DisparityOnly(DeblurringNetwork):
    """D: what is learned of the disparity guides convolutions, not filters.

    Args:
        width: base channel count; 32 in the paper.
        output_activation: a leaky ReLU follows the reconstructor's last convolution.
    """

    estimates_disparity = True
    predicts_filters = False

    def __init__(self, width: int = 32, output_activation: bool = True) -> None:
        super().__init__(width, output_activation=output_activation)
        channels = 4 * width
        self.disparity_estimator = DisparityMapEstimator(channels)
        self.disparity_encoder = nn.Sequential(
            nn.Conv2d(1, channels, 1), nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)
        )
        self.guide = nn.Sequential(
            activated_conv3x3(2 * channels, channels),
            ResidualBlock(channels, units=4),
            activated_conv3x3(channels, 6 * width),
            activated_conv3x3(6 * width, channels),
        )
        self.fusion = nn.Sequential(
            activated_conv3x3(2 * channels, channels),
            ResidualBlock(channels, units=5),
            ResidualBlock(channels, units=4),
            activated_conv3x3(channels, channels),
        )
        self.reconstructor = Reconstructor(width, output_activation=output_activation)

    def deblur_feature(
        self,
        encoded: Tensor,
        defocused: Tensor,
        seen: SeenFilters | None = None,  # noqa: ARG002
    ) -> DeblurredFeature:
        """Fuse e_B with what the disparity map tells, see `DeblurringNetwork.deblur_feature`."""
        disparity = self.disparity_estimator(encoded)
        guide = self.guide(torch.cat((encoded, self.disparity_encoder(disparity)), dim=1))
        fused = self.fusion(torch.cat((guide, defocused), dim=1))
        return DeblurredFeature(fused, disparity=disparity)


class FiltersOnly(DeblurringNetwork):
    """F: the network of the paper without the disparity map.

    Where the filter predictor reads the disparity map, it reads the encoder feature once more,
    through convolutions that nothing asks to estimate disparity.

    Args:
        width: base channel count; 32 in the paper.
        iterations: number of IAC iterations, the paper's N; 17 in the paper.
        shared_filters: the vertical filter serves in both directions; False is Eq. 1.
        output_activation: a leaky ReLU follows the reconstructor's last convolution.
    """

    estimates_disparity = False
    predicts_filters = True

    filter_predictor: SeparableFilterPredictor

    def __init__(
        self,
        width: int = 32,
        iterations: int = 17,
        shared_filters: bool = False,
        output_activation: bool = True,
    ) -> None:
        super().__init__(width, output_activation=output_activation)
        self.iterations = iterations
        self.shared_filters = shared_filters
        channels = 4 * width
        self.filter_predictor = SeparableFilterPredictor(
            channels, iterations, shared_filters=shared_filters
        )
        self.filter_predictor.disparity_encoder = nn.Sequential(
            activated_conv3x3(channels, channels),
            ResidualBlock(channels, units=3),
            activated_conv3x3(channels, channels),
        )
        self.reconstructor = Reconstructor(width, output_activation=output_activation)

    def deblur_feature(
        self, encoded: Tensor, defocused: Tensor, seen: SeenFilters | None = None
    ) -> DeblurredFeature:
        """Apply the IAC to e_B, see `DeblurringNetwork.deblur_feature`."""
        feature = self.filter_predictor.trunk(encoded, encoded)
        filters = shown(self.filter_predictor.one_by_one(feature), seen)
        return DeblurredFeature(iterative_adaptive_convolution(defocused, filters), feature)


class FACNetwork(DeblurringNetwork):
    """The network of the paper with filter adaptive convolution (FAC) instead of the IAC.

    Args:
        width: base channel count; 32 in the paper.
        kernel_size: side of the dense filters in cells of 1/8 size, odd. The default makes as many
            values a channel and cell, 11^2 = 121, as the IAC of the paper's N = 17 has (119), so
            both take the same memory and parameters; the FAC reaches 5 cells with them, the IAC 17.
        output_activation: a leaky ReLU follows the reconstructor's last convolution.

    Raises:
        ValueError: `kernel_size` is even: such a filter has no middle.
    """

    estimates_disparity = True
    predicts_filters = True

    def __init__(
        self, width: int = 32, kernel_size: int = 11, output_activation: bool = True
    ) -> None:
        super().__init__(width, output_activation=output_activation)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, not {kernel_size}")
        self.kernel_size = kernel_size
        channels = 4 * width
        self.disparity_estimator = DisparityMapEstimator(channels)
        self.filter_predictor = DenseFilterPredictor(channels, kernel_size)
        self.reconstructor = Reconstructor(width, output_activation=output_activation)

    def deblur_feature(
        self,
        encoded: Tensor,
        defocused: Tensor,
        seen: SeenFilters | None = None,  # noqa: ARG002
    ) -> DeblurredFeature:
        """Apply the FAC to e_B, activated as the IAC is, see `DeblurringNetwork.deblur_feature`."""
        disparity = self.disparity_estimator(encoded)
        feature = self.filter_predictor.trunk(encoded, disparity)
        filters = self.filter_predictor.output(feature)
        deblurred = leaky_relu_(filter_adaptive_convolution(defocused, filters))
        return DeblurredFeature(deblurred, feature, disparity)


class DenseFilterPredictor(FilterPredictor):
    """The predictor of the filters of the FAC.

    Args:
        channels: channels C of the feature that the filters are for.
        kernel_size: side of the filters, odd.
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(channels, kernel_size**2)
        self.kernel_size = kernel_size

    def copying_bias(self) -> Tensor:
        """Return the bias of `output` whose filters are 1 in the middle and 0 elsewhere."""
        bias = torch.zeros(self.kernel_size**2, self.channels)
        bias[self.kernel_size**2 // 2] = 1
        return bias.flatten()


def filter_adaptive_convolution(features: Tensor, filters: Tensor) -> Tensor:
    """Filter every channel of every pixel with a dense filter of its own; the border is replicated.

    Zhou et al.: "Spatio-Temporal Filter Adaptive Network for Video Deblurring", ICCV 2019.

    Args:
        features: NxCxHxW.
        filters: N x k*k*C x H x W with k odd: the taps row by row, each C channels. The first is
            the factor of the pixel (k-1)/2 further up and to the left.

    Returns:
        NxCxHxW.
    """
    channels, height, width = features.shape[-3:]
    taps = torch.split(filters, channels, dim=1)
    size = round(len(taps) ** 0.5)
    padded = F.pad(features, (size // 2,) * 4, mode="replicate")
    filtered = torch.zeros_like(features)
    for number, tap in enumerate(taps):
        top, left = divmod(number, size)
        neighbours = padded[..., top : top + height, left : left + width]
        filtered = torch.addcmul(filtered, neighbours, tap)
    return filtered


ARCHITECTURES: Mapping[str, type[DeblurringNetwork]] = MappingProxyType(
    {
        "ifan": IFAN,
        "B": Baseline,
        "D": DisparityOnly,
        "F": FiltersOnly,
        "fac": FACNetwork,
    }
)
"""The networks of the paper by the name that a recipe gives as `network.architecture`."""


def create_network(architecture: str, **options: Any) -> DeblurringNetwork:
    """Make a network of `ARCHITECTURES`.

    Args:
        architecture: its name.
        options: of any of the networks; this one takes those that it has. So one set of options,
            with `iterations` among them, makes every row of a table.
    """
    network = ARCHITECTURES[architecture]
    has = inspect.signature(network).parameters
    return network(**{name: value for name, value in options.items() if name in has})
