"""XMP packets: kept as the bytes they are, but for what the new file makes wrong."""

from __future__ import annotations

import re

from ifan.images.turns import TURNS, Turn

_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[2-8]")

# Sizes of the picture, as attributes and as elements.
_SIZES = {
    "width": re.compile(rb"((?:tiff:ImageWidth|exif:PixelXDimension)(?:\s*=\s*[\"']|>))(\d+)"),
    "height": re.compile(rb"((?:tiff:ImageLength|exif:PixelYDimension)(?:\s*=\s*[\"']|>))(\d+)"),
}

# What lies across in the picture and, where rows become columns, down: centres and sizes of regions
# (Metadata Working Group), the size of the picture they are in, edges of a crop (Adobe), density.
_DOWN = {
    b"stArea:x": b"stArea:y",
    b"stArea:w": b"stArea:h",
    b"stDim:w": b"stDim:h",
    b"crs:CropLeft": b"crs:CropTop",
    b"crs:CropRight": b"crs:CropBottom",
    b"tiff:XResolution": b"tiff:YResolution",
}
_ACROSS = {down: across for across, down in _DOWN.items()}
# What flips: centres, and edges, which then are the opposite ones.
_FLIPPED = {
    b"stArea:x": b"stArea:x",
    b"stArea:y": b"stArea:y",
    b"crs:CropLeft": b"crs:CropRight",
    b"crs:CropRight": b"crs:CropLeft",
    b"crs:CropTop": b"crs:CropBottom",
    b"crs:CropBottom": b"crs:CropTop",
}
# A name, in a closing tag alone, else with its number.
_PLACE = re.compile(
    rb"\b(" + b"|".join((*_DOWN, *_ACROSS)) + rb")\b"
    rb"((?:\s*=\s*[\"']|>)\s*)?(-?\d*\.?\d+(?:[eE]-?\d{1,2})?)?"
)
# Of a crop that is tilted two corners are told, which are not those of the turned one.
_TILT = re.compile(rb"crs:CropAngle(?:\s*=\s*[\"']|>)\s*[-+]?[0.]*[1-9]")

# They announce what lay behind the picture or in blocks of its own and is there no more: a gain
# map, a film, the rest of the packet.
_CLAIM = rb"(?:hdrgm:Version|(?:GCamera|Camera):(?:MotionPhoto|MicroVideo)\w*"
_CLAIM += rb"|xmpNote:HasExtendedXMP)"
_CLAIMS = (
    re.compile(rb"(?<=\s)" + _CLAIM + rb"\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')"),
    re.compile(rb"<(" + _CLAIM + rb")(?:\s[^<>]*)?>[^<]*</\1\s*>"),
)
_CONTENTS = re.compile(rb"<(G?Container:Directory)(?:\s[^<>]*)?>")


def mended(packet: bytes | None, height: int, width: int, orientation: int = 1) -> bytes | None:
    """Make an XMP packet true of an upright picture of `height` x `width` pixels, alone in a file.

    Its copy of the EXIF orientation becomes "upright", its sizes those given, regions and crops
    turn with the picture, and what announces parts of the old file becomes spaces. The number of
    bytes stays what it was, if the packet has room for larger numbers.

    Args:
        packet: the packet, in UTF-8.
        height: number of rows of the picture.
        width: number of columns of the picture.
        orientation: by which the picture was turned upright, a key of `TURNS`.
    """
    if not packet:
        return None
    out = _ORIENTATION.sub(rb"\g<1>1", _turned(packet, TURNS[orientation]))
    for claim in _CLAIMS:
        out = claim.sub(_blank, out)
    out = _without_contents(out)
    sizes = {"height": height, "width": width}
    for name, pattern in _SIZES.items():
        out = pattern.sub(rb"\g<1>%d" % sizes[name], out)
    return _as_long(out, len(packet))


def _turned(packet: bytes, turn: Turn) -> bytes:
    """Turn all that has a place in the picture, by giving each number the name that it has then."""
    is_tilted = _TILT.search(packet) is not None

    def renamed(found: re.Match[bytes]) -> bytes:
        name, between, number = found.groups(b"")
        if is_tilted and name.startswith(b"crs:"):
            return found[0]
        if turn.is_transposed:
            name = (_DOWN | _ACROSS)[name]
        flips = turn.flips_across if name in _DOWN else turn.flips_down
        if flips and name in _FLIPPED:
            name = _FLIPPED[name]
            number = number and b"%g" % round(1 - float(number), 6)
        return name + between + number

    return _PLACE.sub(renamed, packet)


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
    end = packet.rfind(b"<?xpacket end")
    if end < 0:
        return packet
    said = packet[:end].rstrip()
    padding = packet[len(said) : end]
    room = max(len(padding) + size - len(packet), 0)
    return said + padding[:room].ljust(room) + packet[end:]
