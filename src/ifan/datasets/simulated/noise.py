"""Smooth random fields, of which depths and outlines are made."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def smooth_noise(
    random: np.random.Generator, height: int, width: int, period: float
) -> Array:
    """Return a random field, HxW, whose hills are about `period` pixels wide.

    A cubic B-spline through normally distributed control points: twice differentiable. Mean 0, and
    a standard deviation of about 0.5.
    """
    down, across = _b_spline(height, period), _b_spline(width, period)
    points = random.standard_normal((down.shape[1], across.shape[1]), np.float32)
    return np.asarray(down @ points @ across.T)


def between_0_and_1(field: Array) -> Array:
    """Scale a field so that it takes all values from 0 to 1; one that is flat becomes 0."""
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / max(high - low, 1e-6), np.float32)


def _b_spline(size: int, period: float) -> Array:
    """Return the weights of control points, `period` apart, for each of `size` pixels."""
    position = np.arange(size, dtype=np.float32)[:, None] / np.float32(period)
    points = np.arange(int(np.ceil(size / period)) + 3, dtype=np.float32)[None, :] - 1
    distance = np.abs(position - points)
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.maximum(2 - distance, 0) ** 3 / 6
    return np.asarray(np.where(distance < 1, inner, outer), np.float32)
