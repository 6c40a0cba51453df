"""How valid files are damaged: anywhere, and where it hurts."""

from __future__ import annotations

import contextlib
import itertools
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st

Order: TypeAlias = Literal["big", "little"]


class Place(NamedTuple):
    """Where a number lies in a file."""

    position: int
    size: int
    order: Order


Damage: TypeAlias = Callable[[bytes, bytes, np.random.Generator], bytes]


def damaged(files: Mapping[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Make a damaged file.

    Args:
        files: those to choose from.
        seed: of the run.
        number: of the file in the run.

    Returns:
        What was done to which file, in words, and the file.
    """
    rng = np.random.default_rng([seed, number])
    formats = sorted({name.split("/")[0] for name in files})
    own, other = (formats[number] for number in rng.integers(len(formats), size=2))
    name = _any_of(files, own, rng)
    donor = files[_any_of(files, own if rng.random() < 0.7 else other, rng)]
    data, done = files[name], []
    for _ in range(rng.geometric(0.6)):
        damage = DAMAGES[rng.integers(len(DAMAGES))]
        data = damage(data, donor, rng)
        done.append(damage.__name__)
    # Otherwise little would come past the checksums.
    if rng.random() < 0.8:
        data = mended(data)
    return f"{name}: {', '.join(done)}", data


def _any_of(files: Mapping[str, bytes], format_name: str, rng: np.random.Generator) -> str:
    """Choose one of the files of a format, of which some have many; metadata are wanted often."""
    names = [name for name in files if name.split("/")[0] == format_name]
    described = [name for name in names if name.endswith("described")]
    if described and rng.random() < 0.4:
        names = described
    return names[rng.integers(len(names))]


def flip_bits(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for _ in range(rng.geometric(0.4)):
        if out:
            out[_somewhere(out, rng)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def set_bytes(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for _ in range(rng.geometric(0.4)):
        if out:
            choices = (0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256)))
            out[_somewhere(out, rng)] = choices[rng.integers(len(choices))]
    return bytes(out)


def set_integer(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Set an integer anywhere to an extreme."""
    size = (2, 4, 8)[rng.integers(3)]
    if len(data) < size:
        return data
    position = min(_somewhere(data, rng), len(data) - size)
    order: Order = "big" if rng.random() < 0.5 else "little"
    return _with_extreme(data, Place(position, size, order), rng)


def set_field(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Set a number that means something (width, height, length, offset, ...) to an extreme."""
    found = fields(data)
    return _with_extreme(data, found[rng.integers(len(found))], rng) if found else data


def set_size(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Set a width or a height to an extreme."""
    found = sizes(data)
    return _with_extreme(data, found[rng.integers(len(found))], rng) if found else data


def set_metadata(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Set a few bytes of a piece that is not of pixels, which then can still be read."""
    pieces = [(start, end) for start, end, name in _pieces(data) if name not in _PIXELS]
    pieces += [(entry, entry + size) for entry, size, _ in _tiff_entries(data)]
    pieces = [(start, min(end, len(data))) for start, end in pieces if start + 8 < end <= len(data)]
    if not pieces:
        return data
    start, end = pieces[rng.integers(len(pieces))]
    for _ in range(rng.geometric(0.5)):
        place = Place(int(rng.integers(start, end)), 1, "big")
        data = _with_extreme(data, place, rng)
    return data


def truncate(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data) + 1)]


def grow(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Insert zeros, or noise."""
    size = int(2 ** rng.uniform(0, 16))
    more = bytes(size) if rng.random() < 0.5 else rng.bytes(size)
    position = len(data) if rng.random() < 0.3 else int(rng.integers(len(data) + 1))
    return data[:position] + more + data[position:]


def splice(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Go on as another file from somewhere."""
    return data[: rng.integers(len(data) + 1)] + donor[rng.integers(len(donor)) :]


def graft(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Insert a part of another file."""
    start, end = _part(donor, rng)
    position = _part(data, rng)[0]
    return data[:position] + donor[start:end] + data[position:]


def delete(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    start, end = _part(data, rng)
    return data[:start] + data[end:]


def duplicate(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    start, end = _part(data, rng)
    # Large parts would have files grow beyond all bounds.
    times = int(rng.integers(1, 2 + 2000 // (end - start + 1)))
    return data[:end] + data[start:end] * times + data[end:]


def swap(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    (a, b), (c, d) = sorted((_part(data, rng), _part(data, rng)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


DAMAGES: tuple[Damage, ...] = (
    *(flip_bits, set_bytes, set_integer, set_field, set_field, set_size, set_metadata),
    *(truncate, grow, splice, graft, delete, duplicate, swap),
)


def _somewhere(data: bytes | bytearray, rng: np.random.Generator) -> int:
    """Choose a byte, one of a header rather than of pixels."""
    most = len(data) if rng.random() < 0.5 else min(len(data), 400)
    return int(rng.integers(most))


def _part(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """Choose a chunk, segment, box or field, or else any part."""
    found = parts(data)
    if found and rng.random() < 0.7:
        return found[rng.integers(len(found))]
    start = int(rng.integers(len(data) + 1))
    return start, min(len(data), start + int(2 ** rng.uniform(0, 10)))


def _with_extreme(data: bytes, place: Place, rng: np.random.Generator) -> bytes:
    top = 256**place.size
    old = data[place.position : place.position + place.size]
    present = int.from_bytes(old, place.order)
    random = int(2 ** rng.uniform(0, 8 * place.size))
    choices = (0, 1, 2, 3, top // 2 - 1, top // 2, top - 2, top - 1, 30000, 65535, 65536)
    choices += (present + 1, present - 1, present * 2, present // 2, len(data), random)
    new = (choices[rng.integers(len(choices))] % top).to_bytes(place.size, place.order)
    return data[: place.position] + new + data[place.position + place.size :]


# What files consist of, as far as damage aims at it.

_PIXELS = {b"IDAT", b"VP8 ", b"VP8L", b"ALPH", b"mdat", b"jxlc", b"\xff\xda"}
_PNG = b"\x89PNG\r\n\x1a\n"
_TABLES = {b"iloc", b"ipma", b"pitm", b"infe", b"iinf", b"av1C", b"hvcC", b"pixi"}
_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"iref": 4}
_TIFF_HEADER = re.compile(rb"II[*+]\0|MM\0[*+]")
_TIFF_SIZES = {256, 257, 0xA002, 0xA003}
_TIFF_POINTERS = {0x014A, 0x8769, 0x8825, 0xA005}


def parts(data: bytes) -> list[tuple[int, int]]:
    """Return where the pieces begin and end that the format consists of; nested ones too."""
    pieces = [(start, end) for start, end, _ in _pieces(data)]
    return pieces + [(entry, entry + size) for entry, size, _ in _tiff_entries(data)]


def fields(data: bytes) -> list[Place]:
    """Return the numbers that tell how the file is built, as far as they are known."""
    found = sizes(data)
    for start, _, name in _pieces(data):
        found.append(_length(data, start))
        if name in _TABLES:
            found += [Place(start + 8 + step, 2, "big") for step in range(0, 24, 2)]
    for entry, size, order in _tiff_entries(data):
        count = 4 if size == 12 else 8
        found += [Place(entry, 2, order), Place(entry + 2, 2, order)]
        found += [Place(entry + 4, count, order), Place(entry + 4 + count, count, order)] * 2
    return [place for place in found if place.position + place.size <= len(data)]


def _length(data: bytes, start: int) -> Place:
    """Return where a piece says how long it is."""
    if data[:4] == b"RIFF":
        return Place(start + 4, 4, "little")
    return Place(start + 2, 2, "big") if data[:2] == b"\xff\xd8" else Place(start, 4, "big")


def sizes(data: bytes) -> list[Place]:
    """Return the widths and heights, and numbers of bits and channels beside them."""
    found: list[Place] = []
    for start, _, name in _pieces(data):
        if name == b"IHDR":
            found += [Place(start + 8, 4, "big"), Place(start + 12, 4, "big")] * 2
            found += [Place(start + 16 + step, 1, "big") for step in range(5)]
        elif name == b"VP8X":
            found += [Place(start + 8, 1, "little")]
            found += [Place(start + 12, 3, "little"), Place(start + 15, 3, "little")]
        elif name == b"VP8 ":
            found += [Place(start + 14, 2, "little"), Place(start + 16, 2, "little")]
        elif name == b"VP8L":
            found += [Place(start + 9, 4, "little")]
        elif name == b"ispe":
            found += [Place(start + 12, 4, "big"), Place(start + 16, 4, "big")]
        elif data[:2] == b"\xff\xd8" and re.fullmatch(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcf]", name):
            found += [Place(start + 5, 2, "big"), Place(start + 7, 2, "big")] * 2
            found += [Place(start + 4, 1, "big"), Place(start + 9, 1, "big")]
    for entry, size, order in _tiff_entries(data):
        tag = int.from_bytes(data[entry : entry + 2], order)
        if tag in _TIFF_SIZES:
            found.append(Place(entry + (8 if size == 12 else 12), 4, order))
    return [place for place in found if place.position + place.size <= len(data)]


def mended(data: bytes) -> bytes:
    """Make right what a reader would look at first: checksums of PNG, the length of RIFF."""
    if data[:4] == b"RIFF" and len(data) >= 8:
        return data[:4] + struct.pack("<L", len(data) - 8) + data[8:]
    if not data.startswith(_PNG):
        return data
    out = bytearray(data)
    for start, end, _ in _pieces(data):
        if end - start >= 12:
            struct.pack_into(">L", out, end - 4, zlib.crc32(data[start + 4 : end - 4]))
    return bytes(out)


def _pieces(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Walk through chunks (PNG, RIFF), segments (JPEG) or boxes: start, end, name."""
    if data.startswith(_PNG):
        return _chunks(data, 8, ">", 12)
    if data[:4] == b"RIFF":
        return _chunks(data, 12, "<", 8)
    if data[:2] == b"\xff\xd8":
        return _segments(data)
    if data[4:8] in (b"ftyp", b"JXL "):
        return _boxes(data, 0, len(data))
    return iter(())


def _chunks(data: bytes, position: int, order: str, extra: int) -> Iterator[tuple[int, int, bytes]]:
    codes = "L4s" if order == ">" else "4sL"
    while position + extra <= len(data):
        first, second = struct.unpack_from(order + codes, data, position)
        size, name = (first, second) if order == ">" else (second + second % 2, first)
        end = min(len(data), position + size + extra)
        yield position, end, name
        position = end


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        (size,) = struct.unpack_from(">H", data, position + 2)
        end = min(len(data), position + 2 + size)
        name = data[position : position + 2]
        yield position, end, name
        if name == b"\xff\xda":
            return
        position = end


def _boxes(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    while position + 8 <= end:
        size, name = struct.unpack_from(">L4s", data, position)
        close = min(end, position + max(size, 8)) if size != 0 else end
        yield position, close, name
        if name in _CONTAINERS:
            yield from _boxes(data, position + 8 + _CONTAINERS[name], close)
        position = close


def _tiff_entries(data: bytes) -> Iterator[tuple[int, int, Order]]:
    """Walk through the fields of all TIFF structures in a file, EXIF among them.

    Yields:
        Where a field begins, how many bytes it has, and the order of its bytes.
    """
    for header in itertools.islice(_TIFF_HEADER.finditer(data), 3):
        with contextlib.suppress(struct.error, OverflowError):
            yield from _entries_of(data, header.start())


def _entries_of(data: bytes, base: int) -> Iterator[tuple[int, int, Order]]:
    name: Order = "little" if data[base : base + 1] == b"I" else "big"
    order = "<" if name == "little" else ">"
    big = b"+" in data[base : base + 4]
    counter, offset, size = ("Q", "Q", 20) if big else ("H", "L", 12)
    waiting = list(struct.unpack_from(order + offset, data, base + (8 if big else 4)))
    for _ in range(8):
        if not waiting:
            return
        position = base + waiting.pop()
        (count,) = struct.unpack_from(order + counter, data, position)
        position += struct.calcsize("=" + counter)
        for entry in range(position, position + min(count, 64) * size, size):
            (tag,) = struct.unpack_from(order + "H", data, entry)
            yield entry, size, name
            if tag in _TIFF_POINTERS:
                waiting += struct.unpack_from(order + offset, data, entry + (12 if big else 8))
        following = struct.unpack_from(order + offset, data, position + min(count, 64) * size)
        waiting += [number for number in following if number]


@st.composite
def damaged_samples(
    draw: st.DrawFn, samples: Callable[[], Sequence[bytes]], *, header: int
) -> bytes:
    """Draw a file with some bytes changed, mostly in its first `header` ones, or cut short."""
    data = bytearray(draw(st.sampled_from(samples())))
    places = st.one_of(st.integers(0, min(header, len(data)) - 1), st.integers(0, len(data) - 1))
    for place, value in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        data[place] = value
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])
