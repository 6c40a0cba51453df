"""What a lens does to the whole picture: radial distortion and vignetting."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from numba import njit
from pydantic import BaseModel, ConfigDict, Field

Array = npt.NDArray[np.float32]
Grid = npt.NDArray[np.float64]


class Distortion(BaseModel):
    """Radial distortion: straight lines bend (Brown, 1966, first term).

    What appears at a distance p from the middle, in parts of half the diagonal, is what lies at
    p (1 + radial p^2) without distortion. Corners look outwards by `radial`, so the picture needs
    a margin if it is positive.

    Attributes:
        radial: positive is a barrel, negative a pincushion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    radial: Annotated[float, Field(ge=-0.2, le=0.2)] = 0.0

    def margin(self, height: int, width: int) -> int:
        """Return how many pixels around a picture of this size are looked at."""
        # Two more for the bicubic filter.
        return int(np.ceil(max(self.radial, 0) * max(height, width) / 2)) + 2

    def apply(self, picture: Array, margin: int) -> Array:
        """Bend a picture by bicubic interpolation (Keys, 1981, a = -1/2).

        Args:
            picture: HxWxC with a margin.
            margin: its width; what lies outside it is the nearest pixel of it.

        Returns:
            The picture without the margin. Overshoots of the filter are cut off at 0.
        """
        return _sample_bicubic(np.ascontiguousarray(picture), margin, self.radial)

    def apply_to_map(self, values: Array, margin: int) -> Array:
        """Bend a map of coc or depth, HxW, by taking nearest values: edges stay edges."""
        height, width = (size - 2 * margin for size in values.shape)
        y, x = _looks_at(height, width, self.radial)
        rows = np.clip(np.rint(y).astype(int) + margin, 0, values.shape[0] - 1)
        columns = np.clip(np.rint(x).astype(int) + margin, 0, values.shape[1] - 1)
        bent: Array = values[rows, columns]
        return bent


class Vignetting(BaseModel):
    """Corners get less light, by the cos^4 law: 1 / (1 + t p^2)^2, with p as in `Distortion`.

    Attributes:
        corner: the light in the corners in parts of that in the middle; 1 is no vignetting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    corner: Annotated[float, Field(gt=0, le=1)] = 1.0

    def apply(self, picture: Array) -> Array:
        """Darken a picture in linear light, HxWxC."""
        height, width = picture.shape[:2]
        y, x = _from_middle(height, width)
        squared = (y**2 + x**2) / _half_diagonal(height, width) ** 2
        light = 1 / (1 + (self.corner**-0.5 - 1) * squared) ** 2
        return np.asarray(picture * light[..., None], np.float32)


def _half_diagonal(height: int, width: int) -> float:
    return float(max(np.hypot((height - 1) / 2, (width - 1) / 2), 1))


def _from_middle(height: int, width: int) -> tuple[Grid, Grid]:
    """Return the rows, Hx1, and the columns, 1xW, counted from the middle of the picture."""
    return (
        np.arange(height, dtype=np.float64)[:, None] - (height - 1) / 2,
        np.arange(width, dtype=np.float64)[None, :] - (width - 1) / 2,
    )


def _looks_at(height: int, width: int, radial: float) -> tuple[Grid, Grid]:
    """Return the row and the column that each pixel shows, HxW each."""
    y, x = _from_middle(height, width)
    factor = 1 + radial * (y**2 + x**2) / _half_diagonal(height, width) ** 2
    return y * factor + (height - 1) / 2, x * factor + (width - 1) / 2


def _sample_bicubic(picture: Array, margin: int, radial: float) -> Array:
    height, width = picture.shape[0] - 2 * margin, picture.shape[1] - 2 * margin
    y, x = _looks_at(height, width, radial)
    sampled = np.empty((height, width, picture.shape[2]), np.float32)
    _sample(picture, y + margin, x + margin, sampled)
    return np.asarray(np.maximum(sampled, 0))


@njit(cache=True, nogil=True)
def _cubic(fraction, weights):  # type: ignore[no-untyped-def]
    """Write the four weights of Keys' cubic filter for a position between the middle two."""
    for tap in range(4):
        d = abs(fraction + 1 - tap)
        if d < 1:
            weights[tap] = (1.5 * d - 2.5) * d * d + 1
        else:
            weights[tap] = ((-0.5 * d + 2.5) * d - 4) * d + 2


@njit(cache=True, nogil=True)
def _sample(picture, rows, columns, sampled):  # type: ignore[no-untyped-def]
    """Write picture[rows, columns], interpolated, into `sampled`."""
    down, across = np.empty(4), np.empty(4)
    for y in range(sampled.shape[0]):
        for x in range(sampled.shape[1]):
            top, left = int(np.floor(rows[y, x])), int(np.floor(columns[y, x]))
            _cubic(rows[y, x] - top, down)
            _cubic(columns[y, x] - left, across)
            for channel in range(sampled.shape[2]):
                value = 0.0
                for j in range(4):
                    row = min(max(top + j - 1, 0), picture.shape[0] - 1)
                    for i in range(4):
                        column = min(max(left + i - 1, 0), picture.shape[1] - 1)
                        value += down[j] * across[i] * picture[row, column, channel]
                sampled[y, x, channel] = value
