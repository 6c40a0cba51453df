"""Half and twice the size: means of squares, and the smooth way back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def halved(values: Array) -> Array:
    """Return the means of squares of 2x2.

    Args:
        values: HxW or HxWxC, height and width even.
    """
    height, width, *channels = values.shape
    squares = values.reshape(height // 2, 2, width // 2, 2, *channels)
    return np.asarray(squares.mean(axis=(1, 3)), np.float32)


def doubled(values: Array) -> Array:
    """Enlarge HxW or HxWxC by two with the weights 3/4 and 1/4, as JPEG decoders do."""
    for axis in (0, 1):
        edges = [(int(axis == other),) * 2 for other in range(values.ndim)]
        padded = np.moveaxis(np.pad(values, edges, mode="edge"), axis, 0)
        near = 0.75 * padded[1:-1]
        both = np.stack((near + 0.25 * padded[:-2], near + 0.25 * padded[2:]), axis=1)
        values = np.moveaxis(both.reshape(-1, *both.shape[2:]), 0, axis)
    return np.asarray(values, np.float32)
