"""Boxes, of which ISO base media files are made (ISO/IEC 14496-12): HEIF, AVIF, JPEG XL, CR3.

A box has a size, a type of four letters and a content, which may be boxes again. Sizes are claims:
nothing is allocated by them, and a box that does not lie within the one around it is refused.

A file's "meta" box tells of items: pictures, and blocks of metadata. One table says what each is,
one where it lies, one what it has to do with others, one what properties it has.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ifan.images.tiff_structure import StructureError

_LARGE = struct.Struct(">L4sQ")


class Box(NamedTuple):
    """Where in the file a box lies.

    Attributes:
        type: its four letters.
        start: where its size is.
        content: where its content begins.
        end: where the next box begins.
    """

    type: bytes
    start: int
    content: int
    end: int


class Cursor:
    """Reads the content of a box, number by number, and never beyond its end."""

    def __init__(self, data: bytes, box: Box) -> None:
        self.data = data
        self.position = box.content
        self.end = box.end

    def number(self, size: int) -> int:
        """Read an unsigned number of `size` bytes; one of none is 0."""
        return int.from_bytes(self.take(size))

    def take(self, size: int) -> bytes:
        """Read `size` bytes."""
        start, self.position = self.position, self.position + size
        if self.position > self.end:
            raise StructureError("a box is shorter than what it should hold")
        return self.data[start : self.position]

    def text(self) -> bytes:
        """Read up to a zero byte, or to the end of the box."""
        stop = self.data.find(b"\0", self.position, self.end)
        text = self.data[self.position : stop if stop >= 0 else self.end]
        self.position = min(self.position + len(text) + 1, self.end)
        return text

    def version(self) -> int:
        """Read what a "full" box begins with: version and, not told, flags."""
        version = self.number(1)
        self.take(3)
        return version


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Walk through the boxes of a file, or of a part of it.

    Raises:
        StructureError: one is not wholly there.
    """
    end = len(data) if end is None else end
    while start < end:
        box = _box_at(data, start, end)
        yield box
        start = box.end


def inside(data: bytes, box: Box, skip: int = 0) -> Iterator[Box]:
    """Walk through the boxes in a box, behind the first `skip` bytes of its content."""
    return boxes(data, box.content + skip, box.end)


def first(found: Iterator[Box], kind: bytes) -> Box | None:
    """Return the first box of a type."""
    return next((box for box in found if box.type == kind), None)


def required(box: Box | None, kind: str) -> Box:
    """Return the box, which there must be.

    Raises:
        StructureError: there is none.
    """
    if box is None:
        raise StructureError(f"there is no {kind} box")
    return box


def written(kind: bytes, *contents: bytes) -> bytes:
    """Return the bytes of a box."""
    size = 8 + sum(map(len, contents))
    if size < 1 << 32:
        return b"".join([struct.pack(">L4s", size, kind), *contents])
    return b"".join([_LARGE.pack(1, kind, size + 8), *contents])


def packed(number: int, size: int) -> bytes:
    """Return the bytes of an unsigned number.

    Raises:
        StructureError: it is larger than they can tell.
    """
    try:
        return number.to_bytes(size)
    except OverflowError as error:
        raise StructureError("a number is too large for its place") from error


class Item(NamedTuple):
    """What an item is: four letters, and for the type "mime" what it is and how it is packed."""

    type: bytes
    content_type: bytes = b""
    encoding: bytes = b""


class Place(NamedTuple):
    """Where the bytes of an item are.

    Attributes:
        method: offsets count from the beginning of the file (0), of the box "idat" (1), or of
            another item (2).
        source: 0 for this file.
        extents: offset and length of its pieces; a length of 0 means up to the end.
    """

    method: int
    source: int
    extents: tuple[tuple[int, int], ...]


class Reference(NamedTuple):
    """What an item has to do with others: it describes them ("cdsc"), is made of them ("dimg")."""

    type: bytes
    origin: int
    targets: tuple[int, ...]


@dataclass(frozen=True)
class Meta:
    """The "meta" box of a file.

    Attributes:
        data: the whole file.
        box: where it is.
        parts: the first box of each type in it.
    """

    data: bytes
    box: Box
    parts: Mapping[bytes, Box]

    @classmethod
    def of(cls, data: bytes) -> Meta:
        """Find the box in a file."""
        box = required(first(boxes(data), b"meta"), "meta")
        parts: dict[bytes, Box] = {}
        for part in inside(data, box, skip=4):
            parts.setdefault(part.type, part)
        return cls(data, box, parts)

    def primary(self) -> int:
        """Return the number of the item that is the picture to show."""
        cursor = self._cursor(b"pitm")
        return cursor.number(4 if cursor.version() else 2)

    def items(self) -> dict[int, Item]:
        """Read what each item is."""
        cursor = self._cursor(b"iinf")
        count_size = 4 if cursor.version() else 2
        entries = inside(self.data, self.parts[b"iinf"], skip=4 + count_size)
        found: dict[int, Item] = {}
        for entry in entries:
            cursor = Cursor(self.data, entry)
            version = cursor.version()
            # Older versions, which nobody writes, know no types.
            if entry.type == b"infe" and version in (2, 3):
                number = cursor.number(2 if version == 2 else 4)
                found.setdefault(number, _item(cursor))
        return found

    def places(self) -> dict[int, Place]:
        """Read where each item is."""
        cursor = self._cursor(b"iloc")
        version = cursor.version()
        sizes = cursor.number(2)
        offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        number_size = 4 if version == 2 else 2
        found: dict[int, Place] = {}
        for _ in range(cursor.number(number_size)):
            number = cursor.number(number_size)
            method = cursor.number(2) & 15 if version else 0
            source, begin, count = cursor.number(2), cursor.number(base), cursor.number(2)
            if count > 1 and not offset + length:
                raise StructureError("an item has many pieces of no size")
            extents = []
            for _ in range(count):
                cursor.number(index if version else 0)
                extents.append((begin + cursor.number(offset), cursor.number(length)))
            found.setdefault(number, Place(method, source, tuple(extents)))
        return found

    def references(self) -> list[Reference]:
        """Read what items have to do with each other; there may be nothing."""
        if b"iref" not in self.parts:
            return []
        size = 4 if self._cursor(b"iref").version() else 2
        found = []
        for box in inside(self.data, self.parts[b"iref"], skip=4):
            cursor = Cursor(self.data, box)
            origin, count = cursor.number(size), cursor.number(2)
            targets = tuple(cursor.number(size) for _ in range(count))
            found.append(Reference(box.type, origin, targets))
        return found

    def properties(self, item: int) -> list[Box]:
        """Return the properties of an item, which are boxes."""
        known = self.known_properties()
        indices = self._associations(self._property_part(b"ipma")).get(item, ())
        return [known[index - 1] for index in indices if 0 < index <= len(known)]

    def known_properties(self) -> list[Box]:
        """Return the properties that items can have."""
        return list(inside(self.data, self._property_part(b"ipco")))

    def content(self, place: Place) -> bytes:
        """Return the bytes of an item."""
        whole = Box(b"", 0, 0, len(self.data))
        within = whole if place.method == 0 else required(self.parts.get(b"idat"), "idat")
        if place.source or place.method > 1:
            raise StructureError("an item is not in this file")
        starts = [(within.content + offset, length) for offset, length in place.extents]
        pieces = [(start, start + length if length else within.end) for start, length in starts]
        # Pieces may share bytes; a file made to explode must not.
        is_sound = sum(end - start for start, end in pieces) <= len(self.data)
        if not is_sound or not all(start <= end <= within.end for start, end in pieces):
            raise StructureError("an item lies beyond the end")
        return b"".join(self.data[start:end] for start, end in pieces)

    def _cursor(self, kind: bytes) -> Cursor:
        return Cursor(self.data, required(self.parts.get(kind), kind.decode()))

    def _property_part(self, kind: bytes) -> Box:
        box = required(self.parts.get(b"iprp"), "iprp")
        return required(first(inside(self.data, box), kind), kind.decode())

    def _associations(self, box: Box) -> dict[int, tuple[int, ...]]:
        """Read which properties each item has; they count from 1."""
        cursor = Cursor(self.data, box)
        version, flags = cursor.number(1), cursor.number(3)
        # The uppermost bit says whether a reader must understand the property.
        size, mask = (2, 0x7FFF) if flags & 1 else (1, 0x7F)
        found: dict[int, tuple[int, ...]] = {}
        for _ in range(cursor.number(4)):
            item, count = cursor.number(4 if version else 2), cursor.number(1)
            found[item] = tuple(cursor.number(size) & mask for _ in range(count))
        return found


def written_places(places: Mapping[int, Place]) -> bytes:
    """Return an "iloc" box.

    Raises:
        StructureError: there is something in it that nobody writes into a photograph.
    """
    wide = any(number > 0xFFFF for number in places)
    version = 2 if wide else int(any(place.method for place in places.values()))
    extents = [extent for place in places.values() for extent in place.extents]
    size = 8 if any(number >> 32 for extent in extents for number in extent) else 4
    count = packed(len(places), 4 if wide else 2)
    out = [bytes([version, 0, 0, 0, size << 4 | size, 0]), count]
    for number, place in places.items():
        if place.method > 1:
            raise StructureError("an item is a part of another")
        out.append(packed(number, 4 if wide else 2))
        out.append(packed(place.method, 2) if version else b"")
        out += [packed(place.source, 2), packed(len(place.extents), 2)]
        out += [packed(value, size) for extent in place.extents for value in extent]
    return written(b"iloc", *out)


def _item(cursor: Cursor) -> Item:
    cursor.take(2)
    kind = cursor.take(4)
    cursor.text()
    item = Item(kind, cursor.text(), cursor.text()) if kind == b"mime" else Item(kind)
    if not all(map(bytes.isascii, item)):
        raise StructureError("an item is of an unknown kind")
    return item


def _box_at(data: bytes, start: int, end: int) -> Box:
    if start + 8 > end:
        raise StructureError("the file ends within a box")
    size, kind = struct.unpack_from(">L4s", data, start)
    content = start + 8
    if size == 1:
        if start + _LARGE.size > end:
            raise StructureError("the file ends within a box")
        size, content = _LARGE.unpack_from(data, start)[2], start + _LARGE.size
    elif size == 0:
        # The last box of a file may go on to its end, whatever that will be.
        size = end - start
    if start + size < content or start + size > end:
        raise StructureError("a box ends where it cannot")
    return Box(kind, start, content, start + size)
