"""The numbers that pixels consist of: their ranges, and colours multiplied with alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ifan.images.photograph import WHITE, Pixels


def converted(pixels: Pixels, dtype: np.dtype[np.generic]) -> Pixels:
    """Scale to another range, rounding; floats beyond theirs are cut off."""
    if pixels.dtype == dtype:
        return pixels
    if pixels.dtype == np.float32:
        return np.rint(np.clip(np.nan_to_num(pixels), 0, 1) * WHITE[dtype]).astype(dtype)
    # From 16 to 8 bits: 65535 = 255 * 257.
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def in_bits(pixels: Pixels, bits: int) -> Pixels:
    """Round 0..65535 to so many bits, shifted to the left, as libvips cuts the rest off."""
    largest = (1 << bits) - 1
    numbers = (pixels.astype(np.uint32) * largest + 32767) // 65535
    return (numbers << (16 - bits)).astype(np.uint16)


def full_range(pixels: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Scale integers of so many bits to all those that uint8 or uint16 has, rounding."""
    largest, white = (1 << bits) - 1, np.iinfo(pixels.dtype).max
    if largest == white:
        return pixels
    levels = np.minimum(np.arange(white + 1, dtype=np.uint64), largest)
    table = ((levels * white + largest // 2) // largest).astype(pixels.dtype)
    scaled: npt.NDArray[Any] = table[pixels]
    return scaled


def straight(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Divide the colours by alpha, the last channel, that were multiplied with it."""
    is_float = np.issubdtype(pixels.dtype, np.floating)
    white = 1.0 if is_float else float(np.iinfo(pixels.dtype).max)
    out = pixels.copy()
    for row, source in zip(out, pixels, strict=True):
        alpha = source[:, -1:] / white
        colours = source[:, :-1] / np.where(alpha > 0, alpha, 1)
        row[:, :-1] = colours if is_float else np.rint(np.minimum(colours, white))
    return out
