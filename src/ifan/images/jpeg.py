"""Metadata in JPEG files: the segments before the picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from ifan.images import iptc
from ifan.images.metadata import Density, DoesNotFitError, Metadata

_APP0, _APP1, _APP13, _COM, _SOS = 0xE0, 0xE1, 0xED, 0xFE, 0xDA
# Markers without a length: restarts and the start of the image.
_BARE = {0x01, *range(0xD0, 0xD9)}
_FILL = 0xFF
_LARGEST = 65533
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to what libvips found in a JPEG file what it did not, and unwrap the IPTC records."""
    density, comment = None, None
    for marker, payload in _segments(data):
        # Without unit (the byte after "JFIF\0" and the version) the numbers are but a ratio.
        if marker == _APP0 and payload[:5] == b"JFIF\0" and payload[7:8] != b"\0":
            density = metadata.density
        if marker == _COM and comment is None:
            comment = payload.rstrip(b"\0").decode("utf-8", "replace")
    return replace(
        metadata,
        iptc=iptc.from_photoshop(metadata.iptc) if metadata.iptc else None,
        # libvips takes 72 per inch for granted; EXIF does too.
        density=metadata.density if metadata.exif else density,
        comment=comment,
    )


def embed(data: bytes, metadata: Metadata) -> bytes:
    """Put the metadata into a JPEG file that libvips wrote.

    Raises:
        DoesNotFitError: a block is too large. Those of a JPEG photograph never are.
    """
    added = [_segment("density", _APP0, _jfif(metadata.density))]
    if metadata.exif:
        added.append(_segment("EXIF", _APP1, b"Exif\0\0" + metadata.exif))
    if metadata.xmp:
        added.append(_segment("XMP", _APP1, _XMP + metadata.xmp))
    if metadata.iptc:
        added.append(_segment("IPTC", _APP13, iptc.to_photoshop(metadata.iptc)))
    if metadata.comment:
        added.append(_segment("comment", _COM, metadata.comment.encode()))
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


def _segment(name: str, marker: int, payload: bytes) -> bytes:
    if len(payload) > _LARGEST:
        raise DoesNotFitError(f"its {name} metadata ({len(payload)} bytes) do not fit in a JPEG")
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _jfif(density: Density | None) -> bytes:
    unit, x, y = 0, 1, 1
    if density is not None:
        unit, per_millimetre = (2, 10.0) if density.unit == "cm" else (1, 25.4)
        x, y = (min(max(round(value * per_millimetre), 1), 65535) for value in density[:2])
    return b"JFIF\0" + struct.pack(">HBHHBB", 0x0102, unit, x, y, 0, 0)
