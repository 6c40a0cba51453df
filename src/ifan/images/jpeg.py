"""Metadata in JPEG files: the segments before the picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from ifan.images import exif, iptc
from ifan.images.metadata import Density, DoesNotFitError, Metadata

_APP0, _APP1, _APP13, _COM, _SOS, _DQT = 0xE0, 0xE1, 0xED, 0xFE, 0xDA, 0xDB
# Markers without a length: restarts and the start of the image.
_BARE = {0x01, *range(0xD0, 0xD9)}
_FILL = 0xFF
_LARGEST = 65533
_EXIF = b"Exif\0\0"
LARGEST_EXIF = _LARGEST - len(_EXIF)
"""Bytes of an EXIF block that fit into a file."""

# Tables K.1 and K.2 of the JPEG standard (ITU-T T.81), row by row, which writers scale by quality.
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *([99] * 32),
)
# Where in a table each number of the file's zigzag order belongs.
_ZIGZAG = sorted(
    range(64),
    key=lambda at: (sum(divmod(at, 8)), at // 8 if sum(divmod(at, 8)) % 2 else at % 8),
)
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_INCHES, _CENTIMETRES = 1, 2


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to what libvips found in a JPEG file what it did not, and unwrap the IPTC records."""
    density, comments, photoshop, has_extended_xmp = None, [], [], False
    tables: dict[int, list[int]] = {}
    for marker, payload in _segments(data):
        if marker == _APP0 and payload[:5] == b"JFIF\0":
            density = _density(payload)
        if marker == _DQT:
            tables |= _quantisation(payload)
        if marker == _COM:
            comments.append(payload)
        if marker == _APP13 and payload.startswith(iptc.PHOTOSHOP):
            photoshop.append(payload.removeprefix(iptc.PHOTOSHOP))
        if marker == _APP1 and payload.startswith(_EXTENDED_XMP):
            has_extended_xmp = True
    return replace(
        metadata,
        # What one segment cannot hold goes on in the next.
        iptc=iptc.from_photoshop(b"".join(photoshop)),
        # Not as libvips has it, which takes 72 per inch for granted. EXIF goes first.
        density=(exif.density_of(metadata.exif) if metadata.exif else None) or density,
        comments=tuple(comments),
        jpeg_quality=_quality(tables),
        has_extended_xmp=has_extended_xmp,
    )


def fitting(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """Leave out what is larger than a segment can be, of EXIF the maker notes alone if that does.

    Returns:
        What fits, and the names of what is lost.
    """
    kept, lost = metadata, []
    block = metadata.exif and exif.within(metadata.exif, LARGEST_EXIF)
    if block != metadata.exif:
        lost.append(
            "maker notes" if block else f"EXIF metadata ({len(metadata.exif or b'')} bytes)"
        )
        kept = replace(kept, exif=block)
    if metadata.xmp and len(_XMP + metadata.xmp) > _LARGEST:
        lost.append(f"XMP metadata ({len(metadata.xmp)} bytes)")
        kept = replace(kept, xmp=None)
    if metadata.iptc and len(iptc.to_photoshop(metadata.iptc)) > _LARGEST:
        lost.append(f"IPTC records ({len(metadata.iptc)} bytes)")
        kept = replace(kept, iptc=None)
    return kept, lost


def embed(data: bytes, metadata: Metadata) -> bytes:
    """Put the metadata into a JPEG file that libvips wrote.

    Raises:
        DoesNotFitError: a block is too large: `fitting` was not asked, or it is a comment.
    """
    added = [_segment("density", _APP0, _jfif(metadata.density))]
    if metadata.exif:
        added.append(_segment("EXIF", _APP1, _EXIF + metadata.exif))
    if metadata.xmp:
        added.append(_segment("XMP", _APP1, _XMP + metadata.xmp))
    if metadata.iptc:
        added.append(_segment("IPTC", _APP13, iptc.to_photoshop(metadata.iptc)))
    added += [_segment("comment", _COM, comment) for comment in metadata.comments]
    return b"".join([data[:2], *added, data[2:]])


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk through the segments before the picture."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == _SOS:
            return
        if marker == _FILL or marker in _BARE:
            position += 1 if marker == _FILL else 2
            continue
        (size,) = struct.unpack_from(">H", data, position + 2)
        yield marker, data[position + 4 : position + 2 + size]
        position += 2 + max(size, 2)


def _quantisation(payload: bytes) -> dict[int, list[int]]:
    """Read a segment of quantisation tables: number, and 64 steps row by row."""
    tables = {}
    while len(payload) > 64:
        is_wide, number = divmod(payload[0], 16)
        size = 128 if is_wide else 64
        steps = payload[1 : 1 + size]
        if len(steps) < size:
            break
        zigzag = struct.unpack(">64H", steps) if is_wide else tuple(steps)
        table = [0] * 64
        for place, step in zip(_ZIGZAG, zigzag, strict=True):
            table[place] = step
        tables[number] = table
        payload = payload[1 + size :]
    return tables


def _quality(tables: dict[int, list[int]]) -> int | None:
    """Return the least quality whose steps are nowhere larger than those of the tables."""
    if not tables:
        return None
    for quality in range(1, 100):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        if all(
            min(max((step * scale + 50) // 100, 1), 255) <= theirs
            for number, table in tables.items()
            for step, theirs in zip(_CHROMINANCE if number else _LUMINANCE, table, strict=True)
        ):
            return quality
    return 100


def _segment(name: str, marker: int, payload: bytes) -> bytes:
    if len(payload) > _LARGEST:
        raise DoesNotFitError(f"its {name} metadata ({len(payload)} bytes) do not fit in a JPEG")
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _density(payload: bytes) -> Density | None:
    """Read the density in a JFIF segment; without unit its numbers are but a ratio."""
    if len(payload) < 12:
        return None
    unit, x, y = struct.unpack_from(">BHH", payload, 7)
    if not x or not y or unit not in (_INCHES, _CENTIMETRES):
        return None
    per_millimetre, name = (25.4, "in") if unit == _INCHES else (10.0, "cm")
    return Density(x / per_millimetre, y / per_millimetre, name)


def _jfif(density: Density | None) -> bytes:
    unit, x, y = 0, 1, 1
    if density is not None:
        is_metric = density.unit == "cm"
        unit, per_millimetre = (_CENTIMETRES, 10.0) if is_metric else (_INCHES, 25.4)
        x, y = (min(max(round(value * per_millimetre), 1), 65535) for value in density[:2])
    return b"JFIF\0" + struct.pack(">HBHHBB", 0x0102, unit, x, y, 0, 0)
