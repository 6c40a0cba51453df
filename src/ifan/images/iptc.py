"""IPTC-IIM records and the three wrappings in which formats carry them.

TIFF has them bare, JPEG as one of the resources of Photoshop (`8BIM`, number 0x0404), PNG as the
same resource in hexadecimal digits, in a text chunk that ImageMagick introduced.
"""

from __future__ import annotations

import struct

PHOTOSHOP = b"Photoshop 3.0\0"
"""What a segment of JPEG with Photoshop's resources begins with."""

# How resources begin: Photoshop's, ImageReady's, and those of PhotoDeluxe and others.
_RESOURCES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")
_IPTC = 0x0404
# Each record begins so.
_RECORD = b"\x1c"


def from_photoshop(block: bytes) -> bytes | None:
    """Find the IPTC records among Photoshop's resources.

    The others (thumbnail, print settings, ...) describe the picture as it was and are left behind.
    """
    position = block.find(b"8BIM")
    while block.startswith(_RESOURCES, position) and position + 12 <= len(block):
        number, name_length = struct.unpack_from(">HB", block, position + 4)
        # A name is at least its length byte, and padded to an even number of bytes.
        position += 6 + (name_length + 2) // 2 * 2
        if position + 4 > len(block):
            return None
        (size,) = struct.unpack_from(">L", block, position)
        position += 4
        if number == _IPTC:
            return block[position : position + size] or None
        position += size + size % 2
    return None


def to_photoshop(records: bytes) -> bytes:
    """Wrap IPTC records as an APP13 segment of JPEG wants them."""
    return PHOTOSHOP + _resource(records)


def unwrapped(block: bytes) -> bytes | None:
    """Find the IPTC records in a block that is either them or Photoshop's resources."""
    return block if block.startswith(_RECORD) else from_photoshop(block)


def to_text(records: bytes) -> str:
    """Wrap IPTC records as the text of PNG's chunk for them."""
    resource = _resource(records)
    return f"\nIPTC profile\n{len(resource):8}\n{resource.hex()}\n"


def _resource(records: bytes) -> bytes:
    padding = b"\0" * (len(records) % 2)
    return b"8BIM" + struct.pack(">HHL", _IPTC, 0, len(records)) + records + padding
