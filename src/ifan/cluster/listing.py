"""Which photographs there are, where each result goes, and how they are dealt out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple, Self

from ifan.cluster.storage import Entry, Missed, Storage
from ifan.images import FORMATS, INPUT_SUFFIXES
from ifan.worklist.searching import is_photograph

PARCEL_PIXELS = 64e6
"""What a parcel holds at most, as far as the sizes of the files tell, unless it is one picture."""

PARCEL_PICTURES = 16

_GROWN_AFTER, _MOST_GROWN = 1000, 16
"""In a large archive parcels become larger: so many times, after so many parcels each. The driver
handles each one, and there is time enough for the last ones to end at different moments."""

_PIXELS_PER_BYTE: Mapping[str, float] = {
    "JPEG": 3, "PNG": 0.5, "TIFF": 0.25, "WebP": 6, "AVIF": 8, "HEIC": 6, "JPEG XL": 4, "RAW": 0.8,
}  # fmt: skip
"""Of photographs as cameras and programs make them. A wrong guess makes a parcel larger or smaller;
parcels go to whoever is free, so that costs little."""


class Picture(NamedTuple):
    """A photograph that was found.

    Attributes:
        source: the photograph, from the folder of sources.
        target: its result, from the folder of targets.
        size: of the file, in bytes.
        stamp: differs when the photograph has been changed.
        is_begun: a batch before has made its result, or was killed when it may have.
    """

    source: str
    target: str
    size: int
    stamp: str
    is_begun: bool = False

    @property
    def pixels(self) -> float:
        """How many pixels it may have, by the size of its file."""
        return pixels_of(self.source, self.size)


class Parcel(NamedTuple):
    """Photographs that one worker deblurs in one go.

    Attributes:
        pictures: the photographs.
    """

    pictures: tuple[Picture, ...]

    @property
    def pixels(self) -> float:
        """How many pixels they may have, by the sizes of their files."""
        return sum(picture.pixels for picture in self.pictures)

    @property
    def name(self) -> str:
        """A name that the same photographs always have."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:24]

    def to_json(self) -> str:
        """Return it as text; names may hold bytes that are no UTF-8."""
        return json.dumps(self.pictures)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the parcel that a text is of."""
        return cls(tuple(Picture(*fields) for fields in json.loads(text)))


def pixels_of(name: str, size: int) -> float:
    """Return how many pixels a photograph may have, by the size of its file in bytes."""
    return size * _PIXELS_PER_BYTE[INPUT_SUFFIXES[PurePosixPath(name).suffix.lower()].name]


def photographs(source: Storage, target: Storage, missed: Missed | None = None) -> Iterator[Entry]:
    """Yield the photographs below a folder, as files.

    Hidden files, earlier results, and the folder for results, should it lie in that of the sources,
    are left out.

    Args:
        source: where they are.
        target: where results go.
        missed: as for `Storage.entries`.

    Raises:
        IfanError: a folder cannot be listed.
    """
    results = target.below(source)

    def left_out(folder: str) -> bool:
        return _is_hidden(folder) or folder == results

    for entry in source.entries(leave_out=left_out, missed=missed):
        if is_photograph(PurePosixPath(entry.path)):
            yield entry


def pictures(source: Storage, target: Storage, missed: Missed | None = None) -> Iterator[Picture]:
    """Yield the photographs below a folder, with where their results go; as `photographs`."""
    for entry in photographs(source, target, missed):
        yield Picture(entry.path, _target(entry, source), entry.size, entry.stamp)


def parcels(found: Iterable[Picture]) -> Iterator[Parcel]:
    """Deal photographs out into parcels of about as many pixels."""
    waiting: list[Picture] = []
    pixels, number = 0.0, 0
    for picture in found:
        times = growth(number)
        is_enough = pixels + picture.pixels > times * PARCEL_PIXELS
        if waiting and (is_enough or len(waiting) == times * PARCEL_PICTURES):
            yield Parcel(tuple(waiting))
            waiting, pixels, number = [], 0.0, number + 1
        waiting.append(picture)
        pixels += picture.pixels
    if waiting:
        yield Parcel(tuple(waiting))


def growth(number: int) -> int:
    """Return how many times as large as the first a parcel may be, by its number from 0."""
    return min(_MOST_GROWN, 1 + number // _GROWN_AFTER)


def _target(entry: Entry, source: Storage) -> str:
    """Return where the result goes: a photograph's own name, if its format is written.

    `IMG_1.HEIC` becomes `IMG_1-HEIC.jpg`, as there may be an `IMG_1.jpg`, too, and even an
    `IMG_1.heic`; if there is a photograph of that name, a number is added.
    """
    path = PurePosixPath(entry.path)
    own = INPUT_SUFFIXES[path.suffix.lower()]
    result = FORMATS[own.result]
    if result is own:
        return entry.path
    plain = f"{path.stem}-{path.suffix[1:]}"
    target, number = path.with_name(f"{plain}{result.suffix}"), 2
    while _is_there(source, str(target)):
        target, number = path.with_name(f"{plain}-{number}{result.suffix}"), number + 1
    return str(target)


def _is_there(source: Storage, path: str) -> bool:
    try:
        return source.entry(path) is not None
    except OSError:  # in a folder that may not be entered, as the photograph will tell
        return False


def _is_hidden(path: str) -> bool:
    return PurePosixPath(path).name.startswith(".")
