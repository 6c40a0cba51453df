"""TIFF files: their pages, how the pixels are coded, metadata in the first directory."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from ifan.images import exif, iptc
from ifan.images.metadata import Metadata
from ifan.images.tiff_structure import (
    Directory,
    Field,
    Layout,
    StructureError,
    append_tree,
    link_to_first,
    read_directories,
    read_fields,
    read_header,
)

MOST_PAGES = 1000
"""Nobody counts further, and a file made to keep us busy does not."""

_MOST_EXTRA_CHANNELS = 100

_KIND, _BITS, _COMPRESSION, _PHOTOMETRIC = 0x00FE, 0x0102, 0x0103, 0x0106
_TILE_OFFSETS, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 0x0144, 0x0152, 0x0153
_PHOTOSHOP = 0x8649
_REDUCED = 1
_MIN_IS_WHITE, _MIN_IS_BLACK, _CMYK = 0, 1, 5
_LAB = {8, 9, 10}
_PREMULTIPLIED = 1
_ALPHA = {_PREMULTIPLIED, 2}
_DENSITY = {0x011A, 0x011B, 0x0128}
_XMP, _IPTC = 0x02BC, 0x83BB
_BYTE, _UNDEFINED = 1, 7
_SHORT = 3

# What a build of libtiff may lack, by the codes of TIFF.
_COMPRESSIONS: Mapping[int, str] = {
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    6: "JPEG of the old kind",
    7: "JPEG",
    8: "deflate",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32809: "ThunderScan",
    32946: "deflate",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "ZSTD",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
# How libtiff says that it cannot undo a compression, which is not the file's fault.
_NOT_BUILT_IN = re.compile("not configured|not implemented|not supported|does not support")

# What numbers are, by the codes of TIFF, and of how many bits libvips reads them.
_UNSIGNED, _FLOAT, _UNKNOWN = 1, 3, 4
_NUMBERS = {_UNSIGNED: "integers", 2: "signed integers", _FLOAT: "floats"}
_NUMBERS |= {_UNKNOWN: "integers", 5: "complex integers", 6: "complex floats"}
_READ_BITS = {_UNSIGNED: {1, 2, 4, 8, 16}, _FLOAT: {16, 32}, _UNKNOWN: {1, 2, 4, 8, 16}}
# libvips reads 1, 2 and 4 bits of grey and palettes only.
_FEW_BITS = {1, 2, 4}
_OF_FEW_BITS = {0, 1, 3}


class Page(NamedTuple):
    """How a TIFF file codes one of its pictures; numbers are the codes of TIFF.

    Attributes:
        directory: which of the file's directories tells of it, from 0.
        compression: how its pixels are packed.
        bits: of a channel.
        sample_format: what these bits are: integers, floats.
        photometric: which colours the channels are.
        extra: what the channels beside the colours are.
        is_reduced: it is a smaller copy of another picture.
        is_tiled: its pixels lie in tiles, not in strips.
        is_of_photoshop: Photoshop or its like has written it.
    """

    directory: int
    compression: int
    bits: int
    sample_format: int
    photometric: int
    extra: tuple[int, ...]
    is_reduced: bool
    is_tiled: bool
    is_of_photoshop: bool

    @property
    def is_lab(self) -> bool:
        """Whether it is CIELAB, which libvips calls damaged."""
        return self.photometric in _LAB

    @property
    def alpha(self) -> int | None:
        """Which of the channels beside the colours is transparency; None if none is.

        Where the file does not say what they are, the first is, as for other readers.
        """
        if not self.extra:
            return 0
        return next((at for at, kind in enumerate(self.extra) if kind in _ALPHA), None)

    @property
    def misread(self) -> str | None:
        """What floats are meant for that libvips takes for something else; None: it does not."""
        if self.sample_format != _FLOAT:
            return None
        if self.photometric == _MIN_IS_BLACK and _PREMULTIPLIED in self.extra:
            return "grey with premultiplied transparency"
        return {_MIN_IS_WHITE: "grey whose zero is white", _CMYK: "CMYK"}.get(self.photometric)

    def obstacle(self, said: str) -> tuple[str, str] | None:
        """Say why a picture that is not damaged may not have been read.

        Args:
            said: what libvips says of it.

        Returns:
            Reason and remedy; None if nothing is known that would be in the way.
        """
        name = _COMPRESSIONS.get(self.compression)
        if name and _NOT_BUILT_IN.search(said):
            return f"is compressed by {name}", "convert it to deflate or LZW"
        read = _READ_BITS.get(self.sample_format, set())
        if self.photometric not in _OF_FEW_BITS:
            read = read - _FEW_BITS
        if self.bits in read:
            return None
        numbers = _NUMBERS.get(self.sample_format, "numbers of an unknown kind")
        reason = f"has pixels of {self.bits}-bit {numbers}"
        return reason, "convert it to 8 or 16 bits, or to 32-bit floats"


def survey(data: bytes) -> tuple[Page, ...]:
    """Read how all pictures of a TIFF file are coded.

    Raises:
        StructureError: its directories are not all there.
    """
    layout, _ = read_header(data)
    found = islice(read_directories(data), MOST_PAGES)
    pages = tuple(_page(number, fields, layout) for number, fields in enumerate(found))
    if not pages:
        raise StructureError("no picture")
    return pages


def _page(number: int, fields: dict[int, Field], layout: Layout) -> Page:
    def code(tag: int, default: int) -> int:
        # libvips may read, or refuse, what has a tag of an odd type.
        with suppress(StructureError):
            return fields[tag].number(layout) if tag in fields else default
        return default

    return Page(
        directory=number,
        compression=code(_COMPRESSION, 1),
        bits=code(_BITS, 1),
        sample_format=code(_SAMPLE_FORMAT, _UNSIGNED),
        photometric=code(_PHOTOMETRIC, 0),
        extra=_extra_channels(fields.get(_EXTRA_SAMPLES), layout),
        is_reduced=bool(code(_KIND, 0) & _REDUCED),
        is_tiled=_TILE_OFFSETS in fields,
        is_of_photoshop=_PHOTOSHOP in fields,
    )


def _extra_channels(field: Field | None, layout: Layout) -> tuple[int, ...]:
    if field is None or field.type != _SHORT:
        return ()
    count = min(field.count, _MOST_EXTRA_CHANNELS)
    return struct.unpack_from(f"{layout.order}{count}H", field.value)


def completed(metadata: Metadata, data: bytes, directory: int = 0) -> Metadata:
    """Add to what libvips found in a TIFF file what it does not read, or reads wrongly.

    It has no EXIF, no IPTC records that are among Photoshop's resources only, takes a density
    without a unit for one, and turns IPTC records around that are said to be numbers of four bytes.

    Args:
        metadata: what libvips found.
        data: the whole file.
        directory: which one of the file's is that of the picture, from 0.
    """
    fields = next(islice(read_directories(data), directory, None))
    block = exif.from_tiff(data, directory)
    records, resources = (
        bytes(fields[tag].value) if tag in fields else b"" for tag in (_IPTC, _PHOTOSHOP)
    )
    return replace(
        metadata,
        exif=block,
        iptc=records or iptc.from_photoshop(resources),
        density=exif.density_of(block) if block else None,
    )


def embed(data: bytes, metadata: Metadata) -> bytes:
    """Put the metadata into a TIFF file that libvips wrote.

    The file's directory is written anew behind the pixels; the old one stays where it is, unused.
    """
    layout, first = read_header(data)
    directory: Directory = dict(read_fields(data, first, layout)[0])
    if metadata.density is None:
        # libvips has written one out of nothing.
        directory = {tag: item for tag, item in directory.items() if tag not in _DENSITY}
    if metadata.exif:
        directory |= exif.as_tiff_fields(metadata.exif, layout.order)
    for tag, kind, block in ((_XMP, _BYTE, metadata.xmp), (_IPTC, _UNDEFINED, metadata.iptc)):
        if block:
            directory[tag] = Field(kind, block, 0)
    out = bytearray(data)
    link_to_first(out, append_tree(out, directory, layout), layout)
    return bytes(out)
