"""How much memory a picture may take, told before it is taken.

Where memory is overcommitted, an allocation that is too large does not fail: the system stops the
process later, without a word. So the need is compared with what there is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ifan.engines.memory import available_memory
from ifan.engines.staged import StagedNetwork
from ifan.errors import OutOfMemoryError

if TYPE_CHECKING:
    from ifan.images import Rendition

_BYTES_PER_PIXEL = 40
"""Peak memory of all but the network, in bytes for each pixel of the photograph: the photograph
itself, its correction in float32, the result, and what resampling takes, with some to spare."""

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

    def require(self, height: int, width: int, network: StagedNetwork | None) -> None:
        """Refuse a photograph for which memory does not suffice, whatever the network takes.

        Args:
            height: of the photograph.
            width: of the photograph.
            network: if it is loaded: what it keeps for the next picture is given back if need be.

        Raises:
            OutOfMemoryError: memory does not suffice.
        """
        needed = _BYTES_PER_PIXEL * height * width
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

    def for_network(self, network: StagedNetwork, rendition: Rendition) -> float:
        """Return the memory in bytes that the network may take for a picture.

        Args:
            network: to be run; what it keeps for the next picture is given back if need be.
            rendition: of the photograph, as the network is to see it.
        """
        if not self._on_cpu:
            return math.inf if self._limit is None else self._limit
        height, width, _ = rendition.view.shape
        enough = _TILE_BYTES + network.features_bytes(height * width)
        needed = _BYTES_PER_PIXEL * rendition.photograph_pixels
        if available_memory() < min(needed + enough, self._programs):
            network.release()
        room = min(self._programs, available_memory()) - needed
        return min(room, enough) if self._limit is None else room
