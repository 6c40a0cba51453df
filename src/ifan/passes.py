"""Several passes over one picture, turned and mirrored each time, whose results make one.

What a network makes of a turned picture, turned back, is not quite what it makes of the picture
itself. The errors differ, so the mean has less of them than each (Timofte, Rothe, Van Gool: "Seven
ways to improve example-based single image super resolution", CVPR 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from ifan.engines import Array

Passes = Literal[1, 2, 4, 8]
PASSES: tuple[int, ...] = get_args(Passes)
"""How many there can be."""


class Turn(NamedTuple):
    """One of the eight ways to lay a picture on a grid, by what is done to it in this order.

    Attributes:
        is_upside_down: its rows are reversed.
        is_mirrored: its columns are reversed.
        is_transposed: rows become columns.
    """

    is_upside_down: bool
    is_mirrored: bool
    is_transposed: bool

    def of(self, views: list[Array]) -> list[Array]:
        """Turn the views of a picture, HxWxC each.

        Of a mirrored picture, the left dual-pixel view is the mirrored right one.
        """
        center, *sides = (self._turned(view) for view in views)
        return [center, *(reversed(sides) if self.is_mirrored else sides)]

    def back(self, picture: Array) -> Array:
        """Turn a picture back."""
        return self._reversed(picture.swapaxes(0, 1) if self.is_transposed else picture)

    def _turned(self, picture: Array) -> Array:
        picture = self._reversed(picture)
        return picture.swapaxes(0, 1) if self.is_transposed else picture

    def _reversed(self, picture: Array) -> Array:
        return picture[:: -1 if self.is_upside_down else 1, :: -1 if self.is_mirrored else 1]


_TURNS = tuple(
    Turn(is_upside_down, is_mirrored, is_transposed)
    for is_transposed in (False, True)
    for is_mirrored in (False, True)
    for is_upside_down in (False, True)
)


def require_passes(passes: int) -> int:
    """Return a number of passes, once it is known that there can be so many.

    Raises:
        ValueError: it is none of `PASSES`.
    """
    if isinstance(passes, bool) or passes not in PASSES:
        raise ValueError(f"passes can be {', '.join(map(str, PASSES))}, not {passes}")
    return int(passes)


def turns(passes: int, *, dual_pixel: bool) -> tuple[Turn, ...]:
    """Return how a picture is turned for each pass; for the first not at all.

    Args:
        passes: one of `PASSES`.
        dual_pixel: whether there are left and right dual-pixel views. In these a point lies in
            other columns; where columns are rows they would be none, which leaves four of eight.
    """
    return _TURNS[: min(passes, 4) if dual_pixel else passes]


def mean_of_passes(views: list[Array], passes: int, see: Callable[[list[Array]], Array]) -> Array:
    """Have the views of a picture seen several times, and return the mean of the results.

    Args:
        views: HxWxC: the picture, and left and right dual-pixel views if there are any.
        passes: as for `turns`.
        see: makes a picture HxWxC of such views. What it returned may be changed.
    """
    first, *others = turns(passes, dual_pixel=len(views) > 1)
    mean = first.back(see(first.of(views)))
    for turn in others:
        mean += turn.back(see(turn.of(views)))
    if others:
        mean /= 1 + len(others)
    return mean
