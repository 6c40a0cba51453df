"""Photographs to measure with: always the same, and with as much in them as real ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ifan.images import Metadata, Photograph, resize, write_photograph

_PIECE = (1024, 1536)
"""Height and width of what a photograph is made of; a larger one repeats it."""

_NOISE = {1: 0.06, 4: 0.15, 16: 0.3, 64: 0.5}
"""How strong the noise of each grain is, by the grain's size in pixels."""

_EDGE = 0.25
"""By how much surfaces that meet at an edge differ."""


def size_of(megapixels: float) -> tuple[int, int]:
    """Return the height and width in pixels of a photograph of 3:2, at least 1."""
    width = max(1, round(math.sqrt(megapixels * 1e6 * 3 / 2)))
    return max(1, round(megapixels * 1e6 / width)), width


def write_synthetic(path: Path, height: int, width: int) -> None:
    """Write a photograph: noise of several grains, and surfaces with sharp edges.

    Args:
        path: the file; its suffix tells the format.
        height: in pixels.
        width: in pixels.

    Raises:
        OutputError: it cannot be written.
    """
    piece = _piece()
    times = (-(-height // _PIECE[0]), -(-width // _PIECE[1]), 1)
    pixels = np.ascontiguousarray(np.tile(piece, times)[:height, :width])
    photograph = Photograph(pixels, None, format="", metadata=Metadata(), path=path)
    write_photograph(photograph, path, overwrite=True)


def _piece() -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(0)

    def noise(grain: int) -> npt.NDArray[np.float32]:
        height, width = (side // grain for side in _PIECE)
        coarse = random.random((height, width, 3), np.float32) - np.float32(0.5)
        return resize(coarse, *_PIECE)

    values = 0.5 + _EDGE * np.sign(noise(max(_NOISE)))
    for grain, strength in _NOISE.items():
        values += strength * noise(grain)
    return np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
