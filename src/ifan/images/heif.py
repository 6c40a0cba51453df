"""HEIF files, which hold AVIF and HEIC pictures (ISO/IEC 23008-12): metadata, and decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ifan.images.boxes import (
    Box,
    Cursor,
    Item,
    Meta,
    Place,
    Reference,
    boxes,
    first,
    inside,
    packed,
    required,
    written,
    written_places,
)
from ifan.images.errors import DecodingError
from ifan.images.metadata import Metadata
from ifan.images.samples import full_range, straight
from ifan.images.tiff_structure import StructureError

_EXIF, _XMP = Item(b"Exif"), Item(b"mime", b"application/rdf+xml")
# Brands of files that hold films first, and perhaps a still as well.
_FILM_BRANDS = {b"avis", b"msf1", b"hevc", b"hevx", b"hevm", b"hevs"}
_ICC = {b"prof", b"rICC"}
# A picture can be made of tiles, those again of others; nobody goes further.
_DEEPEST = 4
_MOST_TRACKS = 100


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to what libvips found in a HEIF file what it did not."""
    found = _blocks(data)
    exif, xmp = found.exif or metadata.exif, metadata.xmp or found.xmp
    return replace(metadata, exif=exif, xmp=xmp)


def embed(data: bytes, metadata: Metadata) -> bytes:
    """Put EXIF and XMP into an AVIF file that libvips wrote.

    They come right behind the box that tells of them, so the picture moves back.

    Raises:
        StructureError: it is not such a file.
    """
    # Where in an Exif item the block begins: four bytes that say so, then at once.
    exif = b"\0\0\0\0" + metadata.exif if metadata.exif else None
    blocks = [(_EXIF, exif), (_XMP, metadata.xmp)]
    added = [(item, block) for item, block in blocks if block]
    if not added:
        return data
    meta = Meta.of(data)
    payload = written(b"mdat", *(block for _, block in added))
    # The table of places is of the same size wherever they are.
    size = len(_described(meta, added, len(payload)))
    moved = size - (meta.box.end - meta.box.start) + len(payload)
    described = _described(meta, added, moved)
    if len(described) != size:
        raise StructureError("the file would be larger than 4 GiB")
    return b"".join([data[: meta.box.start], described, payload, data[meta.box.end :]])


def nclx(data: bytes) -> tuple[int, int, int] | None:
    """Say what the numbers of a picture without ICC profile mean, in the codes of ITU-T H.273.

    Returns:
        Colour primaries, transfer characteristics and matrix coefficients; None if the file has
        an ICC profile or says nothing.
    """
    for item in _described_items(data):
        colours = [Cursor(data, box) for box in item if box.type == b"colr"]
        kinds = {cursor.take(4): cursor for cursor in colours if cursor.end - cursor.position > 10}
        if kinds.keys() & _ICC:
            return None
        if b"nclx" in kinds:
            cursor = kinds[b"nclx"]
            return cursor.number(2), cursor.number(2), cursor.number(2)
    return None


def is_premultiplied(data: bytes) -> bool:
    """Tell whether the colours of the picture are multiplied with its alpha."""
    try:
        meta = Meta.of(data)
        primary = meta.primary()
        return any(ref.type == b"prem" and ref.origin == primary for ref in meta.references())
    except StructureError:
        return False


def is_sequence(data: bytes) -> bool:
    """Tell whether a HEIF file holds a film, not, or not only, stills."""
    try:
        movie = first(boxes(data), b"moov")
        if movie is None:
            return False
        tracks = [box for box in inside(data, movie) if box.type == b"trak"]
        return any(_frames(data, track) > 1 for track in tracks[:_MOST_TRACKS])
    except StructureError:
        return data[8:12] in _FILM_BRANDS


def decode(
    data: bytes, require: Callable[[int, int], None]
) -> tuple[npt.NDArray[np.uint8 | np.uint16], Metadata]:
    """Decode the main picture of a HEIC file, with the package `pi_heif`.

    Args:
        data: the whole file.
        require: called with width and height before the picture is decoded.

    Returns:
        HxWxC pixels: grey, RGB, and either with alpha, which is not multiplied into the colours;
        uint8, or uint16 in its full range. They are upright as the file says it itself; the
        orientation in EXIF, as the standard has it, is not for HEIF. And the metadata.

    Raises:
        DecodingError: it is damaged, or made in a way that the package does not know.
        ImportError: the package is not installed.
    """
    import pi_heif

    with _explained():
        _refuse_odd_names(data)
        # Without the option the package (1.4) writes beyond its memory if a file lies about bits.
        options = {"hdr_to_16bit": False, "remove_stride": False}
        opened = pi_heif.open_heif(data, convert_hdr_to_8bit=False, **options)
        image = opened[opened.primary_index]
        width, height = image.size
        bits = int(image.info["bit_depth"])
    require(width, height)
    with _explained():
        pixels = full_range(_pixels(image), bits)
    found = _blocks(data)
    return (straight(pixels) if image.premultiplied_alpha else pixels), Metadata(
        exif=found.exif,
        xmp=found.xmp or _unpacked_xmp(image.info),
        icc=image.info.get("icc_profile") or None,
        bits=bits if 8 < bits < 16 else None,
    )


class _Blocks(NamedTuple):
    exif: bytes | None = None
    xmp: bytes | None = None


def _blocks(data: bytes) -> _Blocks:
    """Find the EXIF and XMP that belong to the main picture, or else to any."""
    try:
        meta = Meta.of(data)
        items, places, primary = meta.items(), meta.places(), meta.primary()
        about = {ref.origin for ref in _references(meta, b"cdsc") if primary in ref.targets}
    except StructureError:
        return _Blocks()
    found: dict[Item, bytes] = {}
    for number in sorted(items, key=lambda number: number not in about):
        item = items[number]
        if item in (_EXIF, _XMP) and item not in found and number in places:
            with suppress(StructureError):
                found[item] = meta.content(places[number])
    return _Blocks(tiff_block(found.get(_EXIF, b"")), found.get(_XMP) or None)


def tiff_block(content: bytes) -> bytes | None:
    """Return the block in an Exif item: four bytes say how far behind them it begins."""
    start = 4 + int.from_bytes(content[:4])
    block = content[start:] if content[start : start + 2] in (b"II", b"MM") else content[4:]
    return block.removeprefix(b"Exif\0\0") or None


def _pixels(image: Any) -> npt.NDArray[Any]:
    """Decode a picture of `pi_heif` and leave out what fills up its rows."""
    # Copied: the package's own memory goes with its picture.
    rows = np.array(image)
    width, height = image.size
    pixels = rows.reshape(*rows.shape[:2], -1)[:, :width]
    if pixels.shape[:2] != (height, width):
        raise StructureError("it says that it has more bits than it has")
    return np.ascontiguousarray(pixels)


def _refuse_odd_names(data: bytes) -> None:
    """Refuse files in which names are no text: `pi_heif` 1.4 would end the process."""
    meta = Meta.of(data)
    meta.items()
    for box in meta.known_properties():
        if box.type == b"auxC" and not data[box.content + 4 : box.end].isascii():
            raise StructureError("an item is of an unknown kind")


def _unpacked_xmp(info: Mapping[str, Any]) -> bytes | None:
    """Return XMP that was packed, which libheif has unpacked; other text is none."""
    xmp = bytes(info.get("xmp") or b"")
    return xmp if b"xmpmeta" in xmp or b"rdf:RDF" in xmp else None


def _references(meta: Meta, kind: bytes) -> list[Reference]:
    return [ref for ref in meta.references() if ref.type == kind]


def _described_items(data: bytes) -> Iterator[list[Box]]:
    """Yield the properties of the main picture, then those of the first of what it is made of."""
    try:
        meta = Meta.of(data)
        item: int | None = meta.primary()
        made_of = {ref.origin: ref.targets for ref in _references(meta, b"dimg") if ref.targets}
        for _ in range(_DEEPEST):
            if item is None:
                return
            yield meta.properties(item)
            item = made_of[item][0] if item in made_of else None
    except StructureError:
        return


def _frames(data: bytes, track: Box) -> int:
    """Return how many pictures a track has; 0 if it is of sound or of transparency."""
    media = required(first(inside(data, track), b"mdia"), "mdia")
    handler = required(first(inside(data, media), b"hdlr"), "hdlr")
    if data[handler.content + 8 : handler.content + 12] not in (b"pict", b"vide"):
        return 0
    box = media
    for kind in (b"minf", b"stbl"):
        box = required(first(inside(data, box), kind), kind.decode())
    sizes = required(first(inside(data, box), b"stsz"), "stsz")
    cursor = Cursor(data, sizes)
    cursor.take(8)
    return cursor.number(4)


def _described(meta: Meta, added: list[tuple[Item, bytes]], moved: int) -> bytes:
    """Return the "meta" box with more items, right behind which their bytes are to be.

    Args:
        meta: the box as it is.
        added: the items, and their bytes.
        moved: by how many bytes what lies behind the box moves.
    """
    places = {number: _moved(meta, place, moved) for number, place in meta.places().items()}
    numbers = [max(places, default=0) + 1 + at for at in range(len(added))]
    # Behind the box, and behind the size and the type of the one that holds them.
    position = meta.box.end + moved - sum(len(block) for _, block in added)
    for number, (_, block) in zip(numbers, added, strict=True):
        places[number] = Place(0, 0, ((position, len(block)),))
        position += len(block)
    changed = {
        b"iloc": written_places(places),
        b"iinf": _with_items(meta, dict(zip(numbers, (item for item, _ in added), strict=True))),
        b"iref": _with_references(meta, numbers),
    }
    old = inside(meta.data, meta.box, skip=4)
    parts = [changed.pop(box.type, meta.data[box.start : box.end]) for box in old]
    return written(b"meta", bytes(4), *parts, *changed.values())


def _moved(meta: Meta, place: Place, by: int) -> Place:
    """Return the place when everything behind the "meta" box has moved."""
    if place.method or place.source:
        return place
    extents = []
    for offset, length in place.extents:
        if offset < meta.box.end and offset + length > meta.box.start:
            raise StructureError("an item lies within the box that tells of it")
        extents.append((offset + by if offset >= meta.box.end else offset, length))
    return place._replace(extents=tuple(extents))


def _with_items(meta: Meta, added: Mapping[int, Item]) -> bytes:
    """Return the "iinf" box with more entries."""
    box = required(meta.parts.get(b"iinf"), "iinf")
    cursor = Cursor(meta.data, box)
    size = 4 if cursor.version() else 2
    count = cursor.number(size) + len(added)
    entries = [_entry(number, item) for number, item in added.items()]
    head = meta.data[box.content : box.content + 4] + packed(count, size)
    return written(b"iinf", head, meta.data[cursor.position : box.end], *entries)


def _entry(number: int, item: Item) -> bytes:
    """Return the "infe" box of an item: version 2, hidden (the flag), not protected, no name."""
    kind = item.type + b"\0" + (item.content_type + b"\0" if item.content_type else b"")
    return written(b"infe", b"\2\0\0\1", packed(number, 2), b"\0\0", kind)


def _with_references(meta: Meta, numbers: list[int]) -> bytes:
    """Return the "iref" box that says that the items describe the picture."""
    box = meta.parts.get(b"iref")
    old = meta.data[box.content : box.end] if box else bytes(4)
    size = 4 if old[:1] == b"\1" else 2
    target = packed(1, 2) + packed(meta.primary(), size)
    added = [written(b"cdsc", packed(number, size), target) for number in numbers]
    return written(b"iref", old, *added)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what `pi_heif` raises of a file into a `DecodingError`."""
    try:
        yield
    except OSError as error:
        raise MemoryError(str(error)) from error
    except (ValueError, EOFError, SyntaxError, RuntimeError, IndexError) as error:
        raise DecodingError(" ".join(str(error).split())[:120]) from error
