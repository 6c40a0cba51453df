"""A photograph in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ifan.images.metadata import Metadata

Pixels: TypeAlias = npt.NDArray[np.uint8 | np.uint16 | np.float32]
"""HxWx3 (RGB) or HxW (grey), coded as the file has them: its colour space, its full range."""

WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}
"""The number that means full intensity. Floats of photographs may exceed it, and be negative."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """Pixels, upright, with all that belongs to them.

    Attributes:
        pixels: HxWx3 or HxW; uint8, uint16 or float32.
        alpha: HxW of the same dtype, 0 transparent, not multiplied into the pixels; None if opaque.
        format: of the file it was read from, a key of `FORMATS`.
        metadata: what goes back into the file.
        path: where it was read from, for messages.
    """

    pixels: Pixels
    alpha: Pixels | None
    format: str
    metadata: Metadata
    path: Path

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        if pixels.dtype not in WHITE:
            raise TypeError(f"pixels are {pixels.dtype}, not uint8, uint16 or float32")
        if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or not pixels.size:
            raise ValueError(f"pixels have shape {pixels.shape}, not HxWx3 or HxW")
        if alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
            expected = f"{pixels.dtype} {pixels.shape[:2]}"
            raise ValueError(f"alpha is {alpha.dtype} {alpha.shape}, not {expected} as the pixels")

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.pixels.shape[1])

    def with_pixels(self, pixels: Pixels) -> Photograph:
        """Return the photograph with other pixels and the same everything else.

        Args:
            pixels: of the same height, width and dtype; grey may become RGB and the reverse.

        Raises:
            ValueError: the size or the dtype is another.
        """
        old = self.pixels
        if (pixels.shape[:2], pixels.dtype) != (old.shape[:2], old.dtype):
            expected = f"{old.dtype} {old.shape[:2]}"
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape[:2]}, not {expected}")
        return replace(self, pixels=pixels)
