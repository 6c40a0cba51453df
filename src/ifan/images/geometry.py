"""Sizes of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_STRIP = 64
"""Rows that are resampled by one product of matrices: more of them would hold more zeros."""


def resize(pixels: npt.NDArray[Any], height: int, width: int) -> Array:
    """Resample an array: Lanczos (three lobes) to make it smaller, bicubic to make it larger.

    Pixels are areas whose centres lie at half-integers, so the picture stays where it is, down and
    up again; beyond the edge the outermost pixels go on. Values are not clipped and may have any
    sign.

    Args:
        pixels: HxW or HxWxC, numbers of any kind.
        height: the new one, at least 1.
        width: the new one, at least 1.

    Returns:
        height x width, or height x width x C, plane by plane in memory.
    """
    if height < len(pixels) and pixels.ndim == 3 and pixels.flags.c_contiguous:
        # All channels at once, which spares laying the large array out anew.
        flat = _rows_resampled(pixels.reshape(len(pixels), -1), height)
        pixels = np.ascontiguousarray(flat.reshape(height, -1, pixels.shape[2]).transpose(2, 0, 1))
        pixels = pixels.transpose(1, 2, 0)
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    resized = np.empty((len(planes), height, width), np.float32)
    for plane, out in zip(planes, resized, strict=True):
        # First what leaves less to be done.
        if height <= plane.shape[0]:
            _resample_rows(_rows_resampled(plane, height).T, out.T)
        else:
            _resample_rows(_rows_resampled(plane.T, width).T, out)
    return resized[0] if pixels.ndim == 2 else resized.transpose(1, 2, 0)


class _Strip(NamedTuple):
    """Some rows of the result, and what they are made of.

    Attributes:
        rows: of the result.
        source: rows of the array.
        weights: of the latter in the former.
    """

    rows: slice
    source: slice
    weights: Array


def _rows_resampled(array: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    if count == len(array):
        return array
    resampled = np.empty((count, array.shape[1]), np.float32)
    _resample_rows(array, resampled)
    return resampled


def _resample_rows(array: npt.NDArray[Any], out: Array) -> None:
    """Fill `out` with the rows of an array, resampled to as many as it has."""
    if len(out) == len(array):
        out[:] = array
        return
    # Products of matrices: the libraries for these are quicker than any filter.
    for strip in _strips(len(array), len(out)):
        source = np.asarray(array[strip.source], np.float32)
        np.matmul(strip.weights, source, out=out[strip.rows])


def _strips(size: int, new: int) -> Iterator[_Strip]:
    kernel, reach = (_lanczos, 3) if new < size else (_bicubic, 2)
    factor = size / new
    stretch = max(1.0, factor)
    for first in range(0, new, _STRIP):
        last = min(first + _STRIP, new)
        centres = (np.arange(first, last) + 0.5) * factor - 0.5
        begin = int(np.ceil(centres[0] - reach * stretch))
        end = int(np.floor(centres[-1] + reach * stretch)) + 1
        places = np.arange(begin, end)
        weights = kernel((places - centres[:, None]) / stretch)
        weights /= weights.sum(axis=1, keepdims=True)
        yield _folded(slice(first, last), places, weights, size)


def _folded(
    rows: slice, places: npt.NDArray[np.int_], weights: npt.NDArray[np.float64], size: int
) -> _Strip:
    """Let the outermost pixels stand for those beyond the edge."""
    inside = np.clip(places, 0, size - 1)
    source = slice(int(inside[0]), int(inside[-1]) + 1)
    standing_for = inside[:, None] == np.arange(source.start, source.stop)
    folded = weights @ standing_for
    return _Strip(rows, source, folded.astype(np.float32))


def _lanczos(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the windowed sinc of three lobes."""
    values: npt.NDArray[np.float64] = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return values


def _bicubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the cubic of Catmull and Rom."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    values: npt.NDArray[np.float64] = np.where(x < 1, near, np.where(x < 2, far, 0))
    return values
