"""The losses of the paper (Sec. 3.4): deblurring, disparity and reblurring.

Pictures are sRGB-coded tensors Nx3xHxW in [0, 1]; each loss is a mean squared error, a scalar.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor

from ifan.networks import IFAN, ReblurringNetwork
from ifan.networks.disparity import downsample, warp_horizontally


def deblurring_loss(deblurred: Tensor, target: Tensor) -> Tensor:
    """Compare the network's output, not clipped, with the all-in-focus target."""
    return F.mse_loss(deblurred, target)


def disparity_loss(network: IFAN, left: Tensor, right: Tensor) -> Tensor:
    """Ask that the right view, warped by its estimated disparity, be the left view.

    Both views are compared at 1/8 size. A single-view network estimates the disparity of the
    right view, through the encoder that reads the center view otherwise.
    """
    return F.mse_loss(warp_right_to_left(network, left, right), downsample(left))


def warp_right_to_left(network: IFAN, left: Tensor, right: Tensor) -> Tensor:
    """Warp the right view at 1/8 size by the disparity that `network` estimates, Nx3xH/8xW/8."""
    if network.dual_pixel:
        disparity = network.disparity(left=left, right=right)
    else:
        disparity = network.disparity(right)
    return warp_horizontally(downsample(right), disparity)


def reblurring_loss(
    reblurring: ReblurringNetwork, prediction: Tensor, target: Tensor, center: Tensor
) -> Tensor:
    """Ask that the target, reblurred by the predicted filters, be the defocused picture.

    Args:
        reblurring: the reblurring network.
        prediction: the whole filter prediction for `center`, see `IFAN.deblur_for_training`.
        target: all-in-focus picture.
        center: defocused picture.
    """
    return F.mse_loss(reblur(reblurring, prediction, target), downsample(center))


def reblur(reblurring: ReblurringNetwork, prediction: Tensor, target: Tensor) -> Tensor:
    """Blur the target at 1/8 size (every eighth pixel, as released), Nx3xH/8xW/8."""
    return cast("Tensor", reblurring(prediction, target[..., ::8, ::8]))
