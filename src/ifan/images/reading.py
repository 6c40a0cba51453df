"""From a file to a photograph."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyvips

from ifan.errors import PictureError
from ifan.images import colour, exif, heif, jpeg, jpegxl, metadata, png, raw, tiff, webp
from ifan.images.errors import DecodingError
from ifan.images.formats import FORMAT_NAMES, FORMATS, PictureFormat, describe_stranger, recognise
from ifan.images.jpegxl_header import HDR_CURVES
from ifan.images.libvips import explain, forget_errors, has_operation, listening, to_array
from ifan.images.metadata import Metadata
from ifan.images.photograph import Photograph
from ifan.images.samples import full_range, straight
from ifan.images.tiff_structure import StructureError

MAX_PIXELS = 500_000_000
"""More than any camera has: larger files are made to exhaust memory, or by stitching."""

_LOG = logging.getLogger("ifan")

Name: TypeAlias = "str | os.PathLike[str]"
Array: TypeAlias = npt.NDArray[Any]
Require: TypeAlias = Callable[[int, int], None]

_COMPLETED: Mapping[str, Callable[[Metadata, bytes], Metadata]] = {
    "JPEG": jpeg.completed,
    "PNG": png.completed,
    "WebP": webp.completed,
    "AVIF": heif.completed,
    "HEIC": heif.completed,
    "JPEG XL": jpegxl.completed,
    "RAW": raw.completed,
}


@dataclass(frozen=True)
class _Extra:
    """Decodes a format that few builds of libvips know, by packages of `ifan[raw]`."""

    decode: Callable[[bytes, Require], tuple[Array, Metadata]]
    packages: tuple[str, ...]

    def installed(self) -> bool:
        return all(importlib.util.find_spec(package) for package in self.packages)


_EXTRAS: Mapping[str, _Extra] = {
    "HEIC": _Extra(heif.decode, ("pi_heif",)),
    "JPEG XL": _Extra(jpegxl.decode, ("imagecodecs", "pylibjxl")),
    "RAW": _Extra(raw.decode, ("rawpy",)),
}

_MANY: Mapping[str, Callable[[bytes], bool]] = {
    "PNG": png.is_animated,
    "WebP": webp.is_animated,
    "AVIF": heif.is_sequence,
    "HEIC": heif.is_sequence,
    "JPEG XL": jpegxl.is_animated,
}
"""What tells of a file of a format that it holds a film."""

# What has no place for a density but EXIF.
_DENSITY_IN_EXIF = ("WebP", "AVIF", "HEIC", "JPEG XL", "RAW")

# Colour spaces as libvips calls them, and the number of channels without alpha.
_CHANNELS = {"srgb": 3, "rgb": 3, "rgb16": 3, "scrgb": 3, "b-w": 1, "grey16": 1, "cmyk": 4}
_WHOLE = "get a complete copy of it"


def read_photograph(
    path: Name, *, page: int | None = None, max_pixels: int | None = None
) -> Photograph:
    """Read a photograph, upright, with its metadata.

    The content tells the format, not the name. Palettes, CMYK and integers of 1, 2 and 4 bits
    become the RGB or grey that they mean. What a decoder warns of is logged ("ifan").

    Args:
        path: a file in one of `FORMATS`; some need `ifan[raw]`.
        page: which one of a TIFF file of several, from 1; None where there is but one.
        max_pixels: larger pictures are refused before memory is taken for them; None is
            `MAX_PIXELS`.

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
    return decode_photograph(data, path, page=page, max_pixels=max_pixels)


def decode_photograph(
    data: bytes, path: Name, *, page: int | None = None, max_pixels: int | None = None
) -> Photograph:
    """Read a photograph from the bytes of a file.

    Args:
        data: the whole file.
        path: what to call it in messages.
        page: as `read_photograph`.
        max_pixels: as `read_photograph`.

    Raises:
        PictureError: as `read_photograph`.
    """
    picture_format = _recognised(data, path)
    with listening() as warnings, _damage_explained(path):
        directory = _the_one(data, picture_format, page, path)

        def require(width: int, height: int) -> None:
            _require_size(width, height, max_pixels or MAX_PIXELS, path)

        extra = _EXTRAS.get(picture_format.name)
        if extra is not None and extra.installed():
            pixels, found = extra.decode(data, require)
        else:
            pixels, found = _by_libvips(data, picture_format, directory, require, path)
    if picture_format.name in ("AVIF", "HEIC") and found.icc is None:
        found = replace(found, icc=_coded_profile(data, path))
    if found.density is None and found.exif and picture_format.name in _DENSITY_IN_EXIF:
        found = replace(found, density=exif.density_of(found.exif))
    for warning in warnings:
        _LOG.warning("%s: was read, but its decoder warns: %s", os.fspath(path), warning)
    channels = 3 if pixels.shape[2] > 2 else 1
    return Photograph(
        pixels=np.ascontiguousarray(pixels[..., :3] if channels == 3 else pixels[..., 0]),
        alpha=_alpha(pixels, channels),
        format=picture_format.name,
        metadata=found,
        path=Path(path),
    )


def _recognised(data: bytes, path: Name) -> PictureFormat:
    picture_format = FORMATS["RAW"] if raw.recognises(data) else recognise(data)
    if picture_format is None:
        reason = describe_stranger(data) if data else "is empty"
        raise PictureError(path, reason, f"give a picture as {FORMAT_NAMES}")
    return picture_format


@contextmanager
def _damage_explained(path: Name) -> Iterator[None]:
    """Turn what decoders say of damaged files into a `PictureError`."""
    forget_errors()
    try:
        yield
    except (pyvips.Error, UnicodeDecodeError) as error:
        reason = f"is damaged or cut short ({explain(error)})"
        raise PictureError(path, reason, _WHOLE) from error
    except StructureError as error:
        raise PictureError(path, f"is damaged or cut short ({error})", _WHOLE) from error
    except DecodingError as error:
        remedy = f"{_WHOLE}, or convert it to TIFF or JPEG"
        raise PictureError(path, f"cannot be decoded ({error})", remedy) from error


def _the_one(data: bytes, picture_format: PictureFormat, page: int | None, path: Name) -> int:
    """Return which picture of the file is meant, counted as libvips does; refuse films."""
    is_film = _MANY.get(picture_format.name)
    if is_film is not None and is_film(data):
        raise PictureError(path, "is an animation", "give a single picture of it")
    pages: tuple[int, ...] = (0,)
    if picture_format.name == "TIFF":
        found = tiff.survey(data)
        if found.is_lab:
            raise PictureError(path, "is a CIELAB picture", "convert it to RGB")
        pages = found.pages
    if page is None and len(pages) > 1:
        remedy = f"choose one by --page 1 to {len(pages)}, or split it into a file a page"
        raise PictureError(path, f"has {len(pages)} pages", remedy)
    if page is not None and not 1 <= page <= len(pages):
        reason = "has 1 page" if len(pages) == 1 else f"has {len(pages)} pages"
        raise PictureError(path, f"{reason}, not {page}", "choose another --page")
    return pages[(page or 1) - 1]


def _require_size(width: int, height: int, max_pixels: int, path: Name) -> None:
    if width * height > max_pixels:
        reason = f"has {width}x{height} pixels, more than {max_pixels} are not read"
        raise PictureError(path, reason, "give --max-pixels if the file is to be trusted")


def _by_libvips(
    data: bytes, picture_format: PictureFormat, directory: int, require: Require, path: Name
) -> tuple[Array, Metadata]:
    """Decode by the loader of the table and no other: the rest is not for strangers' files."""
    if not has_operation(picture_format.loader):
        raise _needs_extra(picture_format, path)
    load = getattr(pyvips.Image, picture_format.loader)
    options: dict[str, str | int] = {"fail_on": "error"}
    if picture_format.name == "TIFF":
        # For libvips a tile that is missing or damaged is worth a warning, and black.
        fail_on = "warning" if tiff.is_tiled(data, directory) else "error"
        options = {"fail_on": fail_on, "page": directory}
    image = load(data, **options)
    require(image.width, image.height)
    _refuse_pixels(image, path)
    try:
        pixels, icc = _upright(image)
    except pyvips.Error as error:
        if picture_format.name in _EXTRAS and "not been built in" in str(error):
            raise _needs_extra(picture_format, path) from error
        raise
    header = metadata.from_header(image)
    if picture_format.name == "TIFF":
        found = tiff.completed(header, data, directory)
    else:
        found = _COMPLETED[picture_format.name](header, data)
    if picture_format.name in ("AVIF", "HEIC"):
        pixels = _as_heif_says(pixels, data, found.bits)
    return pixels, replace(found, icc=icc)


# Colour codes of ITU-T H.273: primaries of sRGB, and unknown ones; of Display P3.
_SRGB_PRIMARIES, _P3_PRIMARIES = (1, 2), (11, 12)


def _coded_profile(data: bytes, path: Name) -> bytes | None:
    """Return a profile for the colours that a HEIF file names by a code; None for sRGB."""
    primaries, curve, _ = heif.nclx(data) or (1, 13, 1)
    if curve in HDR_CURVES:
        reason = f"is an HDR picture, with the curve {HDR_CURVES[curve]}"
        raise PictureError(path, reason, "give it as an SDR picture")
    if primaries in _P3_PRIMARIES:
        return colour.display_p3()
    if primaries not in _SRGB_PRIMARIES:
        _LOG.warning("%s: its colours (code %d) are taken for sRGB", os.fspath(path), primaries)
    return None


def _as_heif_says(pixels: Array, data: bytes, bits: int | None) -> Array:
    """Do what libvips leaves undone: full range for 10 and 12 bits, colours without their alpha."""
    if bits is not None:
        pixels = full_range(pixels >> (16 - bits), bits)
    return straight(pixels) if heif.is_premultiplied(data) else pixels


def _needs_extra(picture_format: PictureFormat, path: Name) -> PictureError:
    remedy = "install it with: pip install 'ifan[raw]'"
    return PictureError(path, f"is {picture_format.name}, which needs an extra", remedy)


def _upright(image: pyvips.Image) -> tuple[Array, bytes | None]:
    """Compute the pixels, HxWxC of RGB or grey, and say which colour profile they have."""
    image = image.autorot()
    if image.interpretation == "cmyk":
        image = colour.cmyk_to_srgb(image)
    return to_array(image), metadata.icc_of(image)


def _alpha(pixels: Array, channels: int) -> Array | None:
    """Return the alpha channel, None if there is none or nothing is transparent by it."""
    if pixels.shape[2] == channels:
        return None
    return np.ascontiguousarray(pixels[..., channels])


def _refuse_pixels(image: pyvips.Image, path: Name) -> None:
    """Refuse pixels that are not RGB, grey or CMYK, with or without alpha, in a usual dtype."""
    space = image.interpretation
    if space not in _CHANNELS:
        raise PictureError(path, f"is a {space} picture", "convert it to RGB")
    if image.format not in ("uchar", "ushort", "float"):
        reason = f"has pixels of an unusual kind ({image.format})"
        raise PictureError(path, reason, "convert it to 8 or 16 bits, or to 32-bit floats")
    extra = image.bands - _CHANNELS[space]
    if extra not in (0, 1):
        reason = f"has {image.bands} channels"
        raise PictureError(path, reason, "flatten it to RGB, with or without transparency")
