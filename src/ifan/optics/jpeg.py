"""The loss of JPEG compression (ITU-T T.81), without writing a file.

Everything that loses something is done, everything that does not (the entropy coding) is left out.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ifan.optics.halving import doubled, halved

Array = npt.NDArray[np.float32]

LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""Quantisation at quality 50: T.81, Table K.1."""

CHROMINANCE = np.full((8, 8), 99)
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
"""T.81, Table K.2."""

TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
"""From RGB to luminance and two colour differences (JFIF 1.02)."""


def jpeg_compressed(picture: Array, quality: int) -> Array:
    """Return a picture as JPEG would give it back, colour at half resolution (4:2:0).

    Args:
        picture: HxWx3, sRGB-coded in [0, 1].
        quality: 1 to 100, on the scale of libjpeg.

    Raises:
        ValueError: a quality that does not exist.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"JPEG quality is 1 to 100, not {quality}")
    height, width = picture.shape[:2]
    edges = ((0, -height % 16), (0, -width % 16), (0, 0))
    ycc = np.pad(picture * 255, edges, mode="edge") @ TO_YCC.T
    luminance = _lossy(ycc[..., 0] - 128, LUMINANCE, quality) + 128
    differences = [
        doubled(_lossy(halved(ycc[..., channel]), CHROMINANCE, quality)) for channel in (1, 2)
    ]
    rgb = np.stack((luminance, *differences), axis=-1) @ np.linalg.inv(TO_YCC).T
    return np.asarray(np.clip(np.rint(rgb[:height, :width]), 0, 255) / 255, np.float32)


def _lossy(plane: Array, table: npt.NDArray[np.int64], quality: int) -> Array:
    """Quantise the cosine transform of each block of 8x8."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    steps = np.clip(np.floor((table * scale + 50) / 100), 1, 255).astype(np.float32)
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    blocks = plane.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    transform = _cosine_transform()
    coefficients = np.rint(transform @ blocks @ transform.T / steps) * steps
    restored = transform.T @ coefficients @ transform
    return np.asarray(restored, np.float32).transpose(0, 2, 1, 3).reshape(plane.shape)


@cache
def _cosine_transform() -> Array:
    """The orthonormal 8x8 matrix of T.81, A.3.3."""
    k, n = np.mgrid[:8, :8]
    matrix = np.cos((2 * n + 1) * k * np.pi / 16) / 2
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)
