"""TIFF files: metadata in the first directory, several pages, camera RAW in disguise."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from ifan.images import exif
from ifan.images.metadata import Metadata
from ifan.images.tiff_structure import (
    Directory,
    Field,
    StructureError,
    append_tree,
    link_to_first,
    read_directories,
    read_fields,
    read_header,
)

# Nobody counts further, and a file made to keep us busy does not.
_MOST_PAGES = 1000
_KIND = 0x00FE
_REDUCED = 1
_PHOTOMETRIC = 0x0106
_LAB = {8, 9, 10}
_DNG_VERSION = 0xC612
_DENSITY = {0x011A, 0x011B, 0x0128}
_XMP, _IPTC = 0x02BC, 0x83BB
_BYTE, _UNDEFINED = 1, 7
_TILE_OFFSETS = 0x0144


class Survey(NamedTuple):
    """What a TIFF file holds, as far as its directories tell.

    Attributes:
        pages: which directories hold pictures, from 0; smaller copies of a picture do not count.
        is_camera_raw: it is DNG, NEF, CR2, ARW, ..., in which a TIFF reader finds a thumbnail.
        is_lab: its pixels are CIELAB, which libvips calls damaged.
    """

    pages: tuple[int, ...]
    is_camera_raw: bool
    is_lab: bool


def survey(data: bytes) -> Survey:
    """Read all directories of a TIFF file.

    Raises:
        StructureError: they are not all there.
    """
    layout, _ = read_header(data)
    pages = list(islice(read_directories(data), _MOST_PAGES))
    if not pages:
        raise StructureError("no picture")
    numbers = [
        {tag: page[tag].number(layout) for tag in (_KIND, _PHOTOMETRIC) if tag in page}
        for page in pages
    ]
    is_copy = [bool(page.get(_KIND, 0) & _REDUCED) for page in numbers]
    return Survey(
        pages=tuple(number for number, copy in enumerate(is_copy) if not copy),
        is_camera_raw=data[8:10] == b"CR" or _DNG_VERSION in pages[0] or is_copy[0],
        is_lab=numbers[0].get(_PHOTOMETRIC) in _LAB,
    )


def is_tiled(data: bytes, directory: int) -> bool:
    """Tell whether a picture lies in tiles, not in strips.

    Args:
        data: the whole file.
        directory: which one of the file's is that of the picture, from 0.
    """
    return _TILE_OFFSETS in next(islice(read_directories(data), directory, None), {})


def completed(metadata: Metadata, data: bytes, directory: int = 0) -> Metadata:
    """Add to what libvips found in a TIFF file the EXIF, which it does not read.

    Args:
        metadata: what libvips found.
        data: the whole file.
        directory: which one of the file's is that of the picture, from 0.
    """
    return replace(metadata, exif=exif.from_tiff(data, directory))


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
