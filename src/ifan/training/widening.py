"""A trained network made wider and longer, as a start for a larger one.

Each channel becomes several equal ones, and the weights with which the next layer reads it are
shared out among them by chance. So the network stays what it was, and yet no two channels go on
alike (Chen, Goodfellow, Shlens: "Net2Net", ICLR 2016).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ifan.networks import IFAN

Convolution = nn.Conv2d | nn.ConvTranspose2d


@torch.no_grad()
def widen(ours: IFAN, theirs: IFAN) -> None:
    """Give a network the weights of a smaller one of the same kind.

    With the same number of IAC iterations it then gives what the smaller one gives. Further
    iterations come before the others and copy; as a leaky ReLU follows each, they hold back what is
    negative in e_B.

    Args:
        ours: the larger network.
        theirs: the smaller one.

    Raises:
        ValueError: ours has fewer iterations, its width is no multiple of theirs, or it sees
            another number of views.
    """
    if ours.width % theirs.width or ours.iterations < theirs.iterations:
        raise ValueError("the network must have a multiple of the width, and no fewer iterations")
    if ours.dual_pixel != theirs.dual_pixel:
        raise ValueError("both networks must see the same views")
    layers = zip(ours.modules(), theirs.modules(), strict=True)
    for larger, smaller in layers:
        if isinstance(larger, Convolution) and larger is not ours.filter_predictor.output:
            larger.weight.copy_(_widened(larger, cast("Convolution", smaller)))
            _bias(larger).copy_(_repeated(_bias(smaller), 0, len(_bias(larger))))
    _widen_output(ours, theirs)


def _widen_output(ours: IFAN, theirs: IFAN) -> None:
    """Widen the convolution that makes the filters: rows by iteration, tap and channel."""
    larger, smaller = ours.filter_predictor.output, theirs.filter_predictor.output
    copying = ours.filter_predictor.copying_bias()
    rows = smaller.out_channels * ours.width // theirs.width
    larger.weight.zero_()
    _bias(larger).copy_(copying)
    weight = _repeated(smaller.weight, 0, rows)
    larger.weight[-rows:] = _shared_out(weight, 1, larger.in_channels)
    _bias(larger)[-rows:] = _repeated(_bias(smaller), 0, rows)


def _widened(larger: Convolution, smaller: Convolution) -> Tensor:
    read, made = (0, 1) if larger.transposed else (1, 0)
    weight = _repeated(smaller.weight, made, larger.out_channels)
    return _shared_out(weight, read, larger.in_channels)


def _repeated(values: Tensor, dimension: int, size: int) -> Tensor:
    """Repeat each entry so often that there are `size` of them, equal ones side by side."""
    return values.repeat_interleave(size // values.shape[dimension], dimension)


def _shared_out(weight: Tensor, dimension: int, size: int) -> Tensor:
    """Do the same, with random parts of each entry that add up to it."""
    copies = size // weight.shape[dimension]
    if copies == 1:
        return weight
    # Not less than a quarter of an even share, so that no channel goes unread.
    parts = torch.rand(copies, *weight.shape) + 1 / 3
    parts /= parts.sum(0)
    spread = (parts * weight).movedim(0, dimension + 1)
    return spread.reshape(*weight.shape[:dimension], size, *weight.shape[dimension + 1 :])


def _bias(layer: nn.Module) -> Tensor:
    return cast("Tensor", layer.bias)
