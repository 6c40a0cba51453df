"""A photograph as a network is to see it, and the way back into the photograph.

Values are HxWx3 as everywhere, but lie plane by plane in memory, as networks want them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ifan.images.colour import SRGB, colour_space
from ifan.images.geometry import resize
from ifan.images.photograph import WHITE, Photograph, Pixels
from ifan.images.transparency import LEAST_WEIGHT, beside, filled

Values = npt.NDArray[np.float32]

# Rows that are worked on at a time: a large photograph as floats is several times what it is as
# bytes.
_BAND = 256


class Rendition:
    """A photograph in sRGB, of some size, without its transparency, as numbers from 0 to 1.

    Args:
        photograph: the photograph.
        height: number of rows that the network is to see.
        width: number of columns that the network is to see.

    Attributes:
        view: height x width x 3, float32 in [0, 1], sRGB-coded.
        path: that of the photograph, for messages.
        photograph_pixels: pixels of the photograph.
    """

    def __init__(self, photograph: Photograph, height: int, width: int) -> None:
        self._photograph = photograph
        self.path = photograph.path
        self.photograph_pixels = photograph.height * photograph.width
        self._is_full = (height, width) == photograph.pixels.shape[:2]
        self._space = colour_space(
            photograph.metadata.icc, is_grey=photograph.pixels.ndim == 2, path=photograph.path
        )
        self.view = self._space.to_srgb(_own_values(photograph, height, width))

    def corrected(self, deblurred: Values, strength: float) -> Photograph:
        """Return the photograph with the correction that a network made to its rendition.

        The correction is enlarged and added, so what is finer than the rendition, beyond its
        colours or wholly transparent stays as it is.

        Args:
            deblurred: height x width x 3, what the network gave for `view`.
            strength: part of the correction to apply, 0 to 1.
        """
        if self._is_all and strength == 1:
            return self._photograph.with_pixels(self._rounded(deblurred))
        # Clipped first: what lies outside the range is no correction that could be shown.
        deblurred = np.clip(deblurred, 0, 1)
        is_own = self._is_full or self._space.is_coded_alike
        if is_own:
            correction = self._space.from_srgb(deblurred) - self._space.from_srgb(self.view)
        else:
            correction = deblurred - self.view
        pixels = self._photograph.pixels
        correction = _enlarged(correction, *pixels.shape[:2])
        corrected = np.empty_like(pixels)
        for rows in _bands(pixels):
            own = _as_values(pixels[rows])
            step = np.multiply(_planar(correction[rows]), strength, dtype=np.float32)
            if not is_own:
                step = self._translated(own, step)
            if self._photograph.alpha is not None:
                step[self._photograph.alpha[rows] == 0] = 0
            _store(own + step, own, corrected[rows])
        return self._photograph.with_pixels(corrected)

    @property
    def _is_all(self) -> bool:
        """Whether the rendition is the photograph, and what a network makes of it the result."""
        photograph = self._photograph
        is_plain = photograph.alpha is None and photograph.pixels.dtype != np.float32
        return self._is_full and is_plain and isinstance(self._space, SRGB)

    def _rounded(self, deblurred: Values) -> Pixels:
        """Return values in sRGB as pixels of the photograph's kind."""
        rounded = np.empty_like(self._photograph.pixels)
        for rows in _bands(rounded):
            values = self._space.from_srgb(np.clip(deblurred[rows], 0, 1))
            _store(values, values, rounded[rows])
        return rounded

    def _translated(self, own: Values, step: Values) -> Values:
        """Return what a step of sRGB-coded values comes to in the photograph's own ones.

        In linear light one step is large among shadows and small among lights, so it cannot be
        added there before the finest detail is back.
        """
        seen = self._space.to_srgb(np.clip(own, 0, 1))
        moved = np.clip(seen + step, 0, 1)
        return self._space.from_srgb(moved) - self._space.from_srgb(seen)


def _own_values(photograph: Photograph, height: int, width: int) -> Values:
    """Return the photograph's pixels in its own space, in [0, 1], of some size."""
    pixels = photograph.pixels
    is_smaller = (height, width) != pixels.shape[:2]
    if photograph.alpha is None and pixels.dtype != np.float32 and is_smaller:
        # As they are, which spares a copy of all of them in float32.
        small = resize(pixels, height, width)
        small *= np.float32(1 / WHITE[pixels.dtype])
        return np.clip(small, 0, 1, out=small)
    values = _as_values(pixels)
    if pixels.dtype == np.float32:
        values = np.clip(np.nan_to_num(values), 0, 1)
    if photograph.alpha is None:
        return _fitted(values, height, width)
    alpha = _as_values(photograph.alpha)
    if not (alpha < 1).any():
        return _fitted(values, height, width)
    small = _fitted(alpha, height, width)
    if small is not alpha:
        weighted = _fitted(values * beside(alpha, values), height, width)
        values = np.clip(weighted / np.maximum(beside(small, values), LEAST_WEIGHT), 0, 1)
    return filled(values, small)


def _fitted(values: Values, height: int, width: int) -> Values:
    """Return values in [0, 1] of another size; the filter overshoots at edges."""
    if values.shape[:2] == (height, width):
        return values
    return _planar(np.clip(resize(values, height, width), 0, 1))


def _enlarged(correction: Values, height: int, width: int) -> Values:
    if correction.shape[:2] == (height, width):
        return correction
    return resize(correction, height, width)


def _bands(pixels: Pixels) -> Iterator[slice]:
    for top in range(0, len(pixels), _BAND):
        yield slice(top, top + _BAND)


def _as_values(pixels: Pixels) -> Values:
    """Scale numbers to [0, 1]."""
    values: Values = np.multiply(_planar(pixels), 1 / WHITE[pixels.dtype], dtype=np.float32)
    return values


def _planar(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Lay an array out plane by plane."""
    if array.ndim == 2:
        return array
    return np.ascontiguousarray(array.transpose(2, 0, 1)).transpose(1, 2, 0)


def _store(values: Values, old: Values, out: Pixels) -> None:
    """Round values into rows of pixels; they stay in [0, 1], or where floats went beyond before."""
    if out.dtype == np.float32:
        out[:] = np.clip(values, np.minimum(old, 0), np.maximum(old, 1))
        return
    np.clip(values, 0, 1, out=values)
    values *= WHITE[out.dtype]
    numbers = np.rint(values, out=values).astype(out.dtype)
    if out.ndim == 2:
        out[:] = numbers
        return
    for channel in range(out.shape[2]):  # several times as quick as all at once
        out[..., channel] = numbers[..., channel]
