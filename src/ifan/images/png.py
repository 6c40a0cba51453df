"""Metadata in PNG files: the chunks around the picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from ifan.images import icc, iptc
from ifan.images.errors import DecodingError
from ifan.images.metadata import Density, Metadata

_BEGIN = 8
# They say how numbers become light; without them a picture looks different.
_COLOUR = {b"gAMA", b"cHRM", b"sRGB", b"cICP"}
TEXT = {b"tEXt", b"zTXt", b"iTXt"}
_COMMENT = b"Comment\0"
# What iTXt has before a text that is not packed, in no language and without translated keyword.
_UNPACKED = b"\0\0\0\0"
_XMP = b"XML:com.adobe.xmp\0"
# Blocks in hexadecimal digits, which ImageMagick introduced before PNG had chunks for most.
_RAW = b"Raw profile type "
_IPTC = _RAW + b"iptc\0"
_APP1_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_APP1_EXIF = b"Exif\0\0"
# IPTC records are some kilobytes; a chunk may be made to explode.
_LARGEST_TEXT = 1 << 22
_MOST_BLOCKS = 32

# By how much chromaticities, and the product of gAMA and 2.2, may miss those of sRGB.
_SAME_COLOUR, _SAME_CURVE = 0.003, 0.02
# Other exponents are none that anybody means.
_EXPONENT_RANGE = (0.2, 5.0)
_GREY = (b"\0", b"\4")


def is_animated(data: bytes) -> bool:
    """Tell whether a PNG file holds more than one picture (APNG)."""
    return any(name == b"acTL" for name, _ in _chunks(data))


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to what libvips found in a PNG file what it did not: what follows the pixels, for one.

    Raises:
        DecodingError: it is an HDR picture.
    """
    density, comments, kept = None, [], []
    for name, content in _chunks(data):
        if name == b"pHYs" and len(content) == 9 and content[8] == 1:
            # Not as libvips has it: that of EXIF goes first there, and is mostly a mere default.
            density = _density(*struct.unpack_from(">LL", content))
        elif (comment := _comment_in(name, content)) is not None:
            comments.append(comment)
        elif name in _COLOUR or (name in TEXT and not content.startswith((_XMP, _RAW))):
            kept.append((name, content))
    blocks = _blocks(data)
    return replace(
        metadata,
        exif=metadata.exif or _exif(blocks),
        xmp=metadata.xmp or blocks.get("XMP") or blocks.get("old XMP"),
        iptc=blocks.get("IPTC"),
        icc=metadata.icc or _fitting(blocks.get("ICC"), data) or _made_profile(data),
        density=density,
        comments=tuple(comments),
        png_chunks=tuple(kept),
    )


def exif_of(data: bytes) -> bytes | None:
    """Find the EXIF block of a PNG file, wherever it is."""
    return _exif(_blocks(data))


def embed(data: bytes, metadata: Metadata) -> bytes:
    """Put the metadata into a PNG file that libvips wrote."""
    # Readers that find sRGB and a profile, which should not be, may take either.
    contradicting = b"sRGB" if metadata.icc else None
    added = [chunk for chunk in metadata.png_chunks if chunk[0] != contradicting]
    if metadata.exif:
        added.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        # Not packed, as the XMP specification wants it.
        added.append((b"iTXt", _XMP + _UNPACKED + metadata.xmp))
    if metadata.iptc:
        added.append((b"tEXt", _IPTC + iptc.to_text(metadata.iptc).encode("ascii")))
    added += [_comment(comment) for comment in metadata.comments]
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


def _exif(blocks: dict[str, bytes]) -> bytes | None:
    return blocks.get("EXIF") or blocks.get("old EXIF")


def _blocks(data: bytes) -> dict[str, bytes]:
    """Return EXIF, XMP, IPTC and ICC, the first of each; "old" is what was in digits."""
    holding = (
        (name, content)
        for name, content in _chunks(data)
        if name == b"eXIf" or (name in TEXT and content.startswith((_XMP, _RAW)))
    )
    found: dict[str, bytes] = {}
    # Not all of them: each may be made to explode.
    for name, content in islice(holding, _MOST_BLOCKS):
        new = {kind: block for kind, block in _blocks_in(name, content).items() if block}
        found = new | found
    return found


def _blocks_in(name: bytes, content: bytes) -> dict[str, bytes]:
    if name == b"eXIf":
        return {"EXIF": content.removeprefix(_APP1_EXIF)}
    if content.startswith(_XMP):
        return {"XMP": _plain(name, content[len(_XMP) :])}
    kind, _, text = content[len(_RAW) :].partition(b"\0")
    return _of_kind(kind.lower(), _from_digits(_plain(name, text)))


def _of_kind(kind: bytes, block: bytes) -> dict[str, bytes]:
    if kind in (b"iptc", b"8bim"):
        records = iptc.unwrapped(block)
        return {"IPTC": records} if records else {}
    if kind in (b"icc", b"icm"):
        return {"ICC": block} if block[36:40] == b"acsp" else {}
    if kind == b"xmp" or block.startswith(_APP1_XMP):
        return {"old XMP": block.removeprefix(_APP1_XMP)}
    if kind in (b"exif", b"app1") and block.startswith((_APP1_EXIF, b"II", b"MM")):
        return {"old EXIF": block.removeprefix(_APP1_EXIF)}
    return {}


def _from_digits(text: bytes) -> bytes:
    """Return the block in a text of ImageMagick's, nothing where it is none."""
    # Three lines before the digits: an empty one, the kind ("IPTC profile"), the number of bytes.
    try:
        return bytes.fromhex(b"".join(text.splitlines()[3:]).decode("ascii"))
    except ValueError:
        return b""


def _plain(name: bytes, content: bytes) -> bytes:
    """Return the text of a text chunk, without its keyword."""
    is_packed = name == b"zTXt"
    if name == b"iTXt":
        # A flag, the method, a language, a translated keyword.
        is_packed = content[:1] == b"\1"
        content = content[1:2] + content[2:].split(b"\0", 2)[-1]
    elif not is_packed:
        return content
    # The first byte is the method, of which there is one.
    return _unpacked(content[1:]) if is_packed else content[1:]


def _unpacked(content: bytes) -> bytes:
    packed = zlib.decompressobj()
    try:
        text = packed.decompress(content, _LARGEST_TEXT)
    except zlib.error:
        return b""
    # Half a block is none.
    return text if packed.eof else b""


def _comment(comment: bytes) -> tuple[bytes, bytes]:
    """Return the chunk that holds a comment; only one kind goes beyond Latin-1."""
    try:
        text = comment.decode()
    except UnicodeDecodeError:
        text = comment.decode("latin-1")
    text = text.rstrip("\0").replace("\0", " ")
    try:
        return b"tEXt", _COMMENT + text.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", _COMMENT + _UNPACKED + text.encode()


def _comment_in(name: bytes, content: bytes) -> bytes | None:
    """Return the comment in a chunk, in UTF-8, if it would be written so again."""
    start = {b"tEXt": _COMMENT, b"iTXt": _COMMENT + _UNPACKED}.get(name)
    if start is None or not content.startswith(start):
        return None
    text = content[len(start) :]
    if name == b"tEXt":
        text = text.decode("latin-1").encode()
    return text if _comment(text) == (name, content) else None


def _is_grey(data: bytes) -> bool:
    return data[25:26] in _GREY


def _fitting(profile: bytes | None, data: bytes) -> bytes | None:
    """Return an ICC profile if it is one for the pixels."""
    space = b"GRAY" if _is_grey(data) else b"RGB "
    return profile if profile and profile[16:20] == space else None


def _made_profile(data: bytes) -> bytes | None:
    """Return an ICC profile of what the chunks say of the colours; None for sRGB."""
    chunks = {name: content for name, content in _chunks(data) if name in _COLOUR}
    if b"cICP" in chunks:
        colours = _coded(chunks[b"cICP"])
    elif b"sRGB" in chunks:
        return None
    else:
        colours = _measured(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))
    is_grey = _is_grey(data)
    if colours.exponent is None and (is_grey or colours == icc.Colours()):
        return None
    try:
        return icc.profile(colours, is_grey=is_grey)
    except ValueError:
        return None


def _coded(content: bytes) -> icc.Colours:
    """Read codes for primaries and curve; what is unknown is taken for that of sRGB."""
    primaries, curve = content[:2].ljust(2, b"\0")
    if curve in icc.HDR_CURVES:
        raise DecodingError(f"it is an HDR picture, with the curve {icc.HDR_CURVES[curve]}")
    space = icc.SPACES.get(primaries, icc.Colours())
    return space._replace(exponent=icc.EXPONENTS.get(curve))


def _measured(gamma: bytes, chromaticities: bytes) -> icc.Colours:
    """Read exponent and chromaticities, in hundred thousandths; what is like sRGB is sRGB."""
    colours = icc.Colours()
    if len(chromaticities) == 32:
        x, y, *primaries = (number / 100_000 for number in struct.unpack(">8L", chromaticities))
        found = icc.Colours(white=(x, y), primaries=tuple(primaries))
        pairs = zip((x, y, *primaries), (*colours.white, *colours.primaries), strict=True)
        if any(abs(theirs - ours) > _SAME_COLOUR for theirs, ours in pairs):
            colours = found
    number = int.from_bytes(gamma[:4], "big") if len(gamma) == 4 else 0
    exponent = 100_000 / number if number else 0.0
    is_usual = colours == icc.Colours() and abs(exponent / 2.2 - 1) <= _SAME_CURVE
    if is_usual or not _EXPONENT_RANGE[0] <= exponent <= _EXPONENT_RANGE[1]:
        return colours
    return colours._replace(exponent=exponent)
