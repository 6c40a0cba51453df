"""Begins the layers at 1/8 of the size anew: python training/revive.py MODEL PHOTOGRAPHS -o START.

The skips are a way past the layers there. Where a training has taken it, they have died: their
features are negative nearly everywhere, of which a leaky ReLU leaves a tenth, and hardly anything
comes out at the end. Here they begin anew, but for filter encoder and disparity estimator, with
weights that make each feature of blurred photographs about normal (Mishkin and Matas, "All you need
is a good init", ICLR 2016); the filters nearly copy. The rest of the network, which is kept, reads
at first only a constant there, the mean of what it read before. Train on with losses.bottleneck.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor, nn

from ifan.models import save_released_checkpoint
from ifan.models.store import open_model
from ifan.networks import IFAN
from ifan.networks.iac import PARTS
from ifan.networks.layers import ResidualUnit, leaky_relu_
from ifan.training.initialisation import RESIDUAL_SCALE, kaiming

JPEG = (".jpg", ".jpeg")
CROPS = 16
CROP_SIZE = 256
SIGMAS = (0.5, 1, 2, 3, 5)
"""Of the Gaussian that blurs a crop, in pixels."""

LEVEL_OF_E_B = 1.0
"""Its mean, of deviation 1: so most of it comes through the leaky ReLUs of all iterations."""

LEVEL_READ = 1.0
"""What the decoder reads at first: so what is added to it comes through the leaky ReLU there."""

FILTER_DEVIATION = 0.05
"""How much the taps of filters differ from cell to cell."""

OVER_ALL = (0, 2, 3)
"""The dimensions of a batch besides its channels."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="a name or a checkpoint")
    parser.add_argument("photographs", type=Path, help="a folder of JPEG files")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    network, _, description = open_model(options.model).checkpoint
    if network.dual_pixel:
        parser.error("the model must have one view")
    crops = blurred_crops(options.photographs, options.seed)
    if crops is None:
        least = f"{CROPS} JPEG files of {CROP_SIZE}x{CROP_SIZE} pixels or more"
        parser.error(f"{options.photographs} must hold {least}")
    torch.manual_seed(options.seed)
    revive(network, crops)
    save_released_checkpoint(options.output, network, sample_bits=description.sample_bits)


def blurred_crops(folder: Path, seed: int) -> Tensor | None:
    """Return crops of photographs of a folder, more blurred and less, Nx3xHxW, if it has enough."""
    choice = random.Random(seed)  # noqa: S311 - nothing secret
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in JPEG]
    if len(files) < CROPS:
        return None
    crops = []
    for path in choice.sample(files, CROPS):
        with Image.open(path) as image:
            if min(image.size) < CROP_SIZE:
                return None
            x, y = (choice.randrange(length - CROP_SIZE + 1) for length in image.size)
            crop = image.convert("RGB").crop((x, y, x + CROP_SIZE, y + CROP_SIZE))
        blurred = crop.filter(ImageFilter.GaussianBlur(choice.choice(SIGMAS)))
        crops.append(np.asarray(blurred, np.float32) / 255)
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def revive(network: IFAN, pictures: Tensor) -> None:
    """Let the layers at 1/8 of the size begin anew.

    Args:
        network: the network.
        pictures: for which their features are to be about normal, Nx3xHxW.
    """
    read = mean_read(network, pictures)
    predictor, last_stage = network.filter_predictor, network.feature_extractor.stages[-1]
    *_, maker_of_e_b = convolutions(last_stage)
    parts = [last_stage, predictor.disparity_encoder, predictor.fusion, predictor.refinement]
    parts.append(network.reconstructor.bottleneck)
    hooks = []
    for part in parts:
        kaiming(part)
        weak = {unit.conv2 for unit in part.modules() if isinstance(unit, ResidualUnit)}
        for layer in convolutions(part):
            level = LEVEL_OF_E_B if layer is maker_of_e_b else 0.0
            scale = RESIDUAL_SCALE if layer in weak else 1.0
            hooks.append(layer.register_forward_pre_hook(normaliser(scale, level)))
    # Each layer is met with what those before it, which are done, make of the pictures.
    encoded, defocused = network.encode(pictures)
    filter_feature, _ = network.predict(encoded)
    let_filters_nearly_copy(network, filter_feature)
    network.apply_filters(filter_feature, defocused)
    for hook in hooks:
        hook.remove()
    read_a_constant(network, read)


def convolutions(part: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in part.modules() if isinstance(layer, nn.Conv2d)]


def mean_read(network: IFAN, pictures: Tensor) -> Tensor:
    """Return the mean of what the reconstructor adds to the skip f3, for each channel."""
    means = []
    upsampler = network.reconstructor.upsamplers[0]
    hook = upsampler.register_forward_hook(
        lambda _, __, made: means.append(leaky_relu_(made.clone()).mean(OVER_ALL))
    )
    network(pictures)
    hook.remove()
    return means[0]


def normaliser(scale: float, level: float) -> Callable[[nn.Conv2d, tuple[Tensor]], None]:
    """Return what gives the output of a convolution this deviation and mean, when it is met.

    All features that it reads count alike, however large they are.
    """

    def normalise(layer: nn.Conv2d, inputs: tuple[Tensor]) -> None:
        (features,) = inputs
        # One that is nearly constant must not outweigh the others.
        least = 0.1 * features.square().mean(OVER_ALL).sqrt()
        deviation = features.std(OVER_ALL).maximum(least).clamp_min(1e-6)
        layer.weight.div_(deviation[None, :, None, None])
        made = F.conv2d(features, layer.weight, None, layer.stride, layer.padding)
        factor = scale / made.std(OVER_ALL).clamp_min(1e-6)
        layer.weight.mul_(factor[:, None, None, None])
        cast("Tensor", layer.bias).copy_(level - made.mean(OVER_ALL) * factor)

    return normalise


def let_filters_nearly_copy(network: IFAN, feature: Tensor) -> None:
    """Make filters that are (0, 1, 0) on average, and biases that are 0."""
    predictor = network.filter_predictor
    output, bias = predictor.output, cast("Tensor", predictor.output.bias)
    nn.init.normal_(output.weight)
    mean = feature.mean(OVER_ALL, keepdim=True)
    deviation = F.conv2d(feature - mean, output.weight).std(OVER_ALL)
    output.weight.mul_((FILTER_DEVIATION / deviation)[:, None, None, None])
    output.weight.view(network.iterations, PARTS, predictor.channels, -1)[:, -1] = 0
    bias.copy_(predictor.copying_bias() - F.conv2d(mean, output.weight).flatten())


def read_a_constant(network: IFAN, read: Tensor) -> None:
    """Let the reconstructor read a constant at 1/8 of the size, and do what it did with `read`."""
    reconstructor = network.reconstructor
    upsampler = cast("nn.ConvTranspose2d", reconstructor.upsamplers[0])
    upsampler.weight.zero_()
    cast("Tensor", upsampler.bias).fill_(LEVEL_READ)
    unit = next(m for m in reconstructor.refiners.modules() if isinstance(m, ResidualUnit))
    more = LEVEL_READ - read
    cast("Tensor", unit.conv1.bias).sub_(unit.conv1.weight.sum((2, 3)) @ more)
    cast("Tensor", unit.conv2.bias).sub_(more)


if __name__ == "__main__":
    main()
