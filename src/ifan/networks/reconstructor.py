"""The reconstructor of the paper: from the deblurred feature to the residual picture."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from ifan.networks.layers import ResidualBlock, activated_conv3x3, conv3x3, leaky_relu_


class Reconstructor(nn.Module):
    """From the deblurred feature to the residual picture, with skip connections.

    Args:
        width: base channel count.
        output_activation: a leaky ReLU follows the last convolution, as in the released
            implementation.
        units: residual units at 1/8 of the size.
    """

    def __init__(self, width: int, *, output_activation: bool, units: int = 3) -> None:
        super().__init__()
        self.output_activation = output_activation
        channels = 4 * width
        self.bottleneck = nn.Sequential(
            activated_conv3x3(channels, channels),
            ResidualBlock(channels, units),
            activated_conv3x3(channels, channels),
        )
        sizes = ((4 * width, 4 * width), (4 * width, 2 * width), (2 * width, width))
        self.upsamplers = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 4, stride=2, padding=1) for coarse, fine in sizes
        )
        self.refiners = nn.ModuleList(
            nn.ModuleList((ResidualBlock(fine, units=1), ResidualBlock(fine, units=1)))
            for _, fine in sizes
        )
        self.output = conv3x3(width, 3)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Map the deblurred feature, Nx4*widthxH/8xW/8, to the residual; see `enlarge`."""
        return self.enlarge(self.bottleneck(x), skips)

    def enlarge(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Map the bottleneck's output to the residual.

        Args:
            x: what `bottleneck` returned, Nx4*widthxH/8xW/8.
            skips: f1, f2, f3. They are taken out of the list, so that each is freed once it is
                used: at the full size they are the largest tensors there are.

        Returns:
            The residual, Nx3xHxW.
        """
        for upsample, refiners in zip(self.upsamplers, self.refiners, strict=True):
            x = leaky_relu_(upsample(x))
            x = x + skips.pop()
            for refine in cast("nn.ModuleList", refiners):
                x = refine(x)
        residual = self.output(x)
        return leaky_relu_(residual) if self.output_activation else residual
