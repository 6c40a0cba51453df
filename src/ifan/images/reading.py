"""From a file to a photograph."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyvips

from ifan.errors import PictureError
from ifan.images import jpeg, metadata, png, tiff
from ifan.images.formats import FORMAT_NAMES, PictureFormat, describe_stranger, recognise
from ifan.images.libvips import explain, to_array
from ifan.images.metadata import Metadata
from ifan.images.photograph import Photograph
from ifan.images.tiff_structure import StructureError

_COMPLETED: Mapping[str, Callable[[Metadata, bytes], Metadata]] = {
    "JPEG": jpeg.completed,
    "PNG": png.completed,
    "TIFF": tiff.completed,
}

# Colour spaces as libvips calls them, and the number of channels without alpha.
_CHANNELS = {"srgb": 3, "rgb": 3, "rgb16": 3, "b-w": 1, "grey16": 1}
_WHOLE = "get a complete copy of it"
_SPACE_NAMES = {"cmyk": "CMYK"}


def read_photograph(path: str | os.PathLike[str]) -> Photograph:
    """Read a photograph, upright, with its metadata.

    The content tells the format, not the name.

    Args:
        path: a JPEG, PNG or TIFF file of 8 or 16 bits, RGB or grey, with or without alpha.

    Raises:
        PictureError: there is no such file, or it is not, or not wholly, such a picture.
    """
    try:
        if not (Path(path).is_file() or Path(path).is_dir()) and Path(path).exists():
            raise PictureError(path, "is no regular file", f"give a picture as {FORMAT_NAMES}")
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise PictureError(path, "does not exist", "check the name") from error
    except IsADirectoryError as error:
        raise PictureError(path, "is a folder", "name a picture in it") from error
    except PermissionError as error:
        raise PictureError(path, "may not be read", "check its permissions") from error
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise PictureError(path, reason, "check the name and the disk") from error
    return decode_photograph(data, path)


def decode_photograph(data: bytes, path: str | os.PathLike[str]) -> Photograph:
    """Read a photograph from the bytes of a file.

    Args:
        data: the whole file.
        path: what to call it in messages.

    Raises:
        PictureError: as `read_photograph`.
    """
    picture_format = recognise(data)
    if picture_format is None:
        reason = describe_stranger(data) if data else "is empty"
        raise PictureError(path, reason, f"give a picture as {FORMAT_NAMES}")
    _refuse_unlike(data, picture_format, path)
    try:
        # A loader of the table and no other: the rest of libvips is not for strangers' files.
        load = getattr(pyvips.Image, picture_format.loader)
        image = load(data, fail_on="error")
        _refuse_pixels(image, path)
        pixels = to_array(image.autorot())
    except pyvips.Error as error:
        reason = f"is damaged or cut short ({explain(error)})"
        raise PictureError(path, reason, _WHOLE) from error
    channels = _CHANNELS[image.interpretation]
    colour = pixels[..., :channels] if channels == 3 else pixels[..., 0]
    found = _COMPLETED[picture_format.name](metadata.from_header(image), data)
    return Photograph(
        pixels=np.ascontiguousarray(colour),
        alpha=np.ascontiguousarray(pixels[..., channels]) if image.bands > channels else None,
        format=picture_format.name,
        metadata=found,
        path=Path(path),
    )


def _refuse_unlike(
    data: bytes, picture_format: PictureFormat, path: str | os.PathLike[str]
) -> None:
    """Refuse files that hold more than one photograph, or another than a loader would find."""
    if picture_format.name == "PNG" and png.is_animated(data):
        raise PictureError(path, "is an animation", "give a single picture of it")
    if picture_format.name != "TIFF":
        return
    try:
        found = tiff.survey(data)
    except StructureError as error:
        raise PictureError(path, f"is damaged or cut short ({error})", _WHOLE) from error
    if found.is_camera_raw:
        remedy = f"develop it and give a picture as {FORMAT_NAMES}"
        raise PictureError(path, "is a camera RAW file", remedy)
    if found.is_lab:
        raise PictureError(path, "is a CIELAB picture", "convert it to RGB")
    if found.pages > 1:
        raise PictureError(path, f"has {found.pages} pages", "split it first, into a file a page")


def _refuse_pixels(image: pyvips.Image, path: str | os.PathLike[str]) -> None:
    """Refuse pixels that are not 8 or 16 bits of RGB or grey, with or without alpha."""
    space = image.interpretation
    if image.format in ("float", "double"):
        raise PictureError(path, "has floating-point pixels", "convert it to 16 bits")
    if space not in _CHANNELS:
        name = _SPACE_NAMES.get(space, space)
        raise PictureError(path, f"is a {name} picture", "convert it to RGB")
    if image.format not in ("uchar", "ushort"):
        reason = f"has pixels of an unusual kind ({image.format})"
        raise PictureError(path, reason, "convert it to 8 or 16 bits")
    extra = image.bands - _CHANNELS[space]
    if extra not in (0, 1):
        reason = f"has {image.bands} channels"
        raise PictureError(path, reason, "flatten it to RGB, with or without transparency")
