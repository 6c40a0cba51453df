"""The header of a coded JPEG XL picture (ISO/IEC 18181-1, annexes A to E).

The decoders that Python has give pixels, but of their colours only an ICC profile, if the file has
one. Mostly it has a few codes in its header instead.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from ifan.images.boxes import boxes
from ifan.images.tiff_structure import StructureError

SIGNATURE = b"\xff\x0a"
# Mostly a header has some dozen bytes; names of channels can make it longer.
_LONGEST_HEADER = 1 << 16

# Numbers are written as two bits that choose, and as many more as the choice says: (least, bits).
_Choices: TypeAlias = tuple[tuple[int, int], ...]
_CODE: _Choices = ((0, 0), (1, 0), (2, 4), (18, 6))
_SIZE: _Choices = ((1, 9), (1, 13), (1, 18), (1, 30))
_BITS: _Choices = ((8, 0), (10, 0), (12, 0), (1, 6))
_FLOAT_BITS: _Choices = ((32, 0), (16, 0), (24, 0), (1, 6))
_COORDINATE: _Choices = ((0, 19), (1 << 19, 19), (1 << 20, 20), (1 << 21, 21))
_CHANNELS: _Choices = ((0, 0), (1, 0), (2, 4), (1, 12))
_SHIFT: _Choices = ((0, 0), (3, 0), (4, 0), (1, 3))
_NAME: _Choices = ((0, 0), (0, 4), (16, 5), (48, 10))
_FILTER: _Choices = ((1, 0), (0, 2), (3, 4), (19, 8))
_PREVIEW_8: _Choices = ((16, 0), (32, 0), (1, 5), (33, 9))
_PREVIEW: _Choices = ((1, 6), (65, 8), (321, 10), (1345, 12))
_TICKS: _Choices = ((100, 0), (1000, 0), (1, 10), (1, 30))
_TICK_PARTS: _Choices = ((1, 0), (1001, 0), (1, 8), (1, 10))
_LOOPS: _Choices = ((0, 0), (0, 3), (0, 16), (0, 32))

# Codes of what extra channels are, and of colours; the latter mostly as in ITU-T H.273.
ALPHA, BLACK = 0, 4
_SPOT, _MOSAIC = 2, 5
_GREY, _XYB = 1, 2
_CUSTOM = 2
D65 = (0.3127, 0.329)
_WHITES = {1: D65, 10: (1 / 3, 1 / 3), 11: (0.314, 0.351)}
SRGB = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
_PRIMARIES = {1: SRGB, 9: (0.708, 0.292, 0.17, 0.797, 0.131, 0.046), 11: P3}
BT709 = 1
_UNKNOWN, _SRGB_CURVE = 2, 13
_EXPONENTS = {8: 1.0, 17: 2.6}


class Colours(NamedTuple):
    """How numbers become light.

    Attributes:
        has_icc: an ICC profile says it, and nothing that follows here.
        is_grey: there is but one channel.
        white: its chromaticity, x and y.
        primaries: those of red, green and blue.
        curve: the code of the curve from numbers to light.
        exponent: that of the curve where it is a power, else None.
    """

    has_icc: bool = False
    is_grey: bool = False
    white: tuple[float, ...] = D65
    primaries: tuple[float, ...] = SRGB
    curve: int = _SRGB_CURVE
    exponent: float | None = None


class Header(NamedTuple):
    """What the header of a picture tells.

    Attributes:
        is_animated: it is a film.
        extra: what the channels beside the colours are, in the codes of the standard.
        is_premultiplied: the colours are multiplied with alpha.
        is_xyb: the picture is kept in the colours of the eye, and converted when decoded.
        colours: what the file says its numbers mean.
    """

    is_animated: bool = False
    extra: tuple[int, ...] = ()
    is_premultiplied: bool = False
    is_xyb: bool = True
    colours: Colours = Colours()


def read_header(data: bytes) -> Header:
    """Read the header of a JPEG XL file, as far as it is of use here.

    Raises:
        StructureError: there is none.
    """
    bits = _Bits(_beginning(data))
    if bits.take(16) != int.from_bytes(SIGNATURE, "little"):
        raise StructureError("no JPEG XL header")
    _skip_size(bits)
    if bits.take(1):
        return Header()
    film = _skip_extra_fields(bits) if bits.take(1) else False
    _skip_depth(bits)
    bits.take(1)
    channels = [_extra_channel(bits) for _ in range(bits.number(_CHANNELS))]
    return Header(
        is_animated=film,
        extra=tuple(kind for kind, _ in channels),
        is_premultiplied=any(associated for _, associated in channels),
        is_xyb=bool(bits.take(1)),
        colours=Colours() if bits.take(1) else _colours(bits),
    )


class _Bits:
    """Reads bits, the least of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> int:
        """Read a number of up to 32 bits."""
        byte, shift = divmod(self._position, 8)
        self._position += count
        if self._position > 8 * len(self._data):
            raise StructureError("the header is cut short")
        return int.from_bytes(self._data[byte : byte + 5], "little") >> shift & (1 << count) - 1

    def number(self, choices: _Choices) -> int:
        """Read a number written in one of four ways."""
        least, count = choices[self.take(2)]
        return least + self.take(count)


def _beginning(data: bytes) -> bytes:
    """Return the beginning of the coded picture, which may lie in boxes, and in several."""
    if data.startswith(SIGNATURE):
        return data[:_LONGEST_HEADER]
    found = b""
    for box in boxes(data):
        if box.type == b"jxlc":
            return data[box.content : min(box.end, box.content + _LONGEST_HEADER)]
        if box.type == b"jxlp":
            # Four bytes number the parts, which lie in their order.
            found += data[box.content + 4 : min(box.end, box.content + 4 + _LONGEST_HEADER)]
        if len(found) >= _LONGEST_HEADER:
            break
    return found


def _skip_size(bits: _Bits) -> None:
    is_small = bits.take(1)
    for is_width in (False, True):
        # The width may be a ratio of the height instead.
        if not is_width or not bits.take(3):
            bits.take(5) if is_small else bits.number(_SIZE)


def _skip_extra_fields(bits: _Bits) -> bool:
    """Skip orientation, size to show, preview and film; return whether it is a film."""
    bits.take(3)
    if bits.take(1):
        _skip_size(bits)
    if bits.take(1):
        choices = _PREVIEW_8 if bits.take(1) else _PREVIEW
        bits.number(choices)
        if not bits.take(3):
            bits.number(choices)
    if not bits.take(1):
        return False
    for choices in (_TICKS, _TICK_PARTS, _LOOPS):
        bits.number(choices)
    bits.take(1)
    return True


def _skip_depth(bits: _Bits) -> None:
    if bits.take(1):
        bits.number(_FLOAT_BITS)
        bits.take(4)
    else:
        bits.number(_BITS)


def _extra_channel(bits: _Bits) -> tuple[int, bool]:
    """Read what a channel is, and for alpha whether the colours are multiplied with it."""
    if bits.take(1):
        return ALPHA, False
    kind = bits.number(_CODE)
    _skip_depth(bits)
    bits.number(_SHIFT)
    for _ in range(bits.number(_NAME)):
        bits.take(8)
    if kind == _SPOT:
        for _ in range(4):
            bits.take(16)
    if kind == _MOSAIC:
        bits.number(_FILTER)
    return kind, kind == ALPHA and bool(bits.take(1))


def _colours(bits: _Bits) -> Colours:
    has_icc, space = bool(bits.take(1)), bits.number(_CODE)
    is_grey = space == _GREY
    if has_icc or space == _XYB:
        return Colours(has_icc, is_grey)
    code = bits.number(_CODE)
    white = _chromaticities(bits, 1) if code == _CUSTOM else _WHITES.get(code)
    primaries: tuple[float, ...] | None = SRGB
    if not is_grey:
        code = bits.number(_CODE)
        primaries = _chromaticities(bits, 3) if code == _CUSTOM else _PRIMARIES.get(code)
    if white is None or primaries is None:
        raise StructureError("its colours are of an unknown kind")
    if bits.take(1):
        # The exponent is that from light to numbers, in ten millionths.
        exponent = 1e7 / max(bits.take(24), 1)
        return Colours(False, is_grey, white, primaries, _UNKNOWN, exponent)
    curve = bits.number(_CODE)
    return Colours(False, is_grey, white, primaries, curve, _EXPONENTS.get(curve))


def _chromaticities(bits: _Bits, count: int) -> tuple[float, ...]:
    """Read pairs of x and y, in millionths; the lowest bit is the sign."""
    numbers = [bits.number(_COORDINATE) for _ in range(2 * count)]
    return tuple((-(number + 1) // 2 if number & 1 else number // 2) / 1e6 for number in numbers)
