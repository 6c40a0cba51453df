"""Smooth random fields, of which depths and outlines are made."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float32]


def smooth_noise(random: np.random.Generator, height: int, width: int, period: float) -> Array:
    """Return a random field, HxW, whose hills are about `period` pixels wide.

    A cubic B-spline through normally distributed control points: twice differentiable. Mean 0, and
    a standard deviation of about 0.5.
    """
    rows, columns = (int(np.ceil(size / period)) + 3 for size in (height, width))
    points = random.standard_normal((rows, columns), np.float32)
    field = np.empty((height, width), np.float32)
    _spline(points, period, field)
    return field


def between_0_and_1(field: Array) -> Array:
    """Scale a field so that it takes all values from 0 to 1; one that is flat becomes 0."""
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / max(high - low, 1e-6), np.float32)


@njit(cache=True, nogil=True)
def _weights(position, weights):  # type: ignore[no-untyped-def]
    """Write the weights of four control points for a position between the middle two, 0 to 1."""
    rest = 1 - position
    weights[0] = rest**3 / 6
    weights[1] = 2 / 3 - position**2 + position**3 / 2
    weights[2] = 2 / 3 - rest**2 + rest**3 / 2
    weights[3] = position**3 / 6


@njit(cache=True, nogil=True)
def _spline(points, period, field):  # type: ignore[no-untyped-def]
    height, width = field.shape
    row = np.empty(points.shape[1], np.float32)
    weights = np.empty(4, np.float32)
    for y in range(height):
        top = int(y / period)
        _weights(y / period - top, weights)
        for point in range(row.size):
            row[point] = 0
            for tap in range(4):
                row[point] += weights[tap] * points[top + tap, point]
        for x in range(width):
            left = int(x / period)
            _weights(x / period - left, weights)
            value = np.float32(0)
            for tap in range(4):
                value += weights[tap] * row[left + tap]
            field[y, x] = value
