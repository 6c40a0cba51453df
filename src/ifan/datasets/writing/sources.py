"""Photographs to make scenes of, and what is known of their depth."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ifan.datasets.writing.layout import holds_scenes
from ifan.errors import IfanError, PictureError
from ifan.files import sha256_of
from ifan.images import Rendition, is_picture_name, read_photograph

ENOUGH_SHARPNESS = 0.5
"""Photographs that are less sharp, see `ifan.datasets.simulated.sharpness`, are left out."""


@dataclass(frozen=True)
class Source:
    """A photograph and its depth.

    Attributes:
        name: of the photograph below its folder, with / between parts.
        photograph: its file.
        depth: the file of its depth or circle of confusion, if there is one.
    """

    name: str
    photograph: Path
    depth: Path | None


@dataclass(frozen=True)
class Finding:
    """What became of a photograph that was looked at.

    Attributes:
        source: the photograph.
        refusal: why it is left out; None if scenes are made of it.
        sha256: of its file; None if it is left out.
        depth_sha256: of the file of its depth, if it has one.
    """

    source: Source
    refusal: str | None = None
    sha256: str | None = None
    depth_sha256: str | None = None


def find_sources(photos: Path, depths: Path | None) -> list[Source]:
    """Find the pictures in a folder and those below it, in order, and their depths.

    Hidden files and folders are left out, as are simulated scenes, and links to folders are not
    followed.

    Args:
        photos: the folder.
        depths: a folder where depths lie as the photographs do in theirs, with any suffix.

    Raises:
        IfanError: there is no such folder, no picture in it, or no depth for any of them.
    """
    names = _pictures_below(photos)
    if not names:
        raise IfanError(photos, "has no pictures in it", "give a folder of sharp photographs")
    known = {} if depths is None else _by_stem(depths, _pictures_below(depths))
    sources = [Source(name, photos / name, known.get(_stem(name))) for name in names]
    if depths is not None and not any(source.depth for source in sources):
        reason = "has no depth for any of the photographs"
        raise IfanError(depths, reason, "name depths as the photographs, a.tif for a.jpg")
    return sources


def judge(source: Source) -> Finding:
    """Look whether scenes can be made of a photograph: readable, sharp, with a depth that fits."""
    from ifan.datasets.simulated import sharpness

    try:
        pixels = read_pixels(source.photograph)
        if sharpness(pixels) < ENOUGH_SHARPNESS:
            return Finding(source, f"{source.photograph}: is not sharp; {source.name} is left out")
        if source.depth is not None:
            _require_size(read_depth(source.depth), pixels, source.depth)
        return Finding(source, None, *checksums(source))
    except IfanError as error:
        return Finding(source, f"{error.subject}: {error.reason}; {source.name} is left out")


def checksums(source: Source) -> tuple[str, str | None]:
    """Return the SHA-256 of a photograph and of its depth.

    Raises:
        PictureError: one cannot be read.
    """
    try:
        depth = None if source.depth is None else sha256_of(source.depth)
        return sha256_of(source.photograph), depth
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise PictureError(source.photograph, reason, "check the name and the disk") from error


def read_pixels(path: Path) -> npt.NDArray[np.uint8]:
    """Read a photograph as HxWx3, sRGB-coded, whatever its own colours and bits are.

    Raises:
        PictureError: it cannot be read.
    """
    photograph = read_photograph(path)
    view = Rendition(photograph, photograph.height, photograph.width).view
    pixels = np.empty(view.shape, np.uint8)
    for channel in range(3):  # one by one, which takes less memory
        pixels[..., channel] = np.rint(view[..., channel] * 255)
    return pixels


def read_depth(path: Path) -> npt.NDArray[np.float32]:
    """Read a map of depths, HxW, in any unit.

    A map with negative numbers is one of circles of confusion, negative in front of focus. They are
    turned into depths: coc = a - b / z, and as scenes are focused anew, any a and b will do.

    Raises:
        PictureError: it cannot be read, has several channels, or depths that are not positive.
    """
    values = read_photograph(path).pixels.astype(np.float32)
    if values.ndim != 2:
        raise PictureError(path, "is in colours, no map of depths", "give a grey picture")
    if (values < 0).any() and np.isfinite(values).all():
        # Any distance from the largest makes depths finite; this one keeps them precise.
        values = 1 / (values.max() - values + max(float(np.ptp(values)), 1.0))
    if not (values > 0).all():
        raise PictureError(path, "has depths that are not positive", "fill in what is not known")
    return values


class Shelf(Sequence[Any]):
    """A sequence that reads an item when it is asked for it, and keeps those used last.

    Args:
        paths: of the items; None where there is none.
        read: reads one.
        most_bytes: how much is kept; the one used last is in any case.
    """

    def __init__(
        self,
        paths: Sequence[Path | None],
        read: Callable[[Path], npt.NDArray[Any]],
        most_bytes: int,
    ) -> None:
        self._paths = paths
        self._read = read
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Path, npt.NDArray[Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: Any) -> Any:
        path = self._paths[number]
        if path is None:
            return None
        if path not in self._kept:
            self._kept[path] = self._read(path)
        self._kept.move_to_end(path)
        while len(self._kept) > 1 and self._bytes() > self._most_bytes:
            self._kept.popitem(last=False)
        return self._kept[path]

    def _bytes(self) -> int:
        return sum(item.nbytes for item in self._kept.values())


def _require_size(
    depth: npt.NDArray[np.float32], pixels: npt.NDArray[np.uint8], path: Path
) -> None:
    if depth.shape != pixels.shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (depth.shape, pixels.shape[:2])]
        reason = f"has {sizes[0]} pixels, its photograph {sizes[1]}"
        raise PictureError(path, reason, "give a depth for each pixel")


def _pictures_below(folder: Path) -> list[str]:
    """Return the names of all pictures below a folder, sorted, with / between parts."""
    names: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not holds_scenes(Path(parent, name))
        ]
        below = Path(parent).relative_to(folder)
        names += [(below / name).as_posix() for name in files if is_picture_name(name)]
    return sorted(names)


def _refuse_folder(error: OSError) -> None:
    reason = f"cannot be read ({error.strerror})"
    raise IfanError(str(error.filename), reason, "check the name of the folder") from error


def _by_stem(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name in names:
        other = found.setdefault(_stem(name), folder / name)
        if other != folder / name:
            reason = f"is there twice, as {other.name} too"
            raise IfanError(folder / name, reason, "keep one of them")
    return found


def _stem(name: str) -> str:
    return str(Path(name).with_suffix(""))
