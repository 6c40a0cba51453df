"""Camera RAW files: recognised, developed by LibRaw, and what they tell of the photograph."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyvips

from ifan.images import exif, jpeg, tiff
from ifan.images.boxes import Box, boxes, inside
from ifan.images.colour import display_p3
from ifan.images.errors import DecodingError
from ifan.images.metadata import Metadata, from_header
from ifan.images.tiff_structure import (
    EXIF,
    GPS,
    INTEROPERABILITY,
    Directory,
    Field,
    Layout,
    Pointers,
    StructureError,
    in_order,
    read_directories,
    read_fields,
    read_header,
    read_tree,
    size_of,
)

if TYPE_CHECKING:
    import rawpy

# RAW that is TIFF but for the number behind the byte order: Olympus, Panasonic.
_NEARLY_TIFF = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
# Canon CR3; Fujifilm; Sigma; Minolta; older Canon.
_SIGNATURES = (b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")
_CR3 = b"ftypcrx "
# What stands behind the header of a TIFF: Canon CR2; Phase One, whose mark "Raw" is a number. Two
# words, as the first alone may be pixels.
_IN_TIFF = re.compile(rb"(?:II\*\0|MM\0\*).{4}(?:CR\x02\0|IIII.waR|MMMMRaw)", re.DOTALL)

# What tells RAW among TIFF files: a mosaic, or one that was taken apart but not developed.
_PHOTOMETRIC, _SUBDIRECTORIES, _DNG_VERSION = 0x0106, 0x014A, 0xC612
_MOSAIC, _LINEAR_RAW = 32803, 34892
_MOST_SUBDIRECTORIES = 20

_XMP, _IPTC = 0x02BC, 0x83BB
# Boxes of CR3: the one that holds the metadata, and the one that is XMP.
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def recognises(data: bytes) -> bool:
    """Tell by its content whether a file is camera RAW."""
    if data.startswith((*_NEARLY_TIFF, *_SIGNATURES)) or data[4:12] == _CR3:
        return True
    if _IN_TIFF.match(data):
        return True
    try:
        return _is_undeveloped(data) or (_has_only_previews(data) and not _is_declined(data))
    except StructureError:
        return False


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to what libvips found in a RAW file, if it can read such, what it did not."""
    found = _from_file(data)
    return replace(
        metadata,
        exif=found.exif or metadata.exif,
        xmp=found.xmp or metadata.xmp,
        iptc=found.iptc,
        density=None,
    )


def decode(
    data: bytes, require: Callable[[int, int], None]
) -> tuple[npt.NDArray[np.uint16], Metadata]:
    """Develop a camera RAW file, with the package `rawpy`.

    White is as the camera set it, brightness as it was exposed.

    Args:
        data: the whole file.
        require: called with width and height before the picture is developed.

    Returns:
        HxWx3 pixels in Display P3, or HxWx1 of a camera that sees grey; upright. And the metadata.

    Raises:
        DecodingError: it is damaged, or from a camera that LibRaw does not know.
        ImportError: the package is not installed.
    """
    import rawpy

    with _explained(), rawpy.RawPy() as opened:
        opened.open_buffer(io.BytesIO(data))
        sizes = opened.sizes
        # The third bit says that rows become columns.
        is_turned = bool(sizes.flip & 4)
        require(*(sizes.height, sizes.width) if is_turned else (sizes.width, sizes.height))
        developed = np.asarray(opened.postprocess(_development()), dtype=np.uint16)
        found = _from_file(data)
        if found.exif is None:
            found = replace(found, exif=_from_preview(opened))
    pixels = developed.reshape(*developed.shape[:2], -1)
    return pixels, replace(found, icc=display_p3() if pixels.shape[2] == 3 else None)


def _development() -> rawpy.Params:
    """Return how to develop: what the camera saw, as bright as it was exposed."""
    import rawpy

    return rawpy.Params(
        use_camera_wb=True,
        # It would brighten until one pixel in a hundred is white: highlights would be lost, and
        # the pictures of a series would differ. White is still taken from the brightest pixels
        # where they come near to it, as else skies that are clipped turn pink with some cameras.
        no_auto_bright=True,
        output_bps=16,
        output_color=rawpy.ColorSpace.P3D65,
        # The curve of sRGB, which Display P3 has too.
        gamma=(2.4, 12.92),
    )


def _is_undeveloped(data: bytes) -> bool:
    """Tell whether a TIFF file holds what a camera saw, and no developed picture."""
    layout, _ = read_header(data)
    chain = list(islice(read_directories(data), tiff.MOST_PAGES))
    if chain and _DNG_VERSION in chain[0]:
        return True
    offsets = (
        offset for directory in chain for offset in _offsets(directory.get(_SUBDIRECTORIES), layout)
    )
    below = [
        read_fields(data, offset, layout)[0] for offset in islice(offsets, _MOST_SUBDIRECTORIES)
    ]
    kinds = [_number(directory, _PHOTOMETRIC, layout) for directory in (*chain, *below)]
    return _MOSAIC in kinds or _LINEAR_RAW in kinds


def _has_only_previews(data: bytes) -> bool:
    """Tell whether a TIFF file may be RAW, of which some that are old say no more than this."""
    return all(page.is_reduced for page in tiff.survey(data))


def _is_declined(data: bytes) -> bool:
    """Tell whether LibRaw, if it is installed, says that a file is no RAW that it knows."""
    try:
        import rawpy
    except ImportError:
        return False
    try:
        with rawpy.RawPy() as opened:
            opened.open_buffer(io.BytesIO(data))
    except rawpy.LibRawFileUnsupportedError:
        return True
    except (rawpy.LibRawError, rawpy.NotSupportedError):
        # It is one, and what is wrong with it is told when it is decoded.
        return False
    return False


def _offsets(field: Field | None, layout: Layout) -> tuple[int, ...]:
    """Return where the directories are that a field of offsets points to."""
    if field is None or field.type not in (4, 13):
        return ()
    count = min(field.count, _MOST_SUBDIRECTORIES)
    return struct.unpack_from(f"{layout.order}{count}L", field.value)


def _number(directory: dict[int, Field], tag: int, layout: Layout) -> int:
    return directory[tag].number(layout) if tag in directory else 0


def _from_file(data: bytes) -> Metadata:
    """Collect what the file says itself of the photograph; nothing if it is not TIFF or CR3."""
    try:
        if data[4:12] == _CR3:
            return _from_boxes(data)
        if data[:4] in _NEARLY_TIFF:
            version = struct.pack("<H" if data[:2] == b"II" else ">H", 42)
            data = data[:2] + version + data[4:]
        layout, start = read_header(data)
        fields, _ = read_fields(data, start, layout)
    except StructureError:
        return Metadata()
    xmp, records = (bytes(fields[tag].value) if tag in fields else b"" for tag in (_XMP, _IPTC))
    return Metadata(
        exif=_of_photograph(exif.from_tiff(data)),
        xmp=xmp or None,
        # Each record begins so; some cameras leave room for records and nothing else.
        iptc=records if records.startswith(b"\x1c") else None,
    )


def _from_boxes(data: bytes) -> Metadata:
    """Collect what a CR3 file has, in boxes of their own: an EXIF block in four, and XMP."""
    blocks: dict[bytes, bytes] = {}
    xmp = None
    with suppress(StructureError):
        for box in boxes(data):
            if _is_named(data, box, _XMP_BOX):
                xmp = data[box.content + 16 : box.end] or None
            for part in inside(data, box) if box.type == b"moov" else ():
                if _is_named(data, part, _CANON):
                    blocks |= {
                        block.type: data[block.content : block.end]
                        for block in inside(data, part, skip=16)
                    }
    return Metadata(exif=_of_photograph(_joined(blocks)), xmp=xmp)


def _is_named(data: bytes, box: Box, name: bytes) -> bool:
    return box.type == b"uuid" and data[box.content : box.content + 16] == name


def _joined(blocks: dict[bytes, bytes]) -> bytes | None:
    """Make one EXIF block of the three that CR3 has; the fourth is Canon's maker notes."""
    directory: Directory = {}
    with suppress(StructureError):
        directory = exif.as_tiff_fields(blocks.get(b"CMT1", b""), "<")
    pointers: dict[int, tuple[bytes, Pointers]] = {
        EXIF: (b"CMT2", {INTEROPERABILITY: {}}),
        GPS: (b"CMT4", {}),
    }
    for tag, (name, below) in pointers.items():
        with suppress(StructureError):
            layout, start = read_header(blocks.get(name, b""))
            tree = read_tree(blocks[name], start, layout, below)
            directory[tag] = in_order(tree, layout.order, "<")
    # Fields may share their bytes; a file made to explode must not.
    is_sound = size_of(directory) <= sum(map(len, blocks.values()))
    return exif.of_directory(directory) if directory and is_sound else None


def _of_photograph(block: bytes | None) -> bytes | None:
    """Return an EXIF block without its maker notes where these are too large for a photograph."""
    return block and (exif.within(block, jpeg.LARGEST_EXIF) or block)


def _from_preview(opened: rawpy.RawPy) -> bytes | None:
    """Return the EXIF of the JPEG picture in a RAW file; LibRaw adds some where it has none."""
    import rawpy

    with suppress(rawpy.LibRawError, pyvips.Error):
        preview = opened.extract_thumb()
        if preview.format == rawpy.ThumbFormat.JPEG:
            return from_header(pyvips.Image.jpegload_buffer(preview.data)).exif
    return None


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what LibRaw raises of a file into a `DecodingError`."""
    import rawpy

    try:
        yield
    except rawpy.LibRawUnsufficientMemoryError as error:
        # More than LibRaw ever takes (2 GB), which damaged files ask for.
        raise DecodingError("LibRaw would need too much memory") from error
    except rawpy.LibRawFileUnsupportedError as error:
        raise DecodingError("LibRaw does not know this kind of RAW") from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        said = error.args[0] if error.args else ""
        raise DecodingError(said.decode() if isinstance(said, bytes) else str(said)) from error
