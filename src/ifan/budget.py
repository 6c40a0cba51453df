"""How much memory a picture may take, told before it is taken.

Where memory is overcommitted, an allocation that is too large does not fail: the system stops the
process later, without a word. So the need is compared with what there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ifan.engines.memory import available_memory, shortage
from ifan.engines.staged import StagedNetwork, Wanted
from ifan.errors import OutOfMemoryError

if TYPE_CHECKING:
    from ifan.images import Photograph, Rendition

_BYTES_PER_PIXEL = 34
"""Peak memory of all but the network, the photograph with its side views and the result, in bytes
for each pixel of the photograph: its correction in float32, and what resampling takes, with some to
spare."""

_BYTES_APART = 24
"""As much more at the full size where what the network makes of a photograph is not the result yet:
at less than the full strength, with transparency, floats or a wide colour profile. Then this and
the correction are there side by side."""

_BYTES_BLENDED = 12
"""As much more for each pixel that the network sees, where corrections of several sizes are made
one."""

_BYTES_VIEW = 12
"""Of a view, three channels in float32, for each pixel that the network sees."""

_BYTES_AVERAGED = 2 * _BYTES_VIEW
"""As much more for each pixel that the network sees, where it sees a picture several times: the sum
of what was made so far, and a turned copy. Each side view takes a copy besides."""

_BASE_BYTES = 0.35e9
"""Memory that the program itself takes: libraries, weights, compiled graphs."""

_TILE_BYTES = 1.2e9
"""Memory that a picture or a tile of it takes in the network if no limit is given. With more, a
large picture takes less time, as it is cut into fewer tiles with wide halos, or none."""


class Budget:
    """Compares what pictures need with the memory that there is, or that may be taken.

    Args:
        limit: bytes that may be taken: on a CPU by the program, elsewhere by the network alone.
            None: what there is.
        on_cpu: whether the network takes the same memory as the program; a GPU has its own.
    """

    def __init__(self, limit: float | None, *, on_cpu: bool) -> None:
        self._limit = limit
        self._programs = math.inf if limit is None or not on_cpu else limit - _BASE_BYTES
        self._on_cpu = on_cpu

    def require(
        self,
        photographs: Sequence[Photograph],
        size: tuple[int, int],
        network: StagedNetwork | None,
        *,
        strength: float = 1.0,
        blends: bool = False,
        averages: bool = False,
    ) -> None:
        """Refuse a photograph for which memory does not suffice, whatever the network takes.

        Args:
            photographs: the photograph, and its side views.
            size: height and width in pixels at which the network is to see them.
            network: if it is loaded: what it keeps for the next picture is given back if need be.
            strength: part of the correction that is to be applied.
            blends: whether corrections of several sizes are made one.
            averages: whether what several passes make is averaged.

        Raises:
            OutOfMemoryError: memory does not suffice.
        """
        first = photographs[0]
        height, width = first.height, first.width
        sizes = [_bytes_of(each) for each in photographs]
        held = sum(sizes)
        beside = _beside(len(photographs), blends=blends, averages=averages)
        needed = _needed(height * width, sizes, size, beside)
        if size == (height, width):
            apart = _needed(height * width, sizes, size) + _BYTES_APART * height * width
            is_apart = strength < 1 or first.alpha is not None or first.pixels.dtype.kind == "f"
            # A profile is looked at only if it decides, as one that is damaged is warned of.
            if is_apart or (needed <= self._free(held) < apart and _is_wide(first)):
                needed = max(needed, apart)
        if needed > available_memory() + held and network is not None:
            network.release()
        self._require(height, width, needed, held)

    def for_network(
        self,
        network: StagedNetwork,
        renditions: Sequence[Rendition],
        *,
        wanted: Wanted = "deblurred",
        blends: bool = False,
        averages: bool = False,
    ) -> float:
        """Return the memory in bytes that the network may take for a picture.

        Args:
            network: to be run; what it keeps for the next picture is given back if need be.
            renditions: of the photograph and its side views, as the network is to see them.
            wanted: what of the network.
            blends: whether corrections of several sizes are made one.
            averages: whether what several passes make is averaged.

        Raises:
            OutOfMemoryError: memory does not suffice.
        """
        if not self._on_cpu:
            return math.inf if self._limit is None else self._limit
        height, width, _ = renditions[0].view.shape
        enough = _TILE_BYTES + network.features_bytes(height * width)
        pixels = renditions[0].photograph_pixels
        # Renditions do not tell what they are of: mostly of three channels of 8 bits.
        sizes = [3 * pixels] * len(renditions)
        held = sum(sizes) + sum(rendition.view.nbytes for rendition in renditions)
        beside = _beside(len(renditions), blends=blends, averages=averages)
        needed = _needed(pixels, sizes, (height, width), beside)
        if available_memory() + held < min(needed + enough, self._programs):
            network.release()
        least = needed + network.least_room(height, width, wanted)
        instead = " or a smaller --working-size" + (" or fewer --passes" if averages else "")
        room = self._require(height, width, least, held, instead) - needed
        return min(room, enough) if self._limit is None else room

    def _free(self, held: int) -> float:
        """Return the bytes that may be taken, with those that the picture has already."""
        return min(self._programs, available_memory() + held)

    def _require(
        self, height: int, width: int, needed: float, held: int, instead: str = ""
    ) -> float:
        """Return the bytes that may be taken, refuse the picture if they are fewer than needed."""
        free = self._free(held)
        if needed > free:
            is_limited = free == self._programs
            base = _BASE_BYTES if is_limited else 0
            reason = shortage(height, width, base + needed, base + free)
            remedy = "give more --memory" if is_limited else "close other programs"
            raise OutOfMemoryError("network", reason, remedy + instead)
        return free


def _bytes_of(photograph: Photograph) -> int:
    alpha = photograph.alpha
    return photograph.pixels.nbytes + (0 if alpha is None else alpha.nbytes)


def _is_wide(photograph: Photograph) -> bool:
    """Whether a photograph is in another colour space than sRGB."""
    from ifan.images.colour import SRGB, colour_space

    icc, is_grey = photograph.metadata.icc, photograph.pixels.ndim == 2
    return not isinstance(colour_space(icc, is_grey=is_grey, path=photograph.path), SRGB)


def _beside(views: int, *, blends: bool, averages: bool) -> int:
    """Return the bytes for each pixel that the network sees, of what is held beside the views."""
    blending = _BYTES_BLENDED if blends else 0
    return blending + (_BYTES_AVERAGED + _BYTES_VIEW * (views - 1) if averages else 0)


def _needed(pixels: int, photographs: Sequence[int], size: tuple[int, int], beside: int = 0) -> int:
    """Return the peak memory in bytes of all but the network.

    Args:
        pixels: of the photograph.
        photographs: bytes of the photograph, whose result has as many, and of each side view.
        size: height and width in pixels at which the network sees them, in float32.
        beside: bytes for each pixel that the network sees, of what else is held.
    """
    seen = size[0] * size[1]
    sides = sum(photographs[1:]) + _BYTES_VIEW * seen * len(photographs[1:])
    return _BYTES_PER_PIXEL * pixels + 2 * photographs[0] + sides + beside * seen
