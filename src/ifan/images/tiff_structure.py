"""The directories of tagged fields that TIFF files and EXIF blocks are made of (TIFF 6.0, part 1).

libvips has EXIF rewritten by libexif, which drops what it does not know (maker notes among it), and
reads and writes no EXIF in TIFF files. So blocks are kept as the bytes they are, and read here only
as far as is needed to mend a field or to move directories from one file into another.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

# Field types: bytes of one value, and bytes of the numbers it consists of (a rational is two).
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_WORDS = {**_SIZES, 5: 4, 10: 4}
_CODES = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
_SIGNED_CODES = {6: "b", 8: "h", 9: "l"}
# How comments, of a type that says nothing of them, begin where they are in 16-bit units.
_UNDEFINED, _UNICODE = 7, b"UNICODE\0"

EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005

Pointers: TypeAlias = Mapping[int, "Pointers"]
SUBDIRECTORIES: Pointers = {EXIF: {INTEROPERABILITY: {}}, GPS: {}}
"""Which fields point to directories, and which fields in those do. Finite, so no loop is."""


class StructureError(ValueError):
    """Bytes that are not the directories they should be."""


class Layout(NamedTuple):
    """How numbers are written: byte order as in `struct`, and whether offsets have 64 bits."""

    order: str
    big: bool

    @property
    def counter(self) -> str:
        """Code of the number of fields in a directory."""
        return "Q" if self.big else "H"

    @property
    def offset(self) -> str:
        """Code of offsets and of the number of values of a field."""
        return "Q" if self.big else "L"

    @property
    def inline(self) -> int:
        """How many bytes of values fit in the field itself."""
        return 8 if self.big else 4


@dataclass(frozen=True)
class Field:
    """One field: its type, its values as bytes in the file's order, and where these lie."""

    type: int
    value: bytes | memoryview
    position: int

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.value) // _SIZES[self.type]

    def number(self, layout: Layout) -> int:
        """Return the first value of a field of unsigned integers."""
        if self.type not in _CODES or not self.count:
            raise StructureError(f"type {self.type} where an unsigned integer is expected")
        return int(struct.unpack_from(layout.order + _CODES[self.type], self.value)[0])

    def with_number(self, number: int, layout: Layout) -> bytes:
        """Return the bytes of the field, of integers, with another first value."""
        code = layout.order + (_CODES | _SIGNED_CODES)[self.type]
        return struct.pack(code, number) + self.value[struct.calcsize(code) :]


Directory: TypeAlias = "dict[int, Field | Directory]"


def read_header(data: bytes | bytearray | memoryview) -> tuple[Layout, int]:
    """Return how numbers are written and where the first directory is."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 16:
        raise StructureError("no TIFF header")
    (version,) = struct.unpack_from(order + "H", data, 2)
    if version not in (42, 43):
        raise StructureError(f"TIFF version {version}")
    layout = Layout(order, big=version == 43)
    return layout, _unpack(layout, layout.offset, data, 8 if layout.big else 4)[0]


def read_fields(
    data: bytes | bytearray | memoryview, offset: int, layout: Layout
) -> tuple[dict[int, Field], int]:
    """Read one directory.

    Fields of unknown type or that point out of the file are left out: cameras write such.

    Returns:
        The fields by tag, and the position of the offset of the next directory.
    """
    view = memoryview(data).toreadonly()
    (count,) = _unpack(layout, layout.counter, data, offset)
    position = offset + struct.calcsize("=" + layout.counter)
    fields: dict[int, Field] = {}
    for _ in range(count):
        tag, kind, values = _unpack(layout, "HH" + layout.offset, data, position)
        size = _SIZES.get(kind, 0) * values
        start = position + 4 + layout.inline
        if size > layout.inline:
            (start,) = _unpack(layout, layout.offset, data, start)
        if size and start + size <= len(view):
            fields.setdefault(tag, Field(kind, view[start : start + size], start))
        position += 4 + 2 * layout.inline
    return fields, position


def read_directories(data: bytes) -> Iterator[dict[int, Field]]:
    """Read the chain of directories of a file: the pages of a TIFF."""
    layout, _ = read_header(data)
    for offset in directory_offsets(data):
        yield read_fields(data, offset, layout)[0]


def directory_offsets(data: bytes) -> Iterator[int]:
    """Follow the chain of directories; each is visited once, whatever the links say."""
    layout, offset = read_header(data)
    seen = set()
    while offset and offset not in seen:
        seen.add(offset)
        yield offset
        _, link = read_fields(data, offset, layout)
        (offset,) = _unpack(layout, layout.offset, data, link)


def read_tree(
    data: bytes, offset: int, layout: Layout, pointers: Pointers = SUBDIRECTORIES
) -> Directory:
    """Read a directory with those below it; one that cannot be read is left out."""
    directory: Directory = {}
    for tag, field in read_fields(data, offset, layout)[0].items():
        if tag not in pointers:
            directory[tag] = field
            continue
        try:
            directory[tag] = read_tree(data, field.number(layout), layout, pointers[tag])
        except StructureError:
            continue
    return directory


def size_of(directory: Directory) -> int:
    """Return how many bytes the values in a directory and below it have."""
    return sum(
        size_of(item) if isinstance(item, dict) else len(item.value) for item in directory.values()
    )


def in_order(directory: Directory, source: str, target: str) -> Directory:
    """Return the directory with all numbers and texts in another byte order ("<" or ">")."""
    if source == target:
        return directory
    return {
        tag: in_order(item, source, target)
        if isinstance(item, dict)
        else Field(item.type, _reordered(item), item.position)
        for tag, item in directory.items()
    }


def append_tree(out: bytearray, directory: Directory, layout: Layout) -> int:
    """Append a directory, with its values and those below it, to a file.

    Returns:
        The offset of the directory.
    """
    entries = bytearray()
    for tag, item in sorted(directory.items()):
        if isinstance(item, dict):
            slot = struct.pack(layout.order + layout.offset, append_tree(out, item, layout))
            kind, count = (16 if layout.big else 4), 1
        else:
            slot, kind, count = bytes(item.value), item.type, item.count
        if len(slot) > layout.inline:
            offset = _append_aligned(out, slot)
            slot = struct.pack(layout.order + layout.offset, offset)
        entries += struct.pack(layout.order + "HH" + layout.offset, tag, kind, count)
        entries += slot.ljust(layout.inline, b"\0")
    head = struct.pack(layout.order + layout.counter, len(directory))
    return _append_aligned(out, head + entries + bytes(layout.inline))


def link_to_first(out: bytearray, offset: int, layout: Layout) -> None:
    """Make the directory at `offset` the first of a file."""
    struct.pack_into(layout.order + layout.offset, out, 8 if layout.big else 4, offset)


def _append_aligned(out: bytearray, data: bytes) -> int:
    out += bytes(-len(out) % 8)
    offset = len(out)
    out += data
    return offset


def _reordered(field: Field) -> bytes:
    """Return the values of a field in the other byte order, text in 16-bit units too."""
    value = bytes(field.value)
    if field.type == _UNDEFINED and value.startswith(_UNICODE):
        end = len(value) - len(value) % 2
        return _UNICODE + _swapped(value[len(_UNICODE) : end], 2) + value[end:]
    return _swapped(value, _WORDS[field.type])


def _swapped(value: bytes, word: int) -> bytes:
    swapped = bytearray(value)
    for position in range(word):
        swapped[position::word] = value[word - 1 - position :: word]
    return bytes(swapped)


def _unpack(
    layout: Layout, codes: str, data: bytes | bytearray | memoryview, offset: int
) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout.order + codes, data, offset)
    except (struct.error, OverflowError) as error:
        raise StructureError("a directory points out of the file") from error
