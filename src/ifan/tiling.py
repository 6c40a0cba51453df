"""The geometry of how a picture meets the network: no pixels, no network.

The network halves the size three times, so it takes sizes that are multiples of 8 only. Pictures of
other sizes are continued at the bottom and the right, and the result is cut back.

A picture too large to go through the network at once goes through each of its stages
(`ifan.networks.ifan`) tile by tile. No layer looks at the whole picture, so a tile that is read
with as many cells around it as the stage can see, its halo, gives in its middle what the whole
picture would have given there, to the digit. Where a tile ends at the picture's border it has no
halo: there the network's own padding acts, as it does for the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

CELL = 8
"""Pixels across a cell of the network's 1/8 map; sizes must be multiples of this."""

LEAST_SIZE = 2 * CELL
"""Pixels that a picture at least has on each side for an engine: with maps of one cell across,
OpenVINO 2026.4 gives values that are no numbers in bfloat16."""


class Span(NamedTuple):
    """A tile along one axis, in cells.

    Attributes:
        start: where what is read begins.
        stop: where what is read ends.
        first: where what is kept begins, from `start` on.
        last: where what is kept ends, up to `stop`.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def read(self) -> slice:
        """What of the picture the tile reads, in cells."""
        return slice(self.start, self.stop)

    @property
    def write(self) -> slice:
        """What of the picture the tile gives, in cells."""
        return slice(self.first, self.last)

    @property
    def keep(self) -> slice:
        """What of the tile's own cells is given."""
        return slice(self.first - self.start, self.last - self.start)


class Tile(NamedTuple):
    """A rectangle of cells that goes through a stage at once."""

    rows: Span
    columns: Span


def tiles(height: int, width: int, halo: int, most: int) -> Iterator[Tile]:
    """Cover a map with tiles of one size, in as little work as the limit allows.

    One size means one compiled graph. What is kept of the tiles covers the map without overlap.

    Args:
        height: height of the map in cells.
        width: width of the map in cells.
        halo: how many cells a stage sees beyond the one that it gives, on each side.
        most: cells that a tile may have.

    Raises:
        ValueError: no tile with such a halo is so small.
    """
    sizes = _tile_size(height, width, halo, most)
    rows, columns = (
        list(spans(*along, halo)) for along in zip((height, width), sizes, strict=True)
    )
    return (Tile(row, column) for row in rows for column in columns)


def least_tile(height: int, width: int, halo: int) -> int:
    """Return the cells of the smallest tile that `tiles` can make.

    Args:
        height: height of the map in cells.
        width: width of the map in cells.
        halo: as for `tiles`.
    """
    return min(height, 2 * halo + 1) * min(width, 2 * halo + 1)


def spans(length: int, size: int, halo: int) -> Iterator[Span]:
    """Cover a line of cells with tiles of one size.

    Args:
        length: length of the line in cells.
        size: size of the tiles in cells, more than two halos or the whole length.
        halo: cells read beyond what is kept, but at the ends of the line.
    """
    done = 0
    while done < length:
        # Each begins as late as its halo allows; the last one ends with the line.
        start = min(max(0, done - halo), length - size)
        stop = start + size
        last = length if stop == length else stop - halo
        yield Span(start, stop, done, last)
        done = last


def _tile_size(height: int, width: int, halo: int, most: int) -> tuple[int, int]:
    """Return the height and width in cells of the tiles that take the least work in all."""
    best: tuple[int, int, int] | None = None
    for below in range(1, max(1, height - 2 * halo) + 1):
        tall = _size(height, below, halo)
        beside = _count(width, most // tall, halo)
        if beside is None:
            continue
        wide = _size(width, beside, halo)
        work = below * tall * beside * wide
        if best is None or work < best[0]:
            best = work, tall, wide
    if best is None:
        raise ValueError(f"a tile of at most {most} cells has no room for a halo of {halo}")
    return best[1:]


def _size(length: int, count: int, halo: int) -> int:
    """Return the least size in cells of so many tiles that cover a line."""
    return -(-(length + 2 * halo * (count - 1)) // count)


def _count(length: int, size: int, halo: int) -> int | None:
    """Return how many tiles of a size cover a line; None if they have nothing to keep."""
    if size >= length:
        return 1
    return -(-(length - 2 * halo) // (size - 2 * halo)) if size > 2 * halo else None


def margins(height: int, width: int, around: int = 0) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return by how much to continue a picture, so that its size suits the network.

    Args:
        height: height of the picture in pixels.
        width: width of the picture in pixels.
        around: pixels to add on all sides in any case, a multiple of 8.

    Returns:
        (above, below), (left, right), in pixels.
    """
    least = LEAST_SIZE - 2 * around
    below, beside = (max(-side % CELL, least - side) for side in (height, width))
    return (around, around + below), (around, around + beside)


def fitted_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Return the size in pixels, in proportion, whose long side is at most `long_side`.

    A picture is never enlarged, and no side gets shorter than one pixel.
    """
    scale = min(1.0, long_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
