"""JPEG XL files (ISO/IEC 18181): metadata, and decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ifan.images.boxes import boxes
from ifan.images.colour import display_p3
from ifan.images.errors import DecodingError
from ifan.images.heif import tiff_block
from ifan.images.icc import HDR_CURVES
from ifan.images.jpegxl_header import (
    ALPHA,
    BLACK,
    BT709,
    D65,
    P3,
    SIGNATURE,
    SRGB,
    Colours,
    Header,
    read_header,
)
from ifan.images.metadata import Metadata
from ifan.images.samples import full_range, straight
from ifan.images.tiff_structure import StructureError

# EXIF and XMP have some hundred kilobytes at most; packed ones may be made to explode.
_LARGEST_BLOCK = 1 << 24

# Where the straight part of a curve ends and how steep it is; what is added; the exponent.
_BT709_SHAPE, _SRGB_SHAPE = (0.081, 4.5, 0.099, 1 / 0.45), (0.04045, 12.92, 0.055, 2.4)


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to what libvips found in a JPEG XL file what it did not."""
    exif, xmp = _blocks(data)
    return replace(metadata, exif=exif or metadata.exif, xmp=xmp or metadata.xmp)


def is_animated(data: bytes) -> bool:
    """Tell whether a JPEG XL file is a film."""
    try:
        return read_header(data).is_animated
    except StructureError:
        return False


def decode(
    data: bytes, require: Callable[[int, int], None]
) -> tuple[npt.NDArray[np.uint8 | np.uint16 | np.float32], Metadata]:
    """Decode a JPEG XL file, with the packages `imagecodecs` and `pylibjxl`.

    Args:
        data: the whole file.
        require: called with width and height before the picture is decoded.

    Returns:
        HxWxC pixels: grey, RGB, and either with alpha, which is not multiplied into the colours;
        uint8 and uint16 in their full range, or float32. They are upright: the file says itself
        how, and the orientation in EXIF is but a copy. And the metadata.

    Raises:
        DecodingError: it is damaged, a film, or has more than colours and transparency.
        ImportError: the packages are not installed.
    """
    import imagecodecs
    import pylibjxl

    with _explained():
        header = read_header(data)
        found = pylibjxl.probe(data)
    is_float = bool(found["exponent_bits_per_sample"])
    _refuse(header, is_float=is_float)
    require(found["width"], found["height"])
    with _explained():
        pixels = imagecodecs.jpegxl_decode(data)
    pixels = pixels.reshape(found["height"], found["width"], -1)
    bits = int(found["bits_per_sample"])
    pixels = pixels.astype(np.float32, copy=False) if is_float else _whole_numbers(pixels, bits)
    exif, xmp = _blocks(data)
    return (straight(pixels) if header.is_premultiplied else pixels), Metadata(
        exif=exif,
        xmp=xmp,
        icc=_profile(data, header),
        bits=bits if 8 < bits < 16 and not is_float else None,
    )


def _refuse(header: Header, *, is_float: bool) -> None:
    if header.is_animated:
        raise DecodingError("it is an animation")
    if BLACK in header.extra:
        raise DecodingError("it is a CMYK picture")
    if header.extra not in ((), (ALPHA,)):
        raise DecodingError("it has channels beside colours and transparency")
    curve = HDR_CURVES.get(header.colours.curve)
    if curve:
        raise DecodingError(f"it is an HDR picture, with the curve {curve}")
    if header.colours.has_icc and header.is_xyb and not is_float:
        # As integers in linear light shadows have a few steps only, and sRGB not all colours.
        raise DecodingError("it would lose colours, as decoders cannot convert to its profile")


def _whole_numbers(pixels: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Scale integers to the full range of their dtype; those of more than 16 bits are floats."""
    if np.issubdtype(pixels.dtype, np.floating):
        scaled: npt.NDArray[np.uint16] = np.rint(np.clip(pixels, 0, 1) * 65535).astype(np.uint16)
        return scaled
    return full_range(pixels, bits)


def _profile(data: bytes, header: Header) -> bytes | None:
    """Return an ICC profile of what the pixels are in, None for sRGB."""
    import pylibjxl

    colours = header.colours
    if not colours.has_icc:
        return _made_profile(colours)
    if header.is_xyb:
        # The decoder does not convert to the profile, but to sRGB without its curve.
        return _made_profile(Colours(is_grey=colours.is_grey, exponent=1.0))
    with _explained():
        _, blocks = pylibjxl.decode(data, metadata=True)
    return blocks.get("icc")


def _made_profile(colours: Colours) -> bytes | None:
    import imagecodecs

    is_usual = colours.exponent is None and colours.curve != BT709 and colours.white == D65
    if is_usual and (colours.is_grey or colours.primaries == SRGB):
        return None
    if is_usual and colours.primaries == P3:
        return display_p3()
    with _explained():
        profile = imagecodecs.cms_profile(
            "gray" if colours.is_grey else "rgb",
            whitepoint=list(colours.white),
            primaries=None if colours.is_grey else list(colours.primaries),
            gamma=colours.exponent,
            transferfunction=None if colours.exponent else _curve(colours.curve),
        )
    return bytes(profile)


def _curve(code: int) -> npt.NDArray[np.uint16]:
    """Return a curve from numbers to light as a table, fine enough for 16 bits."""
    end, slope, added, exponent = _BT709_SHAPE if code == BT709 else _SRGB_SHAPE
    numbers = np.linspace(0, 1, 1024)
    bent = ((numbers + added) / (1 + added)) ** exponent
    light = np.where(numbers <= end, numbers / slope, bent)
    table: npt.NDArray[np.uint16] = np.rint(light * 65535).astype(np.uint16)
    return table


def _blocks(data: bytes) -> tuple[bytes | None, bytes | None]:
    """Find EXIF and XMP, the first of each; they may be packed."""
    found: dict[bytes, bytes] = {}
    try:
        for box in boxes(data, end=0 if data.startswith(SIGNATURE) else None):
            is_packed = box.type == b"brob"
            kind = data[box.content : box.content + 4] if is_packed else box.type
            if kind in (b"Exif", b"xml ") and kind not in found:
                content = data[box.content : box.end]
                found[kind] = _unpacked(content[4:]) if is_packed else content
    except StructureError:
        pass
    return tiff_block(found.get(b"Exif", b"")), found.get(b"xml ") or None


def _unpacked(block: bytes) -> bytes:
    try:
        import imagecodecs

        return bytes(imagecodecs.brotli_decode(block, out=_LARGEST_BLOCK))
    except (ImportError, RuntimeError, ValueError):
        return b""


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the decoders raise of a file into a `DecodingError`."""
    try:
        yield
    except (StructureError, RuntimeError, ValueError) as error:
        raise DecodingError(" ".join(str(error).split())[:120]) from error
