"""A picture of any size through a network, within a given memory.

What fits goes through whole. What does not goes through the network's four stages one after
another, each tile by tile (`ifan.tiling`); only the features between the stages, at 1/8 of the
size, are kept whole. The result is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import Lock
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ifan.engines import VIEWS, Array, Engine, Views
from ifan.engines.memory import REMEDY, shortage
from ifan.errors import OutOfMemoryError
from ifan.tiling import CELL, Tile, least_tile, margins, tiles

Named = Mapping[str, NDArray[Any]]
Wanted: TypeAlias = Literal["deblurred", "disparity"]

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

_OFTEN = 2.5
"""How often what is at 1/8 of the size may be computed for the halos of tiles before it is said."""

_LOG = logging.getLogger("ifan")


class _Stage(NamedTuple):
    """What goes tile by tile.

    Attributes:
        given: names of what it reads.
        wanted: names of what it computes.
        halo: how far it sees, in cells.
        memory: bytes for each pixel of a tile and each channel of the network's width.
    """

    given: tuple[str, ...]
    wanted: tuple[str, ...]
    halo: int
    memory: float


_Plan: TypeAlias = list[tuple[_Stage, list[Tile]]]


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
        self._has_said_often = False

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

    def least_room(self, height: int, width: int, wanted: Wanted) -> float:
        """Return the least bytes of memory in which a picture can be done.

        Args:
            height: of the picture in pixels.
            width: of the picture in pixels.
            wanted: `deblurred` or `disparity`.
        """
        cells = _cells(height, width)
        stages = self._stages(wanted)
        tile = max(stage.memory * least_tile(*cells, stage.halo) for stage in stages)
        staged = self.features_bytes(height * width) + tile * self._width * CELL**2
        return min(self._whole_bytes(height * width), staged)

    def release(self) -> None:
        """Give back the memory that is kept for the next picture, once none is being run."""
        with self._lock:
            self._engine.release()

    def _whole_bytes(self, pixels: int) -> float:
        return self._engine.memory.whole * self._width * pixels

    def _within(self, room: float, views: Views, wanted: Wanted) -> Array:
        """Run within the room, or in less and less where even that is not there."""
        given = dict(zip(VIEWS, views, strict=False))
        height, width = views[0].shape[-2:]
        whole = self._whole_bytes(height * width)
        features = self.features_bytes(height * width)
        with self._lock:
            while True:
                plan = None if whole <= room else self._planned(height, width, wanted, room)
                try:
                    if plan is None:
                        return self._whole(given, wanted)
                    return self._staged(given, plan)[wanted]
                except OutOfMemoryError as error:
                    self._engine.release()
                    _LOG.warning("%s: going on in smaller parts", error.reason)
                    room = features + (min(room, whole) - features) / 2

    def _whole(self, views: Named, wanted: str) -> Array:
        cells = _cells(*views["center"].shape[-2:])
        everything = slice(0, cells[0]), slice(0, cells[1])
        continued = {name: _cut_view(view, *everything) for name, view in views.items()}
        return cast("Array", self._engine.run(continued, (wanted,))[0])

    def _stages(self, wanted: Wanted) -> list[_Stage]:
        memory = self._engine.memory
        if wanted == "disparity":
            return [
                _Stage(VIEWS, ("encoded",), ENCODER_HALO, memory.encode),
                _Stage(("encoded",), ("disparity",), DISPARITY_HALO, memory.predict),
            ]
        applied = "filter_feature", "defocused"
        return [
            _Stage(VIEWS, ("encoded", "defocused"), ENCODER_HALO, memory.encode),
            _Stage(("encoded",), ("filter_feature",), PREDICTOR_HALO, memory.predict),
            _Stage(applied, ("bottleneck",), filter_halo(self._iterations), memory.apply),
            _Stage(("bottleneck", "center"), ("deblurred",), DECODER_HALO, memory.decode),
        ]

    def _planned(self, height: int, width: int, wanted: Wanted, room: float) -> _Plan:
        """Cut a picture into tiles for each stage, with room for one at a time.

        Raises:
            OutOfMemoryError: there is none for the smallest tile of some stage.
        """
        cells = _cells(height, width)
        room_for_tile = room - self.features_bytes(height * width)
        try:
            plan = [
                (stage, list(tiles(*cells, stage.halo, self._most_cells(stage, room_for_tile))))
                for stage in self._stages(wanted)
            ]
        except ValueError as error:
            least = self.least_room(height, width, wanted)
            reason = shortage(height, width, least, room)
            raise OutOfMemoryError("network", reason, REMEDY) from error
        often = _times_computed(plan, cells)
        if often > _OFTEN and not self._has_said_often:
            self._has_said_often = True
            said = "%dx%d pixels: in so little memory most is computed %.0f times over; %s"
            _LOG.warning(said, width, height, often, REMEDY)
        return plan

    def _most_cells(self, stage: _Stage, room: float) -> int:
        """Return how many cells a tile may have."""
        pixels = room / stage.memory / self._width
        if stage.halo <= DECODER_HALO:  # small tiles with wide halos compute too much twice
            pixels = min(pixels, _MOST_VALUES / self._width)
        return int(pixels / CELL**2)

    def _staged(self, views: Named, plan: _Plan) -> Named:
        """Run stage by stage, and return what the last one gives."""
        cells = _cells(*views["center"].shape[-2:])
        features: dict[str, NDArray[Any]] = {}
        for stage, parts in plan:
            # What is read here is read no more, but for the views.
            given = {n: features.pop(n) for n in stage.given if n in features}
            given |= {n: views[n] for n in stage.given if n in views}
            features |= self._tiled(cells, given, stage.wanted, parts)
        return features

    def _tiled(
        self, cells: tuple[int, int], given: Named, wanted: tuple[str, ...], parts: list[Tile]
    ) -> dict[str, NDArray[Any]]:
        """Do one stage."""
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


def _times_computed(plan: _Plan, cells: tuple[int, int]) -> float:
    """Return how often the stages that see far compute a cell, on average."""
    covers = [parts for stage, parts in plan if stage.halo > DECODER_HALO]
    computed = sum(
        (rows.stop - rows.start) * (columns.stop - columns.start)
        for parts in covers
        for rows, columns in parts
    )
    return computed / (len(covers) * cells[0] * cells[1])


def _cells(height: int, width: int) -> tuple[int, int]:
    """Return the height and width of the 1/8 map of a picture, continued as it needs."""
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
