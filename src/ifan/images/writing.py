"""From a photograph to a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips

from ifan.errors import OutputError
from ifan.files import write_atomically
from ifan.images import exif, jpeg, png, tiff
from ifan.images.formats import FORMATS, OUTPUT_SUFFIXES, PictureFormat
from ifan.images.libvips import explain, to_image
from ifan.images.metadata import DoesNotFitError, Metadata, into_header, upright_xmp
from ifan.images.photograph import Photograph, Pixels

_EMBED: Mapping[str, Callable[[bytes, Metadata], bytes]] = {
    "JPEG": jpeg.embed,
    "PNG": png.embed,
    "TIFF": tiff.embed,
}

# The ICC profile, in libvips' numbers; `metadata` says why no more.
_KEEP = 8

# Classic TIFF ends at 4 GiB, and incompressible pixels grow a little.
_LARGEST_CLASSIC_TIFF = 4_000_000_000
_BYTES = {"uchar": 1, "ushort": 2, "float": 4}


def write_photograph(
    photograph: Photograph, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write a photograph with its metadata, whole or not at all.

    JPEG is written with quality 95, full-resolution colour and 8 bits; PNG and TIFF without loss.

    Args:
        photograph: the photograph.
        path: the file; its suffix tells the format.
        overwrite: whether an existing file is replaced.

    Raises:
        OutputError: the suffix is unknown, the format cannot hold the photograph, the file exists
            and `overwrite` is not set, or it cannot be written.
    """
    picture_format = output_format(path)
    write_atomically(path, encode_photograph(photograph, picture_format, path), overwrite=overwrite)


def encode_photograph(
    photograph: Photograph, picture_format: PictureFormat, path: str | os.PathLike[str]
) -> bytes:
    """Return the bytes of the file that `write_photograph` writes.

    Args:
        photograph: the photograph.
        picture_format: one of `FORMATS`.
        path: what to call the result in messages.

    Raises:
        OutputError: the format cannot hold the photograph.
    """
    name = picture_format.name
    _require_transparency(photograph, picture_format, path)
    metadata = _upright(photograph)
    image = into_header(_image_of(photograph, picture_format), metadata)
    data = _save(image, picture_format, path)
    try:
        return _EMBED[name](data, metadata)
    except DoesNotFitError as error:
        raise OutputError(path, str(error), "write a .png or .tif") from error


def write_map(
    values: npt.NDArray[np.float32], path: str | os.PathLike[str], overwrite: bool = False
) -> None:
    """Write a map of numbers, a defocus map for one, as a one-band float32 TIFF.

    Args:
        values: HxW, any unit and range; kept exactly.
        path: a .tif or .tiff file.
        overwrite: whether an existing file is replaced.

    Raises:
        OutputError: as `write_photograph`.
    """
    suffixes = dict.fromkeys(FORMATS["TIFF"].suffixes, FORMATS["TIFF"])
    picture_format = _format_of(path, suffixes)
    image = to_image(values.astype(np.float32, copy=False)).copy(interpretation="b-w")
    # Without the predictor for floats, which few readers know.
    options = {**picture_format.save_options, "predictor": "none"}
    data = _save(image, replace(picture_format, save_options=options), path)
    write_atomically(path, tiff.embed(data, Metadata()), overwrite=overwrite)


def output_format(path: str | os.PathLike[str]) -> PictureFormat:
    """Return the format in which a photograph of that name is written.

    Raises:
        OutputError: the suffix is none of those.
    """
    return _format_of(path, OUTPUT_SUFFIXES)


def require_room_for(photograph: Photograph, path: str | os.PathLike[str]) -> None:
    """Refuse a name whose format cannot hold the photograph, before any work is done on it.

    Raises:
        OutputError: the suffix is unknown, or transparency would be lost.
    """
    _require_transparency(photograph, output_format(path), path)


def _require_transparency(
    photograph: Photograph, picture_format: PictureFormat, path: str | os.PathLike[str]
) -> None:
    if photograph.alpha is not None and not picture_format.has_transparency:
        reason = f"{picture_format.name} has no transparency"
        raise OutputError(path, reason, "write a .png or .tif")


def _format_of(
    path: str | os.PathLike[str], suffixes: Mapping[str, PictureFormat]
) -> PictureFormat:
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        reason = f"{suffix} is no format that is written" if suffix else "has no suffix"
        raise OutputError(path, reason, f"give it one of {', '.join(suffixes)}")
    return suffixes[suffix]


def _upright(photograph: Photograph) -> Metadata:
    """Return the metadata, true of the upright picture."""
    old = photograph.metadata
    block = exif.mended(old.exif, photograph.height, photograph.width) if old.exif else None
    return replace(old, exif=block, xmp=upright_xmp(old.xmp))


def _image_of(photograph: Photograph, picture_format: PictureFormat) -> pyvips.Image:
    """Join pixels and alpha, in the largest number of bits that the format holds."""
    channels: Pixels = photograph.pixels
    if photograph.alpha is not None:
        channels = np.dstack([photograph.pixels, photograph.alpha])
    if channels.dtype == np.uint16 and not picture_format.has_16_bits:
        channels = _to_8_bits(channels)
    is_grey = photograph.pixels.ndim == 2
    if channels.dtype == np.uint16:
        return to_image(channels).copy(interpretation="grey16" if is_grey else "rgb16")
    return to_image(channels).copy(interpretation="b-w" if is_grey else "srgb")


def _to_8_bits(pixels: Pixels) -> Pixels:
    """Scale 0..65535 to 0..255, rounding: 65535 = 255 * 257."""
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _save(
    image: pyvips.Image, picture_format: PictureFormat, path: str | os.PathLike[str]
) -> bytes:
    options = dict(picture_format.save_options)
    if picture_format.name == "TIFF":
        size = image.width * image.height * image.bands * _BYTES[image.format]
        options["bigtiff"] = size > _LARGEST_CLASSIC_TIFF
    try:
        return bytes(getattr(image, picture_format.saver)(keep=_KEEP, **options))
    except pyvips.Error as error:
        reason = f"cannot be written as {picture_format.name} ({explain(error)})"
        raise OutputError(path, reason, "choose another format") from error
