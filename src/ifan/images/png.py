"""Metadata in PNG files: the chunks around the picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

from ifan.images import iptc
from ifan.images.metadata import Density, Metadata

_BEGIN = 8
# They say how numbers become light; without them a picture looks different.
_COLOUR = {b"gAMA", b"cHRM", b"sRGB", b"cICP"}
TEXT = {b"tEXt", b"zTXt", b"iTXt"}
_COMMENT = b"Comment\0"
_XMP = b"XML:com.adobe.xmp\0"
_IPTC = b"Raw profile type iptc\0"
# What is kept apart or, as copies of EXIF and XMP in digits, still tells the old orientation.
_APART: tuple[bytes, ...] = (_XMP, _IPTC, b"Raw profile type exif\0", b"Raw profile type APP1\0")
_APART += (b"Raw profile type xmp\0", b"Raw profile type icc\0")
# IPTC records are some kilobytes; a chunk may be made to explode.
_LARGEST_TEXT = 1 << 22


def is_animated(data: bytes) -> bool:
    """Tell whether a PNG file holds more than one picture (APNG)."""
    return any(name == b"acTL" for name, _ in _chunks(data))


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to what libvips found in a PNG file what it did not."""
    density, comment, records = None, None, None
    kept = []
    for name, content in _chunks(data):
        if name == b"pHYs" and len(content) == 9 and content[8] == 1:
            # Not as libvips has it: that of EXIF goes first there, and is mostly a mere default.
            density = _density(*struct.unpack_from(">LL", content))
        elif name == b"tEXt" and content.startswith(_COMMENT) and comment is None:
            comment = content[len(_COMMENT) :].decode("latin-1")
        elif name in TEXT and content.startswith(_IPTC):
            records = iptc.from_text(_plain(name, content[len(_IPTC) :]))
        elif name in _COLOUR or (name in TEXT and not content.startswith(_APART)):
            kept.append((name, content))
    return replace(metadata, iptc=records, density=density, comment=comment, png_chunks=tuple(kept))


def embed(data: bytes, metadata: Metadata) -> bytes:
    """Put the metadata into a PNG file that libvips wrote."""
    added = list(metadata.png_chunks)
    if metadata.exif:
        added.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        # Not compressed, as the XMP specification wants it; no language, no translated keyword.
        added.append((b"iTXt", _XMP + b"\0\0\0\0" + metadata.xmp))
    if metadata.iptc:
        added.append((b"tEXt", _IPTC + iptc.to_text(metadata.iptc).encode("ascii")))
    if metadata.comment:
        added.append(_comment(metadata.comment))
    # libvips has written a density out of nothing if there is none.
    unwanted = {b"pHYs"} if metadata.density is None else set()
    unwanted |= {name for name, _ in added if name not in TEXT}
    kept = [chunk for chunk in _chunks(data) if chunk[0] not in unwanted]
    header, *rest = kept
    return data[:_BEGIN] + b"".join(_chunk(*chunk) for chunk in (header, *added, *rest))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk through the chunks."""
    position = _BEGIN
    while position + 12 <= len(data):
        size, name = struct.unpack_from(">L4s", data, position)
        yield name, data[position + 8 : position + 8 + size]
        position += 12 + size


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", checksum)


def _density(across: int, down: int) -> Density:
    """Read pixels per metre; 11811 are 300 per inch, not the 299.9994 that they come to."""
    inches = [number * 0.0254 for number in (across, down)]
    x, y = (round(inch) if abs(inch - round(inch)) < 0.0127 else inch for inch in inches)
    return Density(x / 25.4, y / 25.4, "in")


def _plain(name: bytes, content: bytes) -> str:
    """Return the text of a tEXt or zTXt chunk, without its keyword."""
    if name != b"zTXt":
        return content.decode("latin-1")
    try:
        # The first byte is the method, of which there is one.
        return zlib.decompressobj().decompress(content[1:], _LARGEST_TEXT).decode("latin-1")
    except zlib.error:
        return ""


def _comment(text: str) -> tuple[bytes, bytes]:
    """Return the chunk that holds a comment; only one kind goes beyond Latin-1."""
    try:
        return b"tEXt", _COMMENT + text.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", _COMMENT + b"\0\0\0\0" + text.encode()
