"""Lets a network filter again whose IAC does nothing: python training/revive.py MODEL -o START.

A leaky ReLU follows each iteration, so where e_B is negative N of them leave nothing of it. In a
training from nothing, e_B can become so everywhere: then the biases of the last iteration do all
the work. Here e_B begins anew, as a positive constant that the filters copy, and the last biases
take it away again. What comes out is what those biases alone made of a picture before; and as
nothing on the way is negative, gradients reach e_B and all filters.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ifan.models import save_released_checkpoint
from ifan.models.store import open_model
from ifan.networks import IFAN
from ifan.networks.iac import PARTS
from ifan.training.initialisation import kaiming

LEVEL = 0.5
"""Of e_B at first."""

SCALE = 4.0
"""By which the deblurred feature is enlarged, so that it is of the size of other features."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="a name or a checkpoint")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    network, _, description = open_model(options.model).checkpoint
    revive(network)
    save_released_checkpoint(options.output, network, sample_bits=description.sample_bits)


@torch.no_grad()
def revive(network: IFAN) -> None:
    """Make e_B a constant, all filters copy, and the last biases what they were without it."""
    stage = network.feature_extractor.stages[-1]
    kaiming(stage)
    *_, last = (layer for layer in stage.modules() if isinstance(layer, nn.Conv2d))
    nn.init.zeros_(last.weight)
    nn.init.constant_(cast("Tensor", last.bias), LEVEL)
    predictor = network.filter_predictor
    channels, output = predictor.channels, predictor.output
    weights = output.weight.view(network.iterations, PARTS, channels, channels)
    biases = cast("Tensor", output.bias).view(network.iterations, PARTS, channels)
    weight, bias = SCALE * weights[-1, -1], SCALE * biases[-1, -1] - LEVEL
    weights.zero_()
    biases.copy_(predictor.copying_bias().view_as(biases))
    weights[-1, -1] = weight
    biases[-1, -1] = bias
    reader = next(m for m in network.reconstructor.modules() if isinstance(m, nn.Conv2d))
    reader.weight.div_(SCALE)


if __name__ == "__main__":
    main()
