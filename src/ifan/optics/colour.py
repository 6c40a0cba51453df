"""The sRGB transfer curve (IEC 61966-2-1) and tone curves: between coded values and light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Coded = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | Array


def linear_light(coded: Coded) -> Array:
    """Undo the transfer curve.

    Args:
        coded: sRGB-coded values of any shape: uint8, uint16, or floating-point in [0, 1].

    Returns:
        Linear light in [0, 1].
    """
    if np.issubdtype(coded.dtype, np.unsignedinteger):
        return _curve(2 ** (8 * coded.dtype.itemsize) - 1)[coded]
    return _decoded(coded.astype(np.float32, copy=False))


def srgb_coded(linear: Array) -> Array:
    """Apply the transfer curve to linear light, which is clipped to [0, 1]."""
    light = np.clip(linear, 0, 1)
    power = np.power(light, np.float32(1 / 2.4))
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * power - 0.055).astype(np.float32)


@dataclass(frozen=True)
class ToneCurve:
    """What cameras do to light besides the transfer curve: dark becomes darker, white stays.

    Blur is of light; a picture shows it through this curve, and so does the picture that a scene
    is made of.

    Attributes:
        exponent: of linear light; 1 is no curve, 1.4 a picture full of contrast.
    """

    exponent: float = 1.0

    def __post_init__(self) -> None:
        if not self.exponent > 0:
            raise ValueError("exponent must be positive")

    def light(self, coded: Coded) -> Array:
        """Return the light of a picture; like `linear_light`."""
        linear = linear_light(coded)
        return linear if self.exponent == 1 else linear ** np.float32(1 / self.exponent)

    def coded(self, light: Array) -> Array:
        """Return the picture of light, which is clipped to [0, 1]; like `srgb_coded`."""
        if self.exponent == 1:
            return srgb_coded(light)
        return srgb_coded(np.clip(light, 0, 1) ** np.float32(self.exponent))


def quantised(coded: Array, bits: int) -> Array:
    """Round values in [0, 1] to the levels that integers of `bits` bits have."""
    levels = np.float32(2**bits - 1)
    return np.asarray(np.rint(np.clip(coded, 0, 1) * levels) / levels)


def _decoded(coded: Array) -> Array:
    power = np.power((np.maximum(coded, 0) + 0.055) / 1.055, 2.4)
    return np.where(coded <= 0.04045, coded / 12.92, power).astype(np.float32)


@cache
def _curve(largest: int) -> Array:
    """The linear light of every integer from 0 to `largest`."""
    return _decoded((np.arange(largest + 1) / largest).astype(np.float32))
