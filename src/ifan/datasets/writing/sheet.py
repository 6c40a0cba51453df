"""A picture to look at: some scenes of a data set below each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ifan.datasets.writing.layout import CONTACT_SHEET, Layout
from ifan.images import WHITE, Metadata, Photograph, coloured, read_photograph, resize

Picture = npt.NDArray[np.float32]

_MOST_SIDE = 256
_GAP = 4
_GREY = 0.5


def contact_sheet(layout: Layout, indices: Sequence[int]) -> Photograph:
    """Put center view, target and circle of confusion of scenes beside each other, a scene a row.

    Circles of confusion are white in focus, blue in front of it and red behind it, in all rows
    alike.

    Raises:
        PictureError: a file of them cannot be read.
    """
    cocs = [read_photograph(layout.coc(index)).pixels for index in indices]
    maps = _values(coloured(np.concatenate(cocs), layout.folder / CONTACT_SHEET))
    rows = [
        _beside([_read(layout.center(index)), _read(layout.target(index)), shown])
        for index, shown in zip(indices, np.split(maps, len(indices)), strict=True)
    ]
    pixels = np.rint(np.concatenate(rows) * 255).astype(np.uint8)
    path = layout.folder / CONTACT_SHEET
    return Photograph(pixels, alpha=None, format="JPEG", metadata=Metadata(), path=path)


def _read(path: Path) -> Picture:
    return _values(read_photograph(path))


def _values(photograph: Photograph) -> Picture:
    pixels = photograph.pixels
    return np.asarray(pixels / WHITE[pixels.dtype], np.float32)


def _beside(pictures: Sequence[Picture]) -> Picture:
    """Join pictures of one size, made smaller if they are large, with a grey gap after each."""
    edges = ((0, _GAP), (0, _GAP), (0, 0))
    small = [np.pad(_small(picture), edges, constant_values=_GREY) for picture in pictures]
    return np.concatenate(small, axis=1)


def _small(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    factor = min(1.0, _MOST_SIDE / max(height, width))
    if factor == 1:
        return picture
    return np.clip(resize(picture, round(height * factor), round(width * factor)), 0, 1)
