"""At which size the network sees a picture, and how corrections of several sizes become one."""

from __future__ import annotations

import numpy as np

from ifan import tiling
from ifan.engines import Array

AUTO_WORKING_SIZE = 2048
"""Long side in pixels up to which `auto` works at the full size. Defocus in larger photographs
spans more pixels than any that networks are trained with."""

_SMALLEST = 128
"""Long side in pixels below which a picture shows too little to be corrected."""

_PLACE = 32
"""Side in pixels of a place where `blur` compares corrections: these are large at edges and small
between them, and are to be compared over both."""

_NOTHING = 1e-9
"""Mean square of a correction that is as good as none."""


def parse_working_size(working_size: int | str) -> int | None:
    """Return the largest long side in pixels that is meant, None for the full size.

    Raises:
        ValueError: it is neither `auto`, `blur`, `full` nor a positive number.
    """
    if working_size in ("auto", "blur"):
        return AUTO_WORKING_SIZE
    if working_size == "full":
        return None
    size = int(working_size) if str(working_size).isdecimal() else 0
    if size < 1:
        raise ValueError(
            f"working size {working_size!r} is neither auto, full nor pixels, nor blur"
        )
    return size


def sizes_for_blur(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes in pixels at which the working size `blur` shows a picture to the network.

    Args:
        height: the largest.
        width: the largest.
    """
    sides = (max(height, width) // part for part in (2, 4))
    smaller = [tiling.fitted_size(height, width, side) for side in sides if side >= _SMALLEST]
    return [(height, width), *smaller]


def blended(corrections: list[Array]) -> Array:
    """Make corrections of a picture at several sizes one: in each place mostly the largest.

    Blur that is wider than what it was trained with a network leaves nearly as it is; in a smaller
    picture the same blur is narrower. So where a correction is the largest, the size suits the
    blur. The weight of each is the square of its mean square around the place.

    Args:
        corrections: HxWx3 float32, that at the largest size first. That one becomes the result,
            which spares memory.

    Returns:
        HxWx3 float32, of the size of the first.
    """
    whole, *smaller = corrections
    height, width = whole.shape[:2]
    places = max(1, height // _PLACE), max(1, width // _PLACE)
    strengths = np.stack([_strength(each, *places) for each in corrections])
    first, *others = strengths / strengths.sum(axis=0)
    total = _enlarged(first, height, width)
    whole *= total[..., None]
    for each, weights in zip(smaller, others, strict=True):
        weight = _enlarged(weights, height, width)
        for channel in range(3):
            whole[..., channel] += weight * resized(each[..., channel], height, width)
        total += weight
    whole /= total[..., None]
    return whole


def _enlarged(weights: Array, height: int, width: int) -> Array:
    """Enlarge weights, which overshoots: less than nothing of a correction is its opposite."""
    weight = resized(weights, height, width)
    return np.maximum(weight, 0, out=weight)


def _strength(correction: Array, rows: int, columns: int) -> Array:
    """Return the square of the mean square of a correction in each place."""
    mean_square = np.einsum("yxc,yxc->yx", correction, correction) / np.float32(3)
    for axis, count in enumerate((rows, columns)):
        begins = np.arange(count) * mean_square.shape[axis] // count
        widths = np.diff(begins, append=mean_square.shape[axis]).astype(np.float32)
        sums = np.add.reduceat(mean_square, begins, axis)
        mean_square = sums / np.expand_dims(widths, 1 - axis)
    strength: Array = np.square(np.maximum(mean_square, _NOTHING))
    return strength


def resized(array: Array, height: int, width: int) -> Array:
    """Resample an array, HxW or HxWxC, unless it has that size."""
    if array.shape[:2] == (height, width):
        return array
    from ifan.images import resize

    return resize(array, height, width)
