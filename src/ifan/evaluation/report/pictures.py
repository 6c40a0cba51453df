"""Pictures inside a report: small copies, and maps of where a result is wrong."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ifan.evaluation.protocol import Values
from ifan.images import FORMATS, Metadata, Photograph, encode_photograph, resize
from ifan.tiling import fitted_size

LARGEST_ERROR = 0.25
"""Mean absolute difference over RGB that has the last colour of an error map."""

# From no error to the largest: near black, violet, red, orange, pale yellow.
_COLOURS = np.array(
    [(12, 8, 38), (86, 20, 110), (187, 55, 84), (249, 142, 9), (252, 255, 190)], np.float32
)

_LONG_SIDE = 900


def embedded(values: Values) -> str:
    """Return a picture as the address of an image in a page, of at most 900 pixels.

    Args:
        values: HxWx3 in [0, 1].
    """
    small = resized(values)
    return _address(np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8))


def error_map(result: Values, target: Values) -> str:
    """Return where and how much a result differs from its target, as `embedded` does.

    Args:
        result: HxWx3 in [0, 1].
        target: the same.
    """
    errors = np.abs(result - target).mean(axis=2, keepdims=True)
    position = np.clip(resized(errors)[..., 0] / LARGEST_ERROR, 0, 1)
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(position, stops, _COLOURS[:, channel]) for channel in range(3)]
    return _address(np.rint(np.stack(channels, axis=-1)).astype(np.uint8))


def error_colours() -> list[str]:
    """Return the colours of the scale of error maps, as CSS has them."""
    return [f"rgb({red:.0f} {green:.0f} {blue:.0f})" for red, green, blue in _COLOURS]


def resized(values: Values) -> Values:
    """Return a smaller copy of what is larger than 900 pixels."""
    height, width = fitted_size(values.shape[0], values.shape[1], _LONG_SIDE)
    return values if values.shape[:2] == (height, width) else resize(values, height, width)


def _address(pixels: npt.NDArray[np.uint8]) -> str:
    picture = Photograph(pixels, None, "PNG", Metadata(), Path("report"))
    data = encode_photograph(picture, FORMATS["WebP"], "report")
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
