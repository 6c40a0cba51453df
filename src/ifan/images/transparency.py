"""Colours under transparent pixels, which nobody sees but a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ifan.images.geometry import resize

Values = npt.NDArray[np.float32]


# What a transparent pixel still weighs, so that nothing is divided by zero.
LEAST_WEIGHT = 1e-6

# From here on colours are what they are. The feathered edges of cut-outs end in colours that are
# hardly seen, and mostly next to black or white.
_SEEN = 32 / 255


def filled(colours: Values, alpha: Values) -> Values:
    """Let the colours of what is visible flow over what is not.

    Editors leave black, white or anything under transparent pixels. To a network that is an edge,
    which it would sharpen into a halo around what was cut out.

    Args:
        colours: HxWxC or HxW, in [0, 1].
        alpha: HxW in [0, 1]; 0 is transparent.

    Returns:
        Of the same shape, in [0, 1]: as `colours` where anything can be seen, smooth elsewhere.
    """
    # Squared, so that what hardly shows hardly counts beside what does.
    weight: Values = np.minimum(alpha / _SEEN, 1) ** 2
    return _filled_from_coarser(colours, weight)


def _filled_from_coarser(colours: Values, weight: Values) -> Values:
    """Blend in, where the weight is below 1, the same at half the size, and so on."""
    if weight.size == 1 or weight.min() == 1 or weight.max() == 0:
        return colours
    height, width = weight.shape
    half = (height + 1) // 2, (width + 1) // 2
    coarse = _filled_from_coarser(*_halved(colours, weight, half))
    around = resize(coarse, 2 * half[0], 2 * half[1])[:height, :width]
    blended: Values = around + beside(weight, colours) * (colours - around)
    return np.clip(blended, 0, 1, out=blended)  # what was enlarged overshoots


def beside(alpha: npt.NDArray[Any], colours: Values) -> npt.NDArray[Any]:
    """Return a view of HxW `alpha` that can be multiplied with HxWxC or HxW `colours`."""
    return alpha[..., None] if colours.ndim == 3 else alpha


def _halved(colours: Values, weight: Values, half: tuple[int, int]) -> tuple[Values, Values]:
    """Average blocks of 2x2 pixels by their weights; one of weight 1 is enough for a block."""
    odd = [(0, 2 * size - full) for size, full in zip(half, weight.shape, strict=True)]
    weights = _blocks(np.pad(weight, odd), half)
    multiplied = np.pad(colours * beside(weight, colours), [*odd, (0, 0)][: colours.ndim])
    averages = _blocks(multiplied, half) / beside(np.maximum(weights, LEAST_WEIGHT), colours)
    return averages, np.minimum(4 * weights, 1)


def _blocks(values: Values, half: tuple[int, int]) -> Values:
    blocks = values.reshape(half[0], 2, half[1], 2, *values.shape[2:])
    means: Values = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means
