"""How much memory a picture may take, told before it is taken.

Where memory is overcommitted, an allocation that is too large does not fail: the system stops the
process later, without a word. So the need is compared with what there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ifan.engines.memory import available_memory
from ifan.engines.staged import StagedNetwork
from ifan.errors import OutOfMemoryError

if TYPE_CHECKING:
    from ifan.images import Photograph, Rendition

_BYTES_PER_PIXEL = 34
"""Peak memory of all but the network, the photograph with its side views and the result, in bytes
for each pixel of the photograph: its correction in float32, and what resampling takes, with some to
spare."""

_BYTES_APART = 24
"""As much more at the full size if a photograph has transparency or floats: what the network makes
of it is not the result yet, so that this and the correction are there side by side."""

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
    ) -> None:
        """Refuse a photograph for which memory does not suffice, whatever the network takes.

        Args:
            photographs: the photograph, and its side views.
            size: height and width in pixels at which the network is to see them.
            network: if it is loaded: what it keeps for the next picture is given back if need be.

        Raises:
            OutOfMemoryError: memory does not suffice.
        """
        first = photographs[0]
        height, width = first.height, first.width
        needed = _needed(height * width, [_bytes_of(each) for each in photographs], size)
        if size == (height, width) and (first.alpha is not None or first.pixels.dtype.kind == "f"):
            needed += _BYTES_APART * height * width
        if needed > available_memory() and network is not None:
            network.release()
        free = min(self._programs, available_memory())
        if needed > free:
            is_limited = free == self._programs
            base = _BASE_BYTES if is_limited else 0
            reason = (
                f"{width}x{height} pixels need at least {(base + needed) / 1e9:.2f} GB of memory, "
                f"{(base + free) / 1e9:.2f} GB may be taken"
            )
            remedy = "give more --memory" if is_limited else "close other programs"
            raise OutOfMemoryError("network", reason, remedy)

    def for_network(self, network: StagedNetwork, renditions: Sequence[Rendition]) -> float:
        """Return the memory in bytes that the network may take for a picture.

        Args:
            network: to be run; what it keeps for the next picture is given back if need be.
            renditions: of the photograph and its side views, as the network is to see them.
        """
        if not self._on_cpu:
            return math.inf if self._limit is None else self._limit
        height, width, _ = renditions[0].view.shape
        enough = _TILE_BYTES + network.features_bytes(height * width)
        pixels = renditions[0].photograph_pixels
        # Renditions do not tell what they are of: mostly of three channels of 8 bits.
        needed = _needed(pixels, [3 * pixels] * len(renditions), (height, width))
        if available_memory() < min(needed + enough, self._programs):
            network.release()
        room = min(self._programs, available_memory()) - needed
        return min(room, enough) if self._limit is None else room


def _bytes_of(photograph: Photograph) -> int:
    alpha = photograph.alpha
    return photograph.pixels.nbytes + (0 if alpha is None else alpha.nbytes)


def _needed(pixels: int, photographs: Sequence[int], size: tuple[int, int]) -> int:
    """Return the peak memory in bytes of all but the network.

    Args:
        pixels: of the photograph.
        photographs: bytes of the photograph, whose result has as many, and of each side view.
        size: height and width in pixels at which the network sees them, in float32.
    """
    view = 3 * 4 * size[0] * size[1]
    sides = sum(photographs[1:]) + view * len(photographs[1:])
    return _BYTES_PER_PIXEL * pixels + 2 * photographs[0] + sides
