"""Sharp pieces of photographs, and their light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ifan.optics import ToneCurve

Array = npt.NDArray[np.float32]
Photograph = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | Array

TILE = 16
"""Side of the squares in pixels whose sharpness is judged one by one."""

TEXTURED = (8 / 255) ** 2
"""A square with less contrast than this, squared, says nothing about sharpness."""

ENOUGH_TEXTURE = 0.05
"""Part of a photograph that has to be textured."""

SHARP = 1 / 3
"""Ratio of contrasts above which a square is sharp, see `sharpness`."""

ENOUGH = 0.5
"""A piece whose sharpness is at least this is taken at once."""

TRIES = 6
"""Pieces that are looked at; the sharpest is taken if none is sharp enough."""


def sharpness(photograph: Photograph) -> float:
    """Return which part of a photograph's textured squares is sharp, 0 to 1.

    Compared are the squared differences of neighbours and of pixels two apart. Their ratio is about
    1 at a sharp edge and 1/4 on a smooth slope; with a blur of one pixel (standard deviation) it
    falls below 1/3 nearly everywhere, whatever the contrast. Noise looks sharp; the tenth of the
    squares that are smoothest tell how much there is, and that much is taken off. A photograph
    without texture is not sharp.

    Args:
        photograph: HxWx3, sRGB-coded, uint8, uint16 or float in [0, 1].
    """
    white = _white(photograph)
    green = photograph[..., 1].astype(np.float32) / np.float32(white)
    if min(green.shape) < TILE + 2:
        return 0.0
    down, across = np.diff(green, axis=0) ** 2, np.diff(green, axis=1) ** 2
    fine = _tile_means(down[:-1, :-2] + across[:-2, :-1])
    down, across = (green[2:] - green[:-2]) ** 2, (green[:, 2:] - green[:, :-2]) ** 2
    coarse = _tile_means(down[:, :-2] + across[:-2])
    noise = float(np.quantile(fine, 0.1))
    fine, coarse = fine - noise, coarse - noise
    textured = coarse > max(TEXTURED, noise)
    if textured.mean() < ENOUGH_TEXTURE:
        return 0.0
    return float((fine[textured] > SHARP * coarse[textured]).mean())


@dataclass(frozen=True, eq=False)
class Window:
    """Where a piece was cut out of which photograph.

    Attributes:
        number: of the photograph.
        pixels: the piece, in the photograph's own size and coding.
        rows: first and last + 1, in the photograph continued by reflection if it is too small.
        columns: the same.
        mirrored: left and right are swapped.
    """

    number: int
    pixels: Photograph
    rows: tuple[int, int]
    columns: tuple[int, int]
    mirrored: bool

    def colour(self, height: int, width: int, tone: ToneCurve) -> Array:
        """Return the light of the piece, height x width x 3, scaled down if it is larger."""
        return scaled_down(tone.light(self.pixels), height, width)

    def nearest(self, values: Array, height: int, width: int) -> Array:
        """Cut the same piece out of a map of the photograph's size; its values are not mixed."""
        piece = _cut(values, self.rows, self.columns, self.mirrored)
        rows, columns = (
            ((np.arange(size) + 0.5) * has / size).astype(int)
            for size, has in zip((height, width), piece.shape, strict=True)
        )
        return np.asarray(piece[rows[:, None], columns[None, :]])


def sharp_window(
    photographs: Sequence[Photograph],
    random: np.random.Generator,
    height: int,
    width: int,
    zooms: tuple[float, float],
) -> Window:
    """Choose a random piece that is likely to be sharp, for a picture of height x width.

    Args:
        photographs: HxWx3 each, sRGB-coded. Those that are too small are continued by reflection.
        random: what decides.
        height: of the picture.
        width: of the picture.
        zooms: the piece is so large that it has to be scaled by a factor between these two; of a
            photograph that is too small for that, it is taken as it is.

    Raises:
        ValueError: a photograph that is no HxWx3.
    """
    best, best_sharpness = None, -1.0
    for _ in range(TRIES):
        number = int(random.integers(len(photographs)))
        window = _random_window(number, photographs[number], random, (height, width), zooms)
        found = sharpness(window.pixels)
        if found > best_sharpness:
            best, best_sharpness = window, found
        if found >= ENOUGH:
            break
    assert best is not None  # noqa: S101
    return best


def scaled_down(picture: Array, height: int, width: int) -> Array:
    """Scale HxWxC to a size that is not larger, each pixel the mean of the area it covers."""
    if picture.shape[:2] == (height, width):
        return picture
    scaled = np.empty((height, width, picture.shape[2]), np.float32)
    _average(np.ascontiguousarray(picture), scaled)
    return scaled


def softened(picture: Array, deviation: float) -> Array:
    """Smooth HxWxC by a Gaussian of this standard deviation in pixels; 0 leaves it as it is."""
    if deviation == 0:
        return picture
    reach = int(np.ceil(4 * deviation))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        size = picture.shape[axis]
        edges = [(reach, reach) if axis == each else (0, 0) for each in range(3)]
        padded = np.moveaxis(np.pad(picture, edges, mode="symmetric"), axis, 0)
        taps = (weight * padded[n : n + size] for n, weight in enumerate(weights))
        picture = np.moveaxis(np.asarray(sum(taps), np.float32), 0, axis)
    return np.ascontiguousarray(picture)


def _white(photograph: Photograph) -> float:
    if np.issubdtype(photograph.dtype, np.unsignedinteger):
        return float(2 ** (8 * photograph.dtype.itemsize) - 1)
    return 1.0


def _tile_means(values: Array) -> Array:
    rows, columns = (size // TILE * TILE for size in values.shape)
    down = np.add.reduceat(values[:rows, :columns], np.arange(0, rows, TILE), axis=0)
    return np.asarray(np.add.reduceat(down, np.arange(0, columns, TILE), axis=1) / TILE**2)


def _random_window(
    number: int,
    photograph: Photograph,
    random: np.random.Generator,
    size: tuple[int, int],
    zooms: tuple[float, float],
) -> Window:
    """Choose what becomes a picture of `size` when it is scaled by a random zoom."""
    if photograph.ndim != 3 or photograph.shape[2] != 3:
        raise ValueError(f"a photograph must be HxWx3, not {photograph.shape}")
    height, width = size
    has = max(photograph.shape[0], height), max(photograph.shape[1], width)
    smallest, largest = zooms
    lowest = max(smallest, height / has[0], width / has[1])
    zoom = random.uniform(lowest, largest) if lowest <= largest else 1.0
    rows, columns = (
        _random_interval(random, min(round(wanted / zoom), available), available)
        for wanted, available in zip(size, has, strict=True)
    )
    mirrored = random.random() < 0.5
    return Window(number, _cut(photograph, rows, columns, mirrored), rows, columns, mirrored)


def _random_interval(random: np.random.Generator, length: int, available: int) -> tuple[int, int]:
    first = int(random.integers(available - length + 1))
    return first, first + length


def _cut(picture: Any, rows: tuple[int, int], columns: tuple[int, int], mirrored: bool) -> Any:
    """Cut rows and columns out of a picture or a map, continued by reflection to reach them."""
    missing = [
        max(last - has, 0)
        for (_, last), has in zip((rows, columns), picture.shape[:2], strict=True)
    ]
    if any(missing):
        edges = [(0, more) for more in missing] + [(0, 0)] * (picture.ndim - 2)
        picture = np.pad(picture, edges, mode="symmetric")
    piece = picture[slice(*rows), slice(*columns)]
    return piece[:, ::-1] if mirrored else piece


@njit(cache=True, nogil=True)
def _average(picture, scaled):  # type: ignore[no-untyped-def]
    """Write into `scaled` the mean of the area of `picture` that each of its pixels covers."""
    height, width, channels = scaled.shape
    down, across = picture.shape[0] / height, picture.shape[1] / width
    sums = np.empty((picture.shape[1], channels), np.float32)
    for y in range(height):
        sums[:] = 0
        first, last = y * down, (y + 1) * down
        for row in range(int(first), min(int(np.ceil(last)), picture.shape[0])):
            weight = np.float32((min(row + 1, last) - max(row, first)) / down)
            for column in range(picture.shape[1]):
                for channel in range(channels):
                    sums[column, channel] += weight * picture[row, column, channel]
        for x in range(width):
            begin, end = x * across, (x + 1) * across
            for channel in range(channels):
                scaled[y, x, channel] = 0
            for column in range(int(begin), min(int(np.ceil(end)), picture.shape[1])):
                share = np.float32((min(column + 1, end) - max(column, begin)) / across)
                for channel in range(channels):
                    scaled[y, x, channel] += share * sums[column, channel]
