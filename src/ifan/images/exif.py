"""EXIF blocks: kept as the bytes they are, but for what the new pixels make wrong."""

from __future__ import annotations

import struct
from contextlib import suppress
from itertools import islice

from ifan.images.metadata import Density
from ifan.images.tiff_structure import (
    EXIF,
    INTEROPERABILITY,
    SUBDIRECTORIES,
    Directory,
    Field,
    Layout,
    StructureError,
    append_tree,
    directory_offsets,
    in_order,
    link_to_first,
    read_fields,
    read_header,
    read_tree,
    size_of,
)
from ifan.images.turns import TURNS, Turn

_ORIENTATION, _MAKER_NOTE = 0x0112, 0x927C
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
# Across, down, and their unit.
_DENSITY = (0x011A, 0x011B, 0x0128)
_INCHES, _CENTIMETRES = 2, 3
# Per millimetre. Without a unit (1), or with an unknown one, the numbers are but a ratio.
_UNITS = {_INCHES: (25.4, "in"), _CENTIMETRES: (10.0, "cm")}
_SHORT, _RATIONAL = 3, 5
_IMAGE_SIZE = {0x0100: "width", 0x0101: "height"}
_PIXEL_SIZE = {0xA002: "width", 0xA003: "height"}
# Centre across and down, and perhaps a diameter or width and height, in pixels.
_SUBJECT = (0x9214, 0xA214)

# Models, serial number, lens, safety of maker notes, original name; time code, speed, stop, reel
# and camera of films. The rest of DNG is of raw pixels.
_DESCRIPTIVE_IN_DNG = {0xC614, 0xC615, 0xC62F, 0xC630, 0xC635, 0xC68B}
_DESCRIPTIVE_IN_DNG |= {0xC763, 0xC764, 0xC772, 0xC789, 0xC7A1}

# The fields of a TIFF's first directory that do not describe the photograph but how its pixels lie
# in the file, that point to what else is in it, or that go another way (XMP, IPTC, ICC, density).
_STRUCTURAL = {
    # Of Panasonic's RAW files, in which baseline numbers mean something else; kinds of picture.
    *(set(range(0x0100)) - {0x000B}),
    # Sizes, bits, compression, strips, orientation, density, grey curves, options of fax.
    *(*range(0x0100, 0x010D), 0x0111, 0x0112, *range(0x0115, 0x011D), *range(0x0120, 0x012A)),
    # Transfer function, predictor, palette, halftones, tiles, fax, sub-directories, inks.
    *(0x012C, 0x012D, 0x013D, *range(0x0140, 0x014F), 0x0150, *range(0x0152, 0x0161)),
    # Of fax profiles, JPEG in TIFF, YCbCr, strips, XMP, related images.
    *(*range(0x0190, 0x0196), *range(0x01B1, 0x01B6), *range(0x0200, 0x0220), 0x022F, 0x02BC),
    *(0x1000, 0x1001, 0x1002),
    # Of Sony's RAW; SGI's sizes; colour filters; Kodak's directory; IPTC; TIFF/IT.
    *(*range(0x7000, 0x8000), *range(0x80E3, 0x80E7), 0x828D, 0x828E, 0x8290, 0x83BB),
    *(*range(0x84E0, 0x84EC), 0x8568),
    # Leaf, Photoshop, ICC, JBIG, fax directories, layers, TIFF/EP, Interoperability.
    *(0x8606, 0x8649, 0x8773, 0x87AC, 0x87BE, 0x885C, 0x888A, 0x9216, 0x935C),
    INTEROPERABILITY,
    # HD Photo; Canon's and Hasselblad's RAW; padding of Windows, and where maker notes once were.
    *(*range(0xBC00, 0xBD00), 0xC51B, *range(0xC5D8, 0xC5E1), 0xEA1C, 0xEA1D, 0xFE00),
    *(set(range(0xC612, 0xC800)) - _DESCRIPTIVE_IN_DNG),
    *range(0xCD00, 0xCE00),
}
_ASCII = 2
_PROCESSING_SOFTWARE = 0x000B
# Types of what points to directories.
_DIRECTORIES = (13, 18)


def mended(
    block: bytes,
    height: int,
    width: int,
    density: tuple[float, float] | None = None,
    orientation: int = 1,
) -> bytes | None:
    """Make an EXIF block true of an upright picture of `height` x `width` pixels.

    The orientation becomes 1, the sizes those given, density and place of the subject turn with the
    picture, and the thumbnail, which shows the old picture the old way up, goes. No bytes move, so
    maker notes, which hold offsets of their own, are valid.

    Args:
        block: the EXIF block.
        height: number of rows of the picture.
        width: number of columns of the picture.
        density: in pixels per inch, where the block is the only place for it; it is set if the
            block has a density.
        orientation: by which the picture was turned upright, a key of `TURNS`.

    Returns:
        The block, or None where it cannot be read: an orientation nobody can mend must not stay.
    """
    sizes = {"height": height, "width": width}
    turn = TURNS[orientation]
    out = bytearray(block)
    try:
        layout, first = read_header(block)
        fields, link = read_fields(block, first, layout)
        _set(out, fields, {_ORIENTATION: 1}, layout)
        _set(out, fields, {tag: sizes[name] for tag, name in _IMAGE_SIZE.items()}, layout)
        if turn.is_transposed:
            _exchange(out, *(fields.get(tag) for tag in _DENSITY[:2]))
        if density is not None:
            _set_density(out, fields, density, layout)
        if EXIF in fields:
            with suppress(StructureError):  # one that leads nowhere says nothing wrong
                below, _ = read_fields(block, fields[EXIF].number(layout), layout)
                _set(out, below, {tag: sizes[name] for tag, name in _PIXEL_SIZE.items()}, layout)
                for tag in _SUBJECT:
                    _turn_subject(out, below.get(tag), turn, (width, height), layout)
        mended_block = _without_thumbnail(out, link, layout)
        # What was mended may have been the block's own header: a field may say it lies anywhere.
        read_fields(mended_block, *_start(mended_block))
    except StructureError:
        return None
    return mended_block


def _start(block: bytes) -> tuple[int, Layout]:
    layout, first = read_header(block)
    return first, layout


def from_tiff(data: bytes, number: int = 0) -> bytes | None:
    """Collect what a TIFF file says of its photograph into an EXIF block, None if nothing.

    Args:
        data: the whole file.
        number: which one of its directories is that of the photograph, from 0.
    """
    try:
        layout, _ = read_header(data)
        offset = next(islice(directory_offsets(data), number, None), 0)
        found = read_tree(data, offset, layout, SUBDIRECTORIES)
        directory = _descriptive(found)
        directory |= {tag: found[tag] for tag in _DENSITY if tag in found}
    except StructureError:
        return None
    # Fields may share their bytes; a file made to explode must not.
    if not directory or size_of(directory) > len(data):
        return None
    return of_directory(directory, layout.order)


def as_tiff_fields(block: bytes, order: str) -> Directory:
    """Return what an EXIF block says of the photograph as fields for a TIFF's first directory.

    Args:
        block: the EXIF block.
        order: the byte order of the TIFF file, "<" or ">".
    """
    layout, first = read_header(block)
    found = _descriptive(read_tree(block, first, layout))
    return in_order(found, layout.order, order)


def of_directory(directory: Directory, order: str = "<") -> bytes:
    """Return an EXIF block with some fields.

    Args:
        directory: the fields of its first directory, in that byte order.
        order: "<" or ">".
    """
    layout = Layout(order, big=False)
    block = bytearray(struct.pack(order + "2sHL", _MARKS[order], 42, 0))
    link_to_first(block, append_tree(block, directory, layout), layout)
    return bytes(block)


def within(block: bytes, largest: int) -> bytes | None:
    """Return an EXIF block of at most `largest` bytes: if need be without its maker notes.

    Notes that large hold previews, and how to decode the RAW.

    Returns:
        None if it is larger without them, too, or cannot be read.
    """
    if len(block) <= largest:
        return block
    try:
        layout, start = read_header(block)
        tree = read_tree(block, start, layout)
    except StructureError:
        return None
    # Fields may share their bytes; a file made to explode must not.
    if size_of(tree) > len(block):
        return None
    directory = in_order(tree, layout.order, "<")
    below = directory.get(EXIF)
    if isinstance(below, dict):
        below.pop(_MAKER_NOTE, None)
    smaller = of_directory(directory)
    return smaller if len(smaller) <= largest else None


_MARKS = {"<": b"II", ">": b"MM"}


def orientation_of(block: bytes) -> int:
    """Return the orientation that an EXIF block tells, 1 to 8; 1 where it tells none."""
    try:
        layout, first = read_header(block)
        fields, _ = read_fields(block, first, layout)
        number = fields[_ORIENTATION].number(layout)
    except (StructureError, KeyError):
        return 1
    return number if 1 <= number <= 8 else 1


def orientation_before(block: bytes, height: int, width: int) -> int:
    """Return the orientation of a picture of `height` x `width` pixels before it was upright.

    For formats that say themselves how to turn a picture, and whose EXIF mostly has a copy of that.

    Returns:
        A key of `TURNS`; 1 where the sizes in EXIF tell that it is no copy, or there are none.
    """
    orientation = orientation_of(block)
    try:
        layout, first = read_header(block)
        fields, _ = read_fields(block, first, layout)
        below, _ = read_fields(block, fields[EXIF].number(layout), layout)
        before = {name: below[tag].number(layout) for tag, name in _PIXEL_SIZE.items()}
    except (StructureError, KeyError):
        return 1
    was_turned = (before["width"] < before["height"]) != (width < height)
    return orientation if was_turned == TURNS[orientation].is_transposed else 1


def density_of(block: bytes) -> Density | None:
    """Return the density that an EXIF block tells."""
    x_tag, y_tag, unit_tag = _DENSITY
    try:
        layout, first = read_header(block)
        fields, _ = read_fields(block, first, layout)
        x, y = (_quotient(fields[tag], layout) for tag in (x_tag, y_tag))
        code = fields[unit_tag].number(layout) if unit_tag in fields else _INCHES
        per_unit, unit = _UNITS[code]
    except (StructureError, KeyError, ZeroDivisionError):
        return None
    return Density(x / per_unit, y / per_unit, unit) if x > 0 and y > 0 else None


def _quotient(field: Field, layout: Layout) -> float:
    if field.type != _RATIONAL or not field.count:
        raise StructureError("a density that is no rational number")
    above, below = struct.unpack_from(layout.order + "LL", field.value)
    return float(above / below)


def _descriptive(directory: Directory) -> Directory:
    """Return the fields of a first directory that describe the photograph."""
    return {
        tag: item
        for tag, item in directory.items()
        if isinstance(item, dict) or (tag not in _STRUCTURAL and _is_text_if_it_should(tag, item))
    }


def _is_text_if_it_should(tag: int, field: Field) -> bool:
    if tag == _PROCESSING_SOFTWARE:
        return field.type == _ASCII
    return field.type not in _DIRECTORIES


def _set(out: bytearray, fields: dict[int, Field], numbers: dict[int, int], layout: Layout) -> None:
    """Set, where they lie, those fields that are there; a size too large for its field is kept."""
    for tag, number in numbers.items():
        field = fields.get(tag)
        if field is None:
            continue
        try:
            value = field.with_number(number, layout)
        except (KeyError, struct.error):
            continue
        out[field.position : field.position + len(value)] = value


def _exchange(out: bytearray, first: Field | None, second: Field | None) -> None:
    """Let two fields of one kind change values."""
    if first and second and (first.type, first.count) == (second.type, second.count):
        for field, value in ((first, second.value), (second, first.value)):
            out[field.position : field.position + len(value)] = value


def _turn_subject(
    out: bytearray, field: Field | None, turn: Turn, size: tuple[int, int], layout: Layout
) -> None:
    """Turn where the subject is with the picture, of the width and height `size`."""
    if field is None or field.type != _SHORT or not 2 <= field.count <= 4:
        return
    code = f"{layout.order}{field.count}H"
    x, y, *extent = struct.unpack(code, field.value)
    if turn.is_transposed:
        x, y, *extent = y, x, *extent[::-1]
    if turn.flips_across:
        x = size[0] - 1 - x
    if turn.flips_down:
        y = size[1] - 1 - y
    place = (min(max(number, 0), 0xFFFF) for number in (x, y))
    struct.pack_into(code, out, field.position, *place, *extent)


def _set_density(
    out: bytearray, fields: dict[int, Field], density: tuple[float, float], layout: Layout
) -> None:
    x, y, unit = (fields.get(tag) for tag in _DENSITY)
    for field, value in zip((x, y), density, strict=True):
        if field is None or field.type != _RATIONAL:
            return
        out[field.position : field.position + 8] = _rational(value, layout)
    if unit is not None:
        _set(out, fields, {_DENSITY[2]: _INCHES}, layout)


def _rational(value: float, layout: Layout) -> bytes:
    thousandths = min(max(round(value * 1000), 1), 0xFFFFFFFF)
    return struct.pack(layout.order + "LL", thousandths, 1000)


def _without_thumbnail(out: bytearray, link: int, layout: Layout) -> bytes:
    """Unlink the directory of the thumbnail and blank its picture."""
    # Some writers end the block without a link; there is no thumbnail then.
    if link + layout.inline > len(out):
        return bytes(out)
    (offset,) = struct.unpack_from(layout.order + layout.offset, out, link)
    struct.pack_into(layout.order + layout.offset, out, link, 0)
    if not offset:
        return bytes(out)
    try:
        fields, _ = read_fields(out, offset, layout)
        start = fields[_THUMBNAIL_OFFSET].number(layout)
        end = start + fields[_THUMBNAIL_LENGTH].number(layout)
    except (StructureError, KeyError):
        return bytes(out)
    if start >= 8 and end <= len(out):
        out[start:end] = bytes(end - start)
    # Mostly it is the last thing in the block, and the block can end before it.
    return bytes(out[:start] if end == len(out) else out)


def of_density(density: tuple[float, float]) -> bytes:
    """Make an EXIF block of a density in pixels per inch and nothing else."""
    layout = Layout("<", big=False)
    x, y, unit = _DENSITY
    fields: Directory = {
        x: Field(_RATIONAL, _rational(density[0], layout), 0),
        y: Field(_RATIONAL, _rational(density[1], layout), 0),
        unit: Field(_SHORT, struct.pack("<H", _INCHES), 0),
    }
    return of_directory(fields)
