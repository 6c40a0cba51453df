"""Maps of signed numbers as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ifan.images.metadata import Metadata
from ifan.images.photograph import Photograph

# From the most negative to the most positive value: blue, white for zero, red.
_COLOURS = np.array(
    [(5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31)], np.float32
)

# Part of the values that the colours span; the few beyond would leave all others pale.
_SPANNED = 0.995


def coloured(values: npt.NDArray[np.float32], path: Path) -> Photograph:
    """Return a map of signed numbers in colours: white at zero, blue below, red above.

    Args:
        values: HxW.
        path: of the photograph that the map is of, for messages.
    """
    largest = float(np.quantile(np.abs(values), _SPANNED)) or 1.0
    position = (np.clip(values / largest, -1, 1) + 1) / 2
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(position, stops, _COLOURS[:, channel]) for channel in range(3)]
    pixels = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return Photograph(pixels, alpha=None, format="PNG", metadata=Metadata(), path=path)
