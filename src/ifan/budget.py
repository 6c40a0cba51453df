"""How much memory a picture may take, told before it is taken.

Where memory is overcommitted, an allocation that is too large does not fail: the system stops the
process later, without a word. So the need is compared with what there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
    """Says what fits.

    Args:
        limit: bytes that a picture may take, the program included; None: what there is.
        on_cpu: whether the network takes the same memory as the program; a GPU has its own.
    """

    def __init__(self, limit: float | None, *, on_cpu: bool) -> None:
        self._limit = limit
        self._on_cpu = on_cpu

    def require(self, height: int, width: int, network: Callable[[], StagedNetwork]) -> None:
        """Refuse a photograph for which memory does not suffice, whatever the network takes.

        Args:
            height: of the photograph.
            width: of the photograph.
            network: gives back what it keeps for the next picture, if that is what it takes.

        Raises:
            OutOfMemoryError: memory does not suffice.
        """
        needed = _BYTES_PER_PIXEL * height * width
        if needed <= self._free():
            return
        network().release()
        free = self._free()
        if needed > free:
            base = _BASE_BYTES if self._limit is not None else 0
            reason = (
                f"{width}x{height} pixels need at least {(base + needed) / 1e9:.2f} GB of memory, "
                f"{(base + free) / 1e9:.2f} GB may be taken"
            )
            remedy = "close other programs, or give more --memory"
            raise OutOfMemoryError("network", reason, remedy)

    def for_network(self, network: StagedNetwork, rendition: Rendition) -> float:
        """Return the memory in bytes that the network may take for a picture.

        Args:
            network: to be run.
            rendition: of the photograph, as the network is to see it.
        """
        if not self._on_cpu:
            return math.inf if self._limit is None else self._limit
        height, width, _ = rendition.view.shape
        enough = _TILE_BYTES + network.features_bytes(height * width)
        needed = _BYTES_PER_PIXEL * rendition.photograph_pixels
        room = self._free() - needed
        if room < enough:
            network.release()
            room = self._free() - needed
        return min(room, enough) if self._limit is None else room

    def _free(self) -> float:
        """Return the memory in bytes that a picture may take besides the program."""
        if self._limit is None or not self._on_cpu:
            return available_memory()
        return min(self._limit - _BASE_BYTES, available_memory())
