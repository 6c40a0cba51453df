"""Colours under transparent pixels, which nobody sees but a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ifan.images.geometry import resize

Values = npt.NDArray[np.float32]


# What a transparent pixel still weighs, so that nothing is divided by zero.
LEAST_WEIGHT = 1e-6


def filled(colours: Values, alpha: Values) -> Values:
    """Let the colours of what is visible flow over what is not.

    Editors leave black, white or anything under transparent pixels. To a network that is an edge,
    which it would sharpen into a halo around what was cut out.

    Args:
        colours: HxWxC or HxW.
        alpha: HxW in [0, 1]; 0 is transparent.

    Returns:
        Of the same shape: as `colours` where alpha is above 0, smooth elsewhere.
    """
    visible = alpha > 0
    if visible.all() or not visible.any():
        return colours
    height, width = alpha.shape
    half = (height + 1) // 2, (width + 1) // 2
    coarse = filled(*_halved(colours, alpha, half))
    around = resize(coarse, 2 * half[0], 2 * half[1])[:height, :width]
    return np.where(beside(visible, colours), colours, around)


def beside(alpha: npt.NDArray[Any], colours: Values) -> npt.NDArray[Any]:
    """Return a view of HxW `alpha` that can be multiplied with HxWxC or HxW `colours`."""
    return alpha[..., None] if colours.ndim == 3 else alpha


def _halved(colours: Values, alpha: Values, half: tuple[int, int]) -> tuple[Values, Values]:
    """Average blocks of 2x2 pixels: colours, weighted by their alpha, and alpha."""
    odd = [(0, 2 * size - full) for size, full in zip(half, alpha.shape, strict=True)]
    weights = _blocks(np.pad(alpha, odd), half)
    multiplied = np.pad(colours * beside(alpha, colours), [*odd, (0, 0)][: colours.ndim])
    return _blocks(multiplied, half) / beside(np.maximum(weights, LEAST_WEIGHT), colours), weights


def _blocks(values: Values, half: tuple[int, int]) -> Values:
    blocks = values.reshape(half[0], 2, half[1], 2, *values.shape[2:])
    means: Values = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means
