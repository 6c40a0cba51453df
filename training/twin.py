"""Makes a larger network of a model and its twin: python training/twin.py MODEL -o START.

It has twice the width. The twin has all kernels transposed: it does to rows what the model does to
columns. Side by side, each with half of the channels and neither reading the other's, they make the
mean of what the model makes of a picture and of the transposed picture, two passes in one. It is
not quite exact: both read the mean of their disparity maps, the IAC filters the twin's channels
vertically first, too, and iterations that are added hold back what is negative in e_B.
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
from ifan.networks.iac import PARTS, TAPS

Convolution = nn.Conv2d | nn.ConvTranspose2d

TURNED = [*range(TAPS, 2 * TAPS), *range(TAPS), 2 * TAPS]
"""Where the parts of the twin's filters are: its vertical ones are the model's horizontal ones."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="a name or a checkpoint")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--iterations", type=int, help="more of the IAC: they come first and copy")
    options = parser.parse_args()
    network, _, description = open_model(options.model).checkpoint
    iterations = options.iterations or network.iterations
    if network.dual_pixel or network.shared_filters or iterations < network.iterations:
        parser.error("the model must have one view and filters of its own, and no more iterations")
    both = with_twin(network, iterations)
    save_released_checkpoint(options.output, both, sample_bits=description.sample_bits)


@torch.no_grad()
def with_twin(single: IFAN, iterations: int) -> IFAN:
    """Return a network of twice the width, with at least as many iterations."""
    both = IFAN(2 * single.width, iterations, output_activation=single.output_activation)
    for layer, (name, model) in zip(both.modules(), single.named_modules(), strict=True):
        if isinstance(layer, Convolution) and layer is not both.filter_predictor.output:
            # The first convolution of the fusion reads two features one after the other.
            features = 2 if name == "filter_predictor.fusion.0.0" else 1
            _join(layer, cast("Convolution", model), features)
    _join_outputs(both, single)
    return both


def _join(layer: Convolution, model: Convolution, features: int) -> None:
    """Let each half of the channels do what `model` and its twin do."""
    read, made = (0, 1) if layer.transposed else (1, 0)
    twins = model.weight, model.weight.mT
    bias = _bias(layer)
    bias.copy_(_bias(model).repeat(len(bias) // len(_bias(model))))
    if layer.out_channels == model.out_channels:  # it makes a picture or a map: the mean of both
        layer.weight.copy_(torch.cat(twins, read) / 2)
    elif layer.in_channels == model.in_channels:  # it reads a picture or a map
        layer.weight.copy_(torch.cat(twins, made))
    else:
        layer.weight.zero_()
        for half, (rows, twin) in enumerate(zip(layer.weight.chunk(2, made), twins, strict=True)):
            pairs = zip(rows.chunk(features, read), twin.chunk(features, read), strict=True)
            for columns, weight in pairs:
                columns.chunk(2, read)[half].copy_(weight)


def _join_outputs(both: IFAN, single: IFAN) -> None:
    """Do so with the convolution that makes the filters: rows by iteration, part and channel."""
    ours, theirs = both.filter_predictor, single.filter_predictor
    channels, first = theirs.channels, both.iterations - single.iterations
    weight = theirs.output.weight.view(single.iterations, PARTS, channels, channels)
    bias = _bias(theirs.output).view(single.iterations, PARTS, channels)
    ours.output.weight.zero_()
    _bias(ours.output).copy_(ours.copying_bias())
    weights = ours.output.weight.view(both.iterations, PARTS, 2, channels, 2, channels)[first:]
    biases = _bias(ours.output).view(both.iterations, PARTS, 2, channels)[first:]
    for half, parts in enumerate((list(range(PARTS)), TURNED)):
        weights[:, :, half, :, half] = weight[:, parts]
        biases[:, :, half] = bias[:, parts]


def _bias(layer: nn.Module) -> Tensor:
    return cast("Tensor", layer.bias)


if __name__ == "__main__":
    main()
