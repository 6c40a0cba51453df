"""Sizes of pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyvips

from ifan.images.libvips import to_array, to_image


def resize(pixels: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Resample an array: Lanczos (three lobes) to make it smaller, bicubic to make it larger.

    Pixels are areas whose centres lie at half-integers, so the picture stays where it is, down and
    up again; beyond the edge the outermost pixels go on. Values are not clipped and may have any
    sign.

    Args:
        pixels: HxW or HxWxC.
        height: the new one, at least 1.
        width: the new one, at least 1.

    Returns:
        height x width, or height x width x C.
    """
    # In single precision libvips rounds positions to 1/64 pixel; in double it does not.
    image = to_image(pixels.astype(np.float32, copy=False)).cast("double")
    image = _shrink(image, min(height, image.height), min(width, image.width))
    image = _enlarge(image, height, width)
    resized: npt.NDArray[np.float32] = to_array(image.cast("float"))
    return resized.reshape(height, width, *pixels.shape[2:])


def _shrink(image: pyvips.Image, height: int, width: int) -> pyvips.Image:
    if (height, width) == (image.height, image.width):
        return image
    # Without a gap, libvips averages blocks first, which is quicker and less sharp.
    factors = (image.width / width, image.height / height)
    return image.reduce(*factors, kernel="lanczos3", gap=0)


def _enlarge(image: pyvips.Image, height: int, width: int) -> pyvips.Image:
    if (height, width) == (image.height, image.width):
        return image
    across, down = width / image.width, height / image.height
    # Not `Image.resize`, which moves an enlarged picture by half an output pixel: the centre of
    # output pixel i is that of the input pixel (i + 0.5) / factor - 0.5.
    return image.affine(
        [across, 0, 0, down],
        interpolate=pyvips.Interpolate.new("bicubic"),
        idx=0.5 - 0.5 / across,
        idy=0.5 - 0.5 / down,
        oarea=[0, 0, width, height],
        extend="copy",
    )
