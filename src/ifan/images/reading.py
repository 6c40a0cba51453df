"""From a file to a photograph."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyvips

from ifan.errors import PictureError
from ifan.images import colour, exif, heif, icc, jpeg, jpegxl, metadata, png, raw, tiff, webp
from ifan.images.errors import DecodingError
from ifan.images.formats import (
    FORMAT_NAMES,
    FORMATS,
    LONGEST_SIGNATURE,
    PictureFormat,
    describe_stranger,
    recognise,
)
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

_COMPLETE_METADATA: Mapping[str, Callable[[Metadata, bytes], Metadata]] = {
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

_IS_FILM: Mapping[str, Callable[[bytes], bool]] = {
    "PNG": png.is_animated,
    "WebP": webp.is_animated,
    "AVIF": heif.is_sequence,
    "HEIC": heif.is_sequence,
    "JPEG XL": jpegxl.is_animated,
}

# Where EXIF may be that libvips does not find.
_EXIF_OF: Mapping[str, Callable[[bytes], bytes | None]] = {
    "PNG": png.exif_of,
    "WebP": webp.exif_of,
}

# What has no place for a density but EXIF; libvips makes some up.
_DENSITY_IN_EXIF = ("WebP", "AVIF", "HEIC", "JPEG XL", "RAW")

_HEIF = ("AVIF", "HEIC")
# By what the file says itself, of which EXIF may have a copy.
_TURNED_BY_DECODER = (*_HEIF, "JPEG XL")

# Of sRGB: primaries, curve and matrix, in codes of ITU-T H.273.
_SRGB_CODES = (1, 13, 1)

# Colour spaces as libvips calls them, and the number of channels without alpha.
_CHANNELS = {"srgb": 3, "rgb": 3, "rgb16": 3, "scrgb": 3, "b-w": 1, "grey16": 1, "cmyk": 4}
_UNUSUAL_NUMBERS = {
    "char": "8-bit signed integers",
    "short": "16-bit signed integers",
    "int": "32-bit signed integers",
    "uint": "32-bit integers",
    "double": "64-bit floats",
    "complex": "complex floats",
    "dpcomplex": "complex floats",
}
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
        with Path(path).open("rb") as file:
            require_picture(file.read(LONGEST_SIGNATURE), path)
            file.seek(0)
            data = file.read()
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


def require_picture(start: bytes, path: Name) -> None:
    """Refuse a file that is in none of `FORMATS`, before it is read whole: it may be of any size.

    Args:
        start: its first `LONGEST_SIGNATURE` bytes.
        path: what to call it in messages.

    Raises:
        PictureError: no reader could be meant for it.
    """
    if recognise(start) is None and not raw.recognises(start):
        reason = describe_stranger(start) if start else "is empty"
        raise PictureError(path, reason, f"give a picture as {FORMAT_NAMES}")


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
    most = MAX_PIXELS if max_pixels is None else max_pixels
    with listening() as warnings, _damage_explained(path):
        _refuse_film(data, picture_format, path)
        if picture_format.name in _HEIF:
            _refuse_hdr(data, path)
        chosen = _chosen_page(data, picture_format, page, path)
        require = partial(_require_size, most, path)
        pixels, found = _decoded(data, picture_format, chosen, require, path)
    for warning in warnings:
        _LOG.warning("%s: was read, but its decoder warns: %s", os.fspath(path), warning)
    found = _finished(found, data, picture_format, path, pixels)
    return _photograph(pixels, found, picture_format, path)


def _decoded(
    data: bytes,
    picture_format: PictureFormat,
    page: tiff.Page | None,
    require: Require,
    path: Name,
) -> tuple[Array, Metadata]:
    """Decode by the package that is for the format, if there is one, else by libvips."""
    extra = _EXTRAS.get(picture_format.name)
    if extra is not None and extra.installed():
        return extra.decode(data, require)
    return _by_libvips(data, picture_format, page, require, path)


def _finished(
    found: Metadata, data: bytes, picture_format: PictureFormat, path: Name, pixels: Array
) -> Metadata:
    """Add to the metadata what a format has in another place than decoders look in."""
    height, width, channels = pixels.shape
    if picture_format.name in _HEIF and found.icc is None:
        found = replace(found, icc=_coded_profile(data, path, is_grey=channels < 3))
    if picture_format.name in _TURNED_BY_DECODER and found.exif:
        found = replace(found, orientation=exif.orientation_before(found.exif, height, width))
    if picture_format.name in _DENSITY_IN_EXIF:
        found = replace(found, density=exif.density_of(found.exif) if found.exif else None)
    return found


def _photograph(
    pixels: Array, found: Metadata, picture_format: PictureFormat, path: Name
) -> Photograph:
    """Part the channels, of which there are one to four, into colours and alpha."""
    colours, has_alpha = divmod(pixels.shape[2] - 1, 2)
    channels = 3 if colours else 1
    return Photograph(
        pixels=np.ascontiguousarray(pixels[..., :3] if channels == 3 else pixels[..., 0]),
        alpha=np.ascontiguousarray(pixels[..., channels]) if has_alpha else None,
        format=picture_format.name,
        metadata=found,
        path=Path(path),
    )


def _recognised(data: bytes, path: Name) -> PictureFormat:
    require_picture(data, path)
    picture_format = recognise(data)
    if picture_format is None or raw.recognises(data):
        return FORMATS["RAW"]
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


@contextmanager
def _unread_explained(page: tiff.Page | None, path: Name) -> Iterator[None]:
    """Say of a TIFF file that libvips cannot read, but that is not damaged, what it is."""
    try:
        yield
    except pyvips.Error as error:
        obstacle = page.obstacle(str(error)) if page is not None else None
        if obstacle is None:
            raise
        forget_errors()
        raise PictureError(path, *obstacle) from error


def _refuse_film(data: bytes, picture_format: PictureFormat, path: Name) -> None:
    is_film = _IS_FILM.get(picture_format.name)
    if is_film is not None and is_film(data):
        raise PictureError(path, "is an animation", "give a single picture of it")


def _refuse_hdr(data: bytes, path: Name) -> None:
    _, curve, _ = heif.nclx(data) or _SRGB_CODES
    if curve in icc.HDR_CURVES:
        reason = f"is an HDR picture, with the curve {icc.HDR_CURVES[curve]}"
        raise PictureError(path, reason, "give it as an SDR picture")


def _chosen_page(
    data: bytes, picture_format: PictureFormat, number: int | None, path: Name
) -> tiff.Page | None:
    """Return how the picture that is meant is coded; None where that is for the decoder to see."""
    if picture_format.name != "TIFF":
        _require_page(number, 1, path)
        return None
    found = tiff.survey(data)
    # Smaller copies are no pages, unless there is nothing else.
    pages = tuple(page for page in found if not page.is_reduced) or found
    _require_page(number, len(pages), path)
    chosen = pages[(number or 1) - 1]
    if chosen.is_lab:
        raise PictureError(path, "is a CIELAB picture", "convert it to RGB")
    if chosen.misread is not None:
        remedy = "convert it to 16 bits, or to floats of RGB"
        raise PictureError(path, f"has floats of {chosen.misread}", remedy)
    return chosen


def _require_page(number: int | None, count: int, path: Name) -> None:
    """Refuse the number of a page that is not there, and none where there are several."""
    if number is None and count > 1:
        remedy = f"choose one by --page 1 to {count}, or split it into a file a page"
        raise PictureError(path, f"has {count} pages", remedy)
    if number is not None and not 1 <= number <= count:
        reason = "has 1 page" if count == 1 else f"has {count} pages"
        raise PictureError(path, f"{reason}, not {number}", "choose another --page")


def _require_size(most: int, path: Name, width: int, height: int) -> None:
    if width * height > most:
        reason = f"has {width}x{height} pixels, more than {most} are not read"
        raise PictureError(path, reason, "give --max-pixels if the file is to be trusted")


def _by_libvips(
    data: bytes,
    picture_format: PictureFormat,
    page: tiff.Page | None,
    require: Require,
    path: Name,
) -> tuple[Array, Metadata]:
    """Decode by the loader of the table and no other: the rest is not for strangers' files."""
    if not has_operation(picture_format.loader):
        raise _needs_extra(picture_format, path)
    with _unread_explained(page, path):
        image = _opened(data, picture_format, page, path)
        require(image.width, image.height)
        _refuse_pixels(image, path)
        if picture_format.name in _EXIF_OF and not image.get_typeof("exif-data"):
            image = _with_orientation(image, _EXIF_OF[picture_format.name](data))
        try:
            pixels, profile = _upright_pixels(image)
        except pyvips.Error as error:
            if picture_format.name in _EXTRAS and "not been built in" in str(error):
                raise _needs_extra(picture_format, path) from error
            raise
    found = _completed(metadata.from_header(image), data, picture_format, page)
    if picture_format.name in _HEIF:
        pixels = _as_heif_says(pixels, data, found.bits)
    # That of PNG may be in chunks that libvips does not read.
    return pixels, found if picture_format.name == "PNG" else replace(found, icc=profile)


def _opened(
    data: bytes, picture_format: PictureFormat, page: tiff.Page | None, path: Name
) -> pyvips.Image:
    """Have libvips read the header; of a TIFF file, that of the page."""
    # Else libvips unpacks large pictures into a temporary file, for which there may be no room.
    load = partial(getattr(pyvips.Image, picture_format.loader), data, memory=True)
    if page is None:
        return load(fail_on="error")
    # For libvips a tile that is missing or damaged is worth a warning, and black.
    fail_on = "warning" if page.is_tiled else "error"
    return _without_extra(load(fail_on=fail_on, page=page.directory), page, path)


def _without_extra(image: pyvips.Image, page: tiff.Page, path: Name) -> pyvips.Image:
    """Leave out the channels that are neither colours nor alpha: selections, spot colours."""
    colours = _CHANNELS.get(image.interpretation, image.bands)
    extra = image.bands - colours
    # Many channels of which the file says nothing, or of no photograph, are no extra ones.
    is_unclear = not page.extra or (colours == 1 and not page.is_of_photoshop)
    if extra < 1 or (extra > 1 and is_unclear):
        return image
    kept = image.extract_band(0, n=colours)
    if page.alpha is not None and page.alpha < extra:
        kept = kept.bandjoin(image[colours + page.alpha])
    left_out = image.bands - kept.bands
    if left_out:
        what = "extra channel is" if left_out == 1 else f"{left_out} extra channels are"
        _LOG.warning("%s: its %s left out", os.fspath(path), what)
    return kept.copy(interpretation=image.interpretation)


def _completed(
    header: Metadata, data: bytes, picture_format: PictureFormat, page: tiff.Page | None
) -> Metadata:
    """Add to what libvips found in a file what it did not."""
    if page is not None:
        return tiff.completed(header, data, page.directory)
    return _COMPLETE_METADATA[picture_format.name](header, data)


def _coded_profile(data: bytes, path: Name, *, is_grey: bool) -> bytes | None:
    """Return a profile for the colours that a HEIF file names by codes; None for sRGB."""
    primaries, curve, _ = heif.nclx(data) or _SRGB_CODES
    _warn_of_codes(primaries, curve, path)
    space = icc.SPACES.get(primaries, icc.Colours())
    colours = space._replace(exponent=icc.EXPONENTS.get(curve))
    if colours.exponent is None and (is_grey or colours == icc.Colours()):
        return None
    return (
        colour.display_p3() if colours == icc.DISPLAY_P3 else icc.profile(colours, is_grey=is_grey)
    )


def _warn_of_codes(primaries: int, curve: int, path: Name) -> None:
    if primaries not in icc.SPACES:
        _LOG.warning("%s: its colours (code %d) are taken for sRGB", os.fspath(path), primaries)
    if curve not in icc.SRGB_CURVES and curve not in icc.EXPONENTS:
        what = "%s: its curve (code %d) is taken for that of sRGB"
        _LOG.warning(what, os.fspath(path), curve)


def _as_heif_says(pixels: Array, data: bytes, bits: int | None) -> Array:
    """Do what libvips leaves undone: full range for 10 and 12 bits, colours without their alpha."""
    if bits is not None:
        pixels = full_range(pixels >> (16 - bits), bits)
    return straight(pixels) if heif.is_premultiplied(data) else pixels


def _needs_extra(picture_format: PictureFormat, path: Name) -> PictureError:
    remedy = "install it with: pip install 'ifan[raw]'"
    return PictureError(path, f"is {picture_format.name}, which needs an extra", remedy)


def _with_orientation(image: pyvips.Image, block: bytes | None) -> pyvips.Image:
    """Tell libvips the orientation in an EXIF block that it has not found."""
    if block is None:
        return image
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", exif.orientation_of(block))
    return image


def _upright_pixels(image: pyvips.Image) -> tuple[Array, bytes | None]:
    """Compute the pixels, HxWxC of RGB or grey, and say which colour profile they have."""
    image = image.autorot()
    if image.interpretation == "cmyk":
        image = colour.cmyk_to_srgb(image)
    return to_array(image), metadata.icc_of(image)


def _refuse_pixels(image: pyvips.Image, path: Name) -> None:
    """Refuse pixels that are not RGB, grey or CMYK, with or without alpha, in a usual dtype."""
    space = image.interpretation
    if space not in _CHANNELS:
        raise PictureError(path, f"is a {space} picture", "convert it to RGB")
    if image.format not in ("uchar", "ushort", "float"):
        numbers = _UNUSUAL_NUMBERS.get(image.format, "an unusual kind")
        reason = f"has pixels of {numbers}"
        raise PictureError(path, reason, "convert it to 8 or 16 bits, or to 32-bit floats")
    extra = image.bands - _CHANNELS[space]
    if extra not in (0, 1):
        reason = f"has {image.bands} channels"
        raise PictureError(path, reason, "flatten it to RGB, with or without transparency")
