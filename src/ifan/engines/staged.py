"""A picture of any size through a network, within a given memory.

What fits goes through whole. What does not goes through the network's four stages one after
another, each tile by tile (`ifan.tiling`); only the features between the stages, at 1/8 of the
size, are kept whole. The result is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import Lock
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ifan.engines import VIEWS, Array, Engine, Views
from ifan.engines.memory import REMEDY
from ifan.errors import OutOfMemoryError
from ifan.tiling import CELL, margins, tiles

Named = Mapping[str, NDArray[Any]]

ENCODER_HALO = 5
PREDICTOR_HALO = 30
DECODER_HALO = 7
DISPARITY_HALO = 10
"""How far the stages see, in cells: 38 pixels, 30 convolutions between the encoder feature and a
filter, 53 pixels; and ten convolutions between the encoder feature and the disparity map."""

_MOST_VALUES = 20_000_000
"""Pixels times width of a tile of the encoders or the decoder, whatever room there is. On the one
machine where it was tried, tiles of 0.5 to 0.75 megapixels at width 32, and of 1 to 1.3 at
width 16, took less time per pixel of the picture than others."""

_FEATURES = 3
"""Features that are kept at a time, of 4*width channels each."""

_LOG = logging.getLogger("ifan")


def filter_halo(iterations: int) -> int:
    """Return how far the third stage sees, in cells.

    N filters lie between e_B and the deblurred feature, and 8 convolutions in the bottleneck.
    """
    return iterations + 8


class StagedNetwork:
    """A network of an engine. Threads may share it; it runs one picture at a time.

    Args:
        engine: the engine.
        width: the network's base channel count.
        iterations: the paper's N.
    """

    def __init__(self, engine: Engine, width: int, iterations: int) -> None:
        self._engine = engine
        self._width = width
        self._iterations = iterations
        self._lock = Lock()

    def deblur(self, views: Views, room: float) -> Array:
        """Return the all-in-focus picture, 1x3xHxW, not clipped.

        Args:
            views: the picture, of any size; it is continued by reflection to a size that suits the
                network.
            room: bytes of memory to take besides the views and the result.

        Raises:
            OutOfMemoryError: it is too little.
        """
        height, width = views[0].shape[-2:]
        return self._within(room, views, "deblurred")[..., :height, :width]

    def disparity(self, views: Views, room: float) -> Array:
        """Return the disparity map, in cells of that map.

        Args and raises as `deblur`.

        Returns:
            1x1xh/8xw/8, for a picture continued to hxw.
        """
        return self._within(room, views, "disparity")

    def features_bytes(self, pixels: int) -> float:
        """Return the memory that the features between the stages take, of so many pixels."""
        return _FEATURES * self._engine.memory.feature * self._width * pixels

    def release(self) -> None:
        """Give back the memory that is kept for the next picture, once none is being run."""
        with self._lock:
            self._engine.release()

    def _within(self, room: float, views: Views, wanted: str) -> Array:
        """Run within the room, or in less and less where even that is not there."""
        given = dict(zip(VIEWS, views, strict=False))
        height, width = views[0].shape[-2:]
        whole = self._engine.memory.whole * self._width * height * width
        features = self.features_bytes(height * width)
        with self._lock:
            while True:
                try:
                    if whole <= room:
                        return self._whole(given, wanted)
                    return self._staged(given, wanted, room - features)
                except _NoRoomError as error:
                    raise OutOfMemoryError(
                        "network",
                        f"{width}x{height} pixels need more memory than the "
                        f"{max(0.0, room) / 1e9:.1f} GB that the network may take",
                        REMEDY,
                    ) from error
                except OutOfMemoryError as error:
                    self._engine.release()
                    _LOG.warning("%s: going on in smaller parts", error.reason)
                    room = features + (min(room, whole) - features) / 2

    def _whole(self, views: Named, wanted: str) -> Array:
        cells = _cells(views)
        everything = slice(0, cells[0]), slice(0, cells[1])
        continued = {name: _cut_view(view, *everything) for name, view in views.items()}
        return cast("Array", self._engine.run(continued, (wanted,))[0])

    def _staged(self, views: Named, wanted: str, room: float) -> Array:
        """Run stage by stage, with room for one tile at a time."""
        cells = _cells(views)
        memory = self._engine.memory
        if wanted == "disparity":
            given = self._tiled(cells, views, ("encoded",), ENCODER_HALO, room / memory.encode)
            given = self._tiled(cells, given, (wanted,), DISPARITY_HALO, room / memory.predict)
        else:
            features = "encoded", "defocused"
            given = self._tiled(cells, views, features, ENCODER_HALO, room / memory.encode)
            defocused = given.pop("defocused")
            feature = ("filter_feature",)
            given = self._tiled(cells, given, feature, PREDICTOR_HALO, room / memory.predict)
            given["defocused"] = defocused
            halo = filter_halo(self._iterations)
            given = self._tiled(cells, given, ("bottleneck",), halo, room / memory.apply)
            given["center"] = views["center"]
            given = self._tiled(cells, given, (wanted,), DECODER_HALO, room / memory.decode)
        return given[wanted]

    def _tiled(
        self,
        cells: tuple[int, int],
        given: Named,
        wanted: tuple[str, ...],
        halo: int,
        room: float,
    ) -> dict[str, NDArray[Any]]:
        """Do one stage, in tiles of as many pixels as a network of width 1 has room for."""
        try:
            pixels = room / self._width
            if halo <= DECODER_HALO:  # small tiles with wide halos compute too much twice
                pixels = min(pixels, _MOST_VALUES / self._width)
            parts = tiles(*cells, halo, int(pixels / CELL**2))
        except ValueError as error:
            raise _NoRoomError from error
        results: dict[str, NDArray[Any]] = {}
        for rows, columns in parts:
            read = {
                name: (_cut_view if name in VIEWS else _cut)(array, rows.read, columns.read)
                for name, array in given.items()
            }
            pieces = dict(zip(wanted, self._engine.run(read, wanted), strict=True))
            for name, piece in pieces.items():
                scale = piece.shape[-1] // (columns.stop - columns.start)
                if name not in results:
                    size = tuple(scale * side for side in cells)
                    results[name] = np.empty((*piece.shape[:2], *size), piece.dtype)
                kept = _cut(piece, rows.keep, columns.keep, scale)
                _cut(results[name], rows.write, columns.write, scale)[:] = kept
        self._engine.release()
        return results


def _cells(views: Named) -> tuple[int, int]:
    """Return the height and width of the 1/8 map of a picture, continued as it needs."""
    height, width = views["center"].shape[-2:]
    (_, below), (_, beside) = margins(height, width)
    return (height + below) // CELL, (width + beside) // CELL


def _cut(array: NDArray[Any], rows: slice, columns: slice, scale: int = 1) -> NDArray[Any]:
    """Cut cells out of what has `scale` values along each side of a cell."""
    rows, columns = (slice(part.start * scale, part.stop * scale) for part in (rows, columns))
    return array[..., rows, columns]


def _cut_view(view: NDArray[Any], rows: slice, columns: slice) -> NDArray[Any]:
    """Cut cells out of a picture; what is missing at the bottom and the right is its reflection."""
    part = _cut(view, rows, columns, CELL)
    missing = [
        CELL * (cells.stop - cells.start) - side
        for cells, side in zip((rows, columns), part.shape[-2:], strict=True)
    ]
    if not any(missing):
        return part
    return np.pad(part, [(0, 0), (0, 0), *((0, side) for side in missing)], mode="reflect")


class _NoRoomError(Exception):
    """No tile is small enough."""
