"""The reblurring network of the paper; used in training only.

It turns the predicted deblurring filters into reblurring filters and blurs the sharp target with
them. If that gives the defocused picture back, the deblurring filters knew shape and size of the
blur.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifan.networks.iac import PARTS, iterative_adaptive_convolution, split_prediction
from ifan.networks.layers import ResidualBlock, activated_conv3x3, conv3x3

COLOURS = 3

DEFAULT_REBLURRING_ITERATIONS = {8: 8, 26: 9}
"""Reblurring iterations that the authors took for a given N; 17 for all others."""


class ReblurringNetwork(nn.Module):
    """The RBN.

    Args:
        width: the base channel count of the IFAN whose prediction it reads.
        iterations: that IFAN's number of IAC iterations, the paper's N.
        reblurring_iterations: iterations of its own IAC; by default what the authors took for N.
        shared_filters: apply the vertical filter in both directions, as the released
            implementation did.
        prediction_channels: channels of the prediction that it reads, where it is that of another
            network than an IFAN: its filter predictor's `output.out_channels`.
    """

    def __init__(
        self,
        width: int = 32,
        iterations: int = 17,
        reblurring_iterations: int | None = None,
        shared_filters: bool = False,
        prediction_channels: int | None = None,
    ) -> None:
        super().__init__()
        if reblurring_iterations is None:
            reblurring_iterations = DEFAULT_REBLURRING_ITERATIONS.get(iterations, 17)
        self.width = width
        self.iterations = iterations
        self.reblurring_iterations = reblurring_iterations
        self.shared_filters = shared_filters
        channels = 4 * width
        if prediction_channels is None:
            prediction_channels = iterations * PARTS * channels
        self.filter_inverter = nn.Sequential(
            activated_conv3x3(prediction_channels, channels),
            ResidualBlock(channels, units=2),
            ResidualBlock(channels, units=2),
            conv3x3(channels, reblurring_iterations * PARTS * COLOURS),
        )

    def forward(self, feature: Tensor, predictor_output: nn.Conv2d, sharp: Tensor) -> Tensor:
        """Blur a sharp picture as the deblurring filters say it was blurred.

        Args:
            feature: what the deblurring filters are made of, N x 4*width x h x w.
            predictor_output: the 1x1 convolution that makes them of it.
            sharp: the all-in-focus target at 1/8 size, Nx3xhxw.

        Returns:
            The reblurred picture at 1/8 size, Nx3xhxw.
        """
        first, activation = cast("nn.Sequential", self.filter_inverter[0])
        inverted = activation(_composed(predictor_output, cast("nn.Conv2d", first), feature))
        inverted = self.filter_inverter[1:](inverted)
        filters = split_prediction(inverted, COLOURS, shared_filters=self.shared_filters)
        return sharp + iterative_adaptive_convolution(sharp, filters, final_activation=False)


def _composed(pointwise: nn.Conv2d, then: nn.Conv2d, feature: Tensor) -> Tensor:
    """Return `then(pointwise(feature))` without the many channels between: both are linear.

    The product of the weights costs what the maps would for C + 1 cells; at the paper's width that
    is 129, and a batch of the paper has 8192.

    Args:
        pointwise: 1x1.
        then: 3x3, zero padding 1.
        feature: NxCxhxw.
    """
    # The bias of `pointwise` is the weight of a channel of ones. Padding, which it does not reach,
    # continues that channel by zeros.
    bias = cast("Tensor", pointwise.bias)[:, None]
    affine = torch.cat((pointwise.weight.flatten(1), bias), dim=1)
    weight = (then.weight.permute(0, 2, 3, 1) @ affine).permute(0, 3, 1, 2)
    ones = torch.ones_like(feature[:, :1])
    return F.conv2d(torch.cat((feature, ones), dim=1), weight, then.bias, padding=1)
