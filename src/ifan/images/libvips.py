"""How arrays and errors cross the border to libvips."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

# libvips keeps its last hundred operations with their pictures, in case they are asked for again.
# No photograph here is, and a server must not hold those it has answered.
pyvips.cache_set_max(0)

_BAND_FORMATS = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
_DTYPES = {name: dtype for dtype, name in _BAND_FORMATS.items()}

# "VipsJpeg: premature end of JPEG image": who says it is of no use to who reads it.
_SPEAKER = re.compile(r"^\w+: ")


def to_image(array: npt.NDArray[Any]) -> pyvips.Image:
    """Wrap an HxW or HxWxC array of uint8, uint16 or float32."""
    array = np.ascontiguousarray(array)
    height, width = array.shape[:2]
    bands = array.shape[2] if array.ndim == 3 else 1
    # As bytes, which pyvips keeps alive as long as the image.
    data = array.data.cast("B")
    return pyvips.Image.new_from_memory(data, width, height, bands, _BAND_FORMATS[array.dtype.name])


def to_array(image: pyvips.Image) -> npt.NDArray[Any]:
    """Compute an image: HxWxC, of uint8, uint16 or float32. Raises `pyvips.Error`."""
    data = np.frombuffer(image.write_to_memory(), dtype=_DTYPES[image.format])
    return data.reshape(image.height, image.width, image.bands)


def explain(error: pyvips.Error) -> str:
    """Make one short line of the several of an error of libvips."""
    lines = [_SPEAKER.sub("", line.strip()) for line in str(error).splitlines()]
    # The first line says which operation failed, which the user has not asked for.
    said = [line for line in lines[1:] if line]
    return said[0][:120] if said else "libvips does not say why"
