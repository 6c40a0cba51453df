"""The geometry of how a picture meets the network: no pixels, no network.

The network halves the size three times, so it takes sizes that are multiples of 8 only. Pictures of
other sizes are continued at the bottom and the right, and the result is cut back.
"""

from __future__ import annotations

CELL = 8
"""Pixels across a cell of the network's 1/8 map; sizes must be multiples of this."""

LEAST_SIZE = 2 * CELL
"""Pixels that a picture at least has on each side for an engine: with maps of one cell across,
OpenVINO 2026.4 gives values that are no numbers in bfloat16."""


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
