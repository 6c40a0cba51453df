"""Small ICC profiles (ICC.1:2010, version 4), made of what a file says of its colours in numbers.

They are for pictures that name primaries and a curve instead of carrying a profile.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

D65 = (0.3127, 0.329)
SRGB = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
# Of curves named "sRGB": exponent, slope and offset of the bent part, slope of the straight part
# and where it ends.
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_HEADER = 128
_TRISTIMULUS = ("rXYZ", "gXYZ", "bXYZ")
_CURVES = ("rTRC", "gTRC", "bTRC")


class Colours(NamedTuple):
    """What numbers of a picture mean.

    Attributes:
        white: chromaticity x, y of equal numbers.
        primaries: chromaticities x, y of red, green and blue.
        exponent: of the curve from numbers to light; None for the curve of sRGB.
    """

    white: tuple[float, ...] = D65
    primaries: tuple[float, ...] = SRGB
    exponent: float | None = None


_P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
DISPLAY_P3 = Colours(primaries=_P3)

SPACES: Mapping[int, Colours] = {
    1: Colours(),
    2: Colours(),
    9: Colours(primaries=(0.708, 0.292, 0.17, 0.797, 0.131, 0.046)),
    11: Colours(white=(0.314, 0.351), primaries=_P3),
    12: DISPLAY_P3,
}
"""By the code for primaries of ITU-T H.273: sRGB, and unknown; BT.2020; DCI-P3; Display P3."""

EXPONENTS: Mapping[int, float] = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
"""By the code for curves of ITU-T H.273."""

SRGB_CURVES = (1, 2, 6, 13, 14, 15)
"""Codes for the curve of sRGB, and for those of television, which are as good as that."""

HDR_CURVES: Mapping[int, str] = {16: "PQ", 18: "HLG"}
"""Codes for curves whose numbers go beyond what a screen shows as white."""


def profile(colours: Colours, *, is_grey: bool) -> bytes:
    """Return an ICC profile of RGB or grey pictures.

    Args:
        colours: what their numbers mean; of grey ones the primaries are of no matter.
        is_grey: which of the two.

    Raises:
        ValueError: no colours can have these chromaticities.
    """
    adapted = _adaptation(colours.white)
    curve = _curve(colours.exponent)
    tags = {
        "desc": _text(_description(colours, is_grey=is_grey)),
        "cprt": _text("CC0"),
        # The pictures are adapted to D50, which is white then, and `chad` tells from where.
        "wtpt": _xyz(_D50),
        "chad": b"sf32\0\0\0\0" + _fixed(adapted.ravel()),
    }
    if is_grey:
        return _assembled("GRAY", {**tags, "kTRC": curve})
    columns = (adapted @ _matrix(colours)).T
    tags |= {name: _xyz(column) for name, column in zip(_TRISTIMULUS, columns, strict=True)}
    return _assembled("RGB ", {**tags, **dict.fromkeys(_CURVES, curve)})


def _assembled(space: str, tags: dict[str, bytes]) -> bytes:
    """Put header, table and values together; equal values are there once."""
    directory, values = b"", b""
    places: dict[bytes, int] = {}
    start = _HEADER + 4 + 12 * len(tags)
    for name, value in tags.items():
        if value not in places:
            places[value] = start + len(values)
            values += value + bytes(-len(value) % 4)
        directory += struct.pack(">4sLL", name.encode(), places[value], len(value))
    size = start + len(values)
    version, day = 0x04300000, (2021, 6, 22, 0, 0, 0)
    kind = (b"mntr", space.encode(), b"XYZ ")
    header = struct.pack(">L4xL4s4s4s6H4s", size, version, *kind, *day, b"acsp").ljust(68, b"\0")
    header = (header + _fixed(_D50)).ljust(_HEADER, b"\0")
    return header + struct.pack(">L", len(tags)) + directory + values


def _description(colours: Colours, *, is_grey: bool) -> str:
    curve = "sRGB curve" if colours.exponent is None else f"gamma {colours.exponent:.4g}"
    if is_grey:
        return f"Grey, {curve}"
    return f"RGB {' '.join(f'{number:.4g}' for number in colours.primaries)}, {curve}"


def _matrix(colours: Colours) -> npt.NDArray[np.float64]:
    """Return the matrix from linear RGB to XYZ, in which equal numbers are `white`."""
    x, y = np.array(colours.primaries).reshape(3, 2).T
    corners = np.stack([x, y, 1 - x - y])
    try:
        light: npt.NDArray[np.float64] = corners * np.linalg.solve(corners, _tristimulus(colours))
    except np.linalg.LinAlgError as error:
        raise ValueError("primaries that lie on a line") from error
    return light


def _tristimulus(colours: Colours) -> npt.NDArray[np.float64]:
    x, y = colours.white
    if y <= 0:
        raise ValueError("a white without light")
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adaptation(white: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Return the matrix (Bradford) that makes colours seen under `white` those under D50."""
    cones = _BRADFORD @ _tristimulus(Colours(white=white))
    if (cones <= 0).any():
        raise ValueError("a white that nobody sees")
    scale = np.diag((_BRADFORD @ _D50) / cones)
    adapted: npt.NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD
    return adapted


def _curve(exponent: float | None) -> bytes:
    numbers, kind = (_SRGB_CURVE, 3) if exponent is None else ((exponent,), 0)
    return b"para" + struct.pack(">4xHxx", kind) + _fixed(numbers)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xLL4sLL", 1, 12, b"enUS", len(encoded), 28) + encoded


def _xyz(numbers: Iterable[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(numbers)


def _fixed(numbers: Iterable[float]) -> bytes:
    """Write numbers as ICC's s15Fixed16Number.

    Raises:
        ValueError: one is too large.
    """
    try:
        return b"".join(struct.pack(">l", round(number * 65536)) for number in numbers)
    except (struct.error, OverflowError) as error:
        raise ValueError("colours beyond all measure") from error
