"""What a network costs: parameters, and multiplications for a picture."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ifan.networks.ifan import DeblurringNetwork
from ifan.networks.predictor import SeparableFilterPredictor


class Cost(NamedTuple):
    """What a network costs.

    Attributes:
        parameters: how many numbers are learned.
        macs: multiply-accumulate operations for one picture.
        height: of that picture in pixels.
        width: of that picture in pixels.
    """

    parameters: int
    macs: int
    height: int
    width: int

    def __str__(self) -> str:
        """Return two lines, rounded as the paper does."""
        return (
            f"parameters: {self.parameters / 1e6:.3f} M\n"
            f"MACs: {self.macs / 1e9:.1f} G for a picture of {self.width}x{self.height} pixels\n"
        )


def cost(network: DeblurringNetwork, height: int = 720, width: int = 1280) -> Cost:
    """Count as the published numbers were counted, so that they can be compared.

    That is: the convolutions with all filters predicted, a transposed one by the pixels that go
    in, and one operation more for each bias that is added. Activations and the IAC itself are not
    counted.

    Args:
        network: any of the paper's.
        height: of the picture in pixels, a multiple of 8.
        width: of the picture in pixels, a multiple of 8.
    """
    # On the meta device there are shapes but no values: it takes neither time nor memory.
    counted = deepcopy(network).to("meta")
    macs = 0

    def count(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal macs
        # One weight meets every pixel of what it is laid on: the output, or the transposed input.
        laid_on = inputs[0] if layer.transposed else output
        macs += layer.weight.numel() * laid_on.shape[-2:].numel()
        if layer.bias is not None:
            macs += output.numel()

    for layer in counted.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    picture = torch.empty(1, 3, height, width, device="meta")
    feature = counted.deblur_for_training(
        picture, *([picture] * 2 if network.dual_pixel else ())
    ).filter_feature
    if feature is not None and isinstance(counted.filter_predictor, SeparableFilterPredictor):
        counted.filter_predictor.output(feature)  # the pass used its weights by parts, unseen
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Cost(parameters, macs, height, width)
