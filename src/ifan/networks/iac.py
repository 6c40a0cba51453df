"""Iterative adaptive convolution (paper, Eq. 1).

One iteration filters every channel of every pixel with a vertical and a horizontal filter of its
own, of three taps each, adds a bias and activates:

    e_n = LReLU((e_{n-1} * f1_n) * f2_n + b_n)

**Order of the prediction.** The network predicts 7*C numbers a pixel and iteration (C channels:
three vertical taps, three horizontal taps, a bias). Ours lie iteration by iteration, tap by tap:

    n: [above, centre, below | left, centre, right | bias], each C channels

so that one iteration is one slice of the last convolution, and one tap is a contiguous block.
Released checkpoints lie channel by channel instead, biases last; `released_channel_order` turns
one into the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ifan.networks.layers import leaky_relu_

TAPS = 3
"""Length of each separable filter."""

PARTS = 2 * TAPS + 1
"""Values that one iteration needs for each channel: two filters and a bias."""

Taps = tuple[Tensor, Tensor, Tensor]


class SeparableFilters(NamedTuple):
    """What one iteration applies: filters and biases, each tensor NxCxHxW.

    Attributes:
        vertical: f1, the factors of the pixel above, the pixel itself and the pixel below.
        horizontal: f2, the factors of the pixel to the left, the pixel itself, to the right.
        bias: b, added after both.
    """

    vertical: Taps
    horizontal: Taps
    bias: Tensor


SeenFilters = Callable[[SeparableFilters], object]
"""What looks at the filters of each iteration as they go by."""


def shown(
    filters: Iterable[SeparableFilters], seen: SeenFilters | None
) -> Iterator[SeparableFilters]:
    """Yield filters, each when it is asked for, after `seen`, if there is one, was given it."""
    for each in filters:
        if seen is not None:
            seen(each)
        yield each


def iterative_adaptive_convolution(
    features: Tensor, filters: Iterable[SeparableFilters], *, final_activation: bool = True
) -> Tensor:
    """Filter `features` once for each of `filters` (Eq. 1).

    Args:
        features: e_0, NxCxHxW.
        filters: the filters of each iteration in turn, at least one. An iterator that makes them
            when they are asked for keeps only one iteration's filters in memory.
        final_activation: whether the leaky ReLU follows the last iteration as it follows the
            others; the reblurring network goes without.

    Returns:
        e_N, NxCxHxW.
    """
    for iteration, (vertical, horizontal, bias) in enumerate(filters):
        if iteration > 0:
            features = leaky_relu_(features)
        features = filter_horizontally(filter_vertically(features, vertical), horizontal) + bias
    return leaky_relu_(features) if final_activation else features


def filter_vertically(features: Tensor, taps: Taps) -> Tensor:
    """Filter each pixel of NxCxHxW along H with taps of its own; the border is replicated."""
    above, centre, below = taps
    height = features.shape[-2]
    padded = F.pad(features, (0, 0, 1, 1), mode="replicate")
    filtered = torch.addcmul(features * centre, padded[..., :height, :], above)
    return torch.addcmul(filtered, padded[..., 2:, :], below)


def filter_horizontally(features: Tensor, taps: Taps) -> Tensor:
    """Filter each pixel of NxCxHxW along W with taps of its own; the border is replicated."""
    left, centre, right = taps
    width = features.shape[-1]
    padded = F.pad(features, (1, 1, 0, 0), mode="replicate")
    filtered = torch.addcmul(features * centre, padded[..., :width], left)
    return torch.addcmul(filtered, padded[..., 2:], right)


def split_prediction(
    prediction: Tensor, channels: int, *, shared_filters: bool
) -> Iterator[SeparableFilters]:
    """Take a whole prediction apart into the filters of each iteration.

    One `split` hands out every tap as a view; its gradient is one concatenation, where the
    gradient of indexing would be one full-size tensor of zeros for each tap.

    Args:
        prediction: N x iterations*7*`channels` x H x W, in the order of this module.
        channels: channels C of the features to filter.
        shared_filters: apply the vertical filter in both directions, as the released
            implementation did.
    """
    parts = torch.split(prediction, channels, dim=1)
    for first in range(0, len(parts), PARTS):
        above, centre, below, left, middle, right, bias = parts[first : first + PARTS]
        vertical = (above, centre, below)
        yield SeparableFilters(
            vertical, vertical if shared_filters else (left, middle, right), bias
        )


def released_channel_order(iterations: int, channels: int) -> Tensor:
    """Return where each channel of our prediction lies in a released one.

    A released prediction holds, for each iteration, 3*C vertical taps (channel c, tap t at 3c+t)
    and 3*C horizontal ones alike, then, after all iterations, C biases for each.

    Returns:
        `order`, int64 of length iterations*7*channels, with `ours = released[order]`.
    """
    count = iterations * channels * TAPS * 2
    taps = torch.arange(count).reshape(iterations, 2, channels, TAPS)
    taps = taps.permute(0, 1, 3, 2).reshape(iterations, 2 * TAPS, channels)
    biases = torch.arange(count, count + iterations * channels)
    return torch.cat((taps, biases.reshape(iterations, 1, channels)), dim=1).flatten()
