"""Defocus disparity, as the paper has it: the map estimator and the warp that trains it.

In a dual-pixel picture the left and right views of a defocused point lie apart by a disparity
that is proportional to its blur. Estimating it makes the network aware of how much blur there is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifan.networks.layers import ResidualBlock, activated_conv3x3, conv3x3


class DisparityMapEstimator(nn.Sequential):
    """The DME: from the filter encoder's feature to one disparity a cell.

    Maps NxCxhxw to Nx1xhxw, in cells of that map. The left view at x looks like the right view at
    x + disparity(x): positive where a point lies further to the right in the right view.

    Args:
        channels: channels C of the feature.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(
            activated_conv3x3(channels, channels),
            ResidualBlock(channels, units=2),
            ResidualBlock(channels, units=2),
            conv3x3(channels, 1),
        )


def downsample(picture: Tensor, factor: int = 8) -> Tensor:
    """Shrink NxCxHxW by averaging squares of `factor` x `factor` pixels, as the losses do."""
    return F.avg_pool2d(picture, factor)


def warp_horizontally(picture: Tensor, disparity: Tensor) -> Tensor:
    """Sample `picture` at x + disparity(x), bilinearly, with zeros outside.

    Args:
        picture: NxCxhxw, for the loss the right view at 1/8 size.
        disparity: Nx1xhxw in pixels of `picture`.

    Returns:
        NxCxhxw, for the loss an estimate of the left view.
    """
    height, width = picture.shape[-2:]
    # Under mixed precision the estimate is in 16 bits, which is too coarse for coordinates.
    disparity = disparity.to(picture.dtype)
    columns = torch.arange(width, device=disparity.device, dtype=disparity.dtype)
    rows = torch.linspace(-1, 1, height, device=disparity.device, dtype=disparity.dtype)
    x = (columns + disparity[:, 0]) * (2 / max(width - 1, 1)) - 1
    y = rows[:, None].expand_as(x)
    grid = torch.stack((x, y), dim=-1)
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
