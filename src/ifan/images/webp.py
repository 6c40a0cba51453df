"""Metadata in WebP files: the chunks of a RIFF container around the picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from ifan.images.metadata import DoesNotFitError, Metadata
from ifan.images.tiff_structure import StructureError

_Chunk: TypeAlias = tuple[bytes, bytes]
_BEGIN = 12
_LARGEST = (1 << 32) - 10
_EXIF, _XMP = b"EXIF", b"XMP "
_PICTURE = {b"VP8 ", b"VP8L"}
# Flags in the first byte of the chunk VP8X.
_FLAGS = {b"ICCP": 0x20, b"ALPH": 0x10, _EXIF: 0x08, _XMP: 0x04}


def is_animated(data: bytes) -> bool:
    """Tell whether a WebP file holds more than one picture."""
    return sum(name == b"ANMF" for name, _ in _chunks(data)) > 1


def is_lossless(data: bytes) -> bool:
    """Tell whether the picture of a WebP file is coded without loss."""
    return next((name for name, _ in _chunks(data) if name in _PICTURE), None) == b"VP8L"


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to what libvips found in a WebP file what it did not."""
    # libvips believes the flags, which some writers forget to set.
    return replace(
        metadata,
        exif=metadata.exif or exif_of(data),
        xmp=metadata.xmp or _content(data, _XMP),
        is_lossless=is_lossless(data),
    )


def exif_of(data: bytes) -> bytes | None:
    """Find the EXIF block of a WebP file, whatever its flags say."""
    return (_content(data, _EXIF) or b"").removeprefix(b"Exif\0\0") or None


def _content(data: bytes, name: bytes) -> bytes | None:
    """Return the content of the first chunk of a name that has any."""
    found = (content for kind, content in _chunks(data) if kind == name and content)
    return next(found, None)


def embed(data: bytes, metadata: Metadata) -> bytes:
    """Put EXIF and XMP into a WebP file that libvips wrote.

    Raises:
        DoesNotFitError: the file would be larger than WebP can be. That of a photograph never is.
        StructureError: it is not such a file.
    """
    blocks = [(_EXIF, metadata.exif), (_XMP, metadata.xmp)]
    added = [(name, block) for name, block in blocks if block]
    if not added:
        return data
    kept = [chunk for chunk in _chunks(data) if chunk[0] not in (_EXIF, _XMP)]
    header, rest = _extended_header(kept)
    flags = header[0] & ~(_FLAGS[_EXIF] | _FLAGS[_XMP])
    for kind, _ in (*rest, *added):
        flags |= _FLAGS.get(kind, 0)
    chunks = [(b"VP8X", bytes([flags]) + header[1:]), *rest, *added]
    body = b"WEBP" + b"".join(_chunk(*chunk) for chunk in chunks)
    if len(body) > _LARGEST:
        raise DoesNotFitError(f"its metadata do not fit in a WebP ({len(body)} bytes with them)")
    return _chunk(b"RIFF", body)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Walk through the chunks."""
    position = _BEGIN
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sL", data, position)
        yield name, data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sL", name, len(content)) + content + b"\0" * (len(content) % 2)


def _extended_header(chunks: list[_Chunk]) -> tuple[bytes, list[_Chunk]]:
    """Return the content of VP8X, made up if there is none so far, and the other chunks."""
    name, content = chunks[0] if chunks else (b"", b"")
    if name == b"VP8X" and len(content) == 10:
        return content, chunks[1:]
    if name == b"VP8L" and len(content) > 5:
        # A byte that says VP8L, width and height less one in 14 bits each, whether alpha is used.
        bits = int.from_bytes(content[1:5], "little")
        across, down, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
    elif name == b"VP8 " and len(content) > 10:
        # Three bytes of a frame's beginning, three that are always the same, sizes of 14 bits.
        width, height = struct.unpack_from("<HH", content, 6)
        across, down, alpha = (width - 1) & 0x3FFF, (height - 1) & 0x3FFF, 0
    else:
        raise StructureError("a WebP does not begin with its picture")
    sizes = across.to_bytes(3, "little") + down.to_bytes(3, "little")
    return bytes([_FLAGS[b"ALPH"] * alpha, 0, 0, 0]) + sizes, chunks
