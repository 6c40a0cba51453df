"""XMP packets: kept as the bytes they are, but for what the new file makes wrong."""

from __future__ import annotations

import re

_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[2-8]")

# Sizes of the picture, as attributes and as elements.
_SIZES = {
    "width": re.compile(rb"((?:tiff:ImageWidth|exif:PixelXDimension)(?:\s*=\s*[\"']|>))(\d+)"),
    "height": re.compile(rb"((?:tiff:ImageLength|exif:PixelYDimension)(?:\s*=\s*[\"']|>))(\d+)"),
}

# They announce what lay behind the picture or in blocks of its own and is there no more: a gain
# map, a film, the rest of the packet.
_CLAIM = rb"(?:hdrgm:Version|(?:GCamera|Camera):(?:MotionPhoto|MicroVideo)\w*"
_CLAIM += rb"|xmpNote:HasExtendedXMP)"
_CLAIMS = (
    re.compile(rb"(?<=\s)" + _CLAIM + rb"\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')"),
    re.compile(rb"<(" + _CLAIM + rb")(?:\s[^<>]*)?>[^<]*</\1\s*>"),
)
_CONTENTS = re.compile(rb"<(G?Container:Directory)(?:\s[^<>]*)?>")
_PADDING = re.compile(rb"\s*(?=<\?xpacket end)")


def mended(packet: bytes | None, height: int, width: int) -> bytes | None:
    """Make an XMP packet true of an upright picture of `height` x `width` pixels, alone in a file.

    Its copy of the EXIF orientation becomes "upright", its sizes those given, and what announces
    parts of the old file becomes spaces. The number of bytes stays what it was, if the packet has
    room for larger numbers.

    Args:
        packet: the packet, in UTF-8.
        height: number of rows of the picture.
        width: number of columns of the picture.
    """
    if not packet:
        return None
    out = _ORIENTATION.sub(rb"\g<1>1", packet)
    for claim in _CLAIMS:
        out = claim.sub(_blank, out)
    out = _without_contents(out)
    sizes = {"height": height, "width": width}
    for name, pattern in _SIZES.items():
        out = pattern.sub(rb"\g<1>%d" % sizes[name], out)
    return _as_long(out, len(packet))


def _blank(found: re.Match[bytes]) -> bytes:
    return b" " * len(found[0])


def _without_contents(packet: bytes) -> bytes:
    """Blank the list of what the old file contained."""
    out = bytearray(packet)
    end = 0
    for opening in _CONTENTS.finditer(packet):
        closing = b"</" + opening[1] + b">"
        end = packet.find(closing, opening.end())
        # What is never closed is no list, and looking on for each would take for ever.
        if end < 0:
            break
        end += len(closing)
        out[opening.start() : end] = b" " * (end - opening.start())
    return bytes(out)


def _as_long(packet: bytes, size: int) -> bytes:
    """Make up, in the padding before the end of a packet, for numbers longer or shorter."""
    padding = _PADDING.search(packet)
    if padding is None:
        return packet
    room = max(len(padding[0]) + size - len(packet), 0)
    return packet[: padding.start()] + padding[0][:room].ljust(room) + packet[padding.end() :]
