"""The sRGB transfer curve (IEC 61966-2-1): between coded values and linear light."""

from __future__ import annotations

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
