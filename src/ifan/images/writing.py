"""From a photograph to a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips

from ifan.errors import OutputError
from ifan.files import write_atomically
from ifan.images import exif, heif, jpeg, png, tiff, webp, xmp
from ifan.images.colour import colour_space
from ifan.images.comparison import width_beside
from ifan.images.formats import FORMATS, OUTPUT_SUFFIXES, PictureFormat
from ifan.images.libvips import explain, forget_errors, to_image
from ifan.images.metadata import DoesNotFitError, Metadata, into_header
from ifan.images.photograph import WHITE, Photograph, Pixels
from ifan.images.samples import converted, in_bits
from ifan.images.tiff_structure import StructureError
from ifan.images.turns import TURNS

_LOG = logging.getLogger("ifan")

_EMBED: Mapping[str, Callable[[bytes, Metadata], bytes]] = {
    "JPEG": jpeg.embed,
    "PNG": png.embed,
    "TIFF": tiff.embed,
    "WebP": webp.embed,
    "AVIF": heif.embed,
}

# What a format has no place for, and how many bits a 16-bit picture keeps in it.
_NO_PLACE: Mapping[str, tuple[str, ...]] = {
    "JPEG": ("text", "extended"),
    "PNG": ("extended",),
    "TIFF": ("comment", "text", "extended"),
    "WebP": ("iptc", "comment", "text", "extended"),
    "AVIF": ("iptc", "comment", "text", "extended"),
}
_NAMES = {
    "iptc": "IPTC records (XMP is kept)",
    "comment": "comment",
    "text": "text chunks",
    "extended": "extended XMP blocks (the main one is kept)",
}
_WITHOUT_DENSITY = _WITHOUT_GREY = ("WebP", "AVIF")

# The ICC profile, in libvips' numbers; `metadata` says why no more.
_KEEP = 8

# Classic TIFF ends at 4 GiB, and incompressible pixels grow a little.
_LARGEST_CLASSIC_TIFF = 4_000_000_000
_BYTES = {"uchar": 1, "ushort": 2, "float": 4}


def write_photograph(
    photograph: Photograph, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write a photograph with its metadata, whole or not at all.

    JPEG, WebP and AVIF are written with quality 95 or, if a JPEG was finer, with its own, and in
    full-resolution colour where the format has it; PNG, TIFF and a WebP that was, without loss.
    What the format has no place for is logged ("ifan").

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
    photograph: Photograph,
    picture_format: PictureFormat,
    path: str | os.PathLike[str],
    *,
    quality: int | None = None,
) -> bytes:
    """Return the bytes of the file that `write_photograph` writes.

    Args:
        photograph: the photograph.
        picture_format: one of `FORMATS`.
        path: what to call the result in messages.
        quality: 1 to 100, for JPEG, WebP and AVIF; None is what `write_photograph` takes.

    Raises:
        OutputError: the format cannot hold the photograph.
    """
    name = picture_format.name
    _require_room(photograph, picture_format, path, photograph.width)
    if name in _WITHOUT_GREY:
        photograph = _without_grey_profile(photograph)
    metadata = _upright(photograph, name)
    metadata, too_large = jpeg.fitting(metadata) if name == "JPEG" else (metadata, [])
    _warn_of_losses(photograph, picture_format, too_large)
    image = into_header(_image_of(photograph, picture_format), metadata)
    data = _save(image, picture_format, metadata, path, quality)
    try:
        return _EMBED[name](data, metadata)
    except (DoesNotFitError, StructureError) as error:
        raise OutputError(path, str(error), "write a .png or .tif") from error


def write_map(
    values: npt.NDArray[np.float32], path: str | os.PathLike[str], *, overwrite: bool = False
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
    data = _save(image, picture_format, Metadata(), path)
    write_atomically(path, tiff.embed(data, Metadata()), overwrite=overwrite)


def output_format(path: str | os.PathLike[str]) -> PictureFormat:
    """Return the format in which a photograph of that name is written.

    Raises:
        OutputError: the suffix is none of those.
    """
    return _format_of(path, OUTPUT_SUFFIXES)


def require_room_for(
    photograph: Photograph, path: str | os.PathLike[str], *, beside_another: bool = False
) -> None:
    """Refuse a name whose format cannot hold the photograph, before any work is done on it.

    Args:
        photograph: what is to be written.
        path: where to.
        beside_another: whether it is to be half of a comparison (`side_by_side`).

    Raises:
        OutputError: the suffix is unknown, the photograph is too large for the format, or
            transparency would be lost.
    """
    width = width_beside(photograph.width) if beside_another else photograph.width
    _require_room(photograph, output_format(path), path, width)


def _require_room(
    photograph: Photograph, picture_format: PictureFormat, path: str | os.PathLike[str], width: int
) -> None:
    if _is_transparent(photograph) and not picture_format.has_transparency:
        reason = f"{picture_format.name} has no transparency"
        raise OutputError(path, reason, "write a .png or .tif (--format png)")
    largest = max(photograph.height, width)
    if largest > picture_format.largest_side:
        reason = f"{picture_format.name} ends at {picture_format.largest_side} pixels a side"
        raise OutputError(path, f"{reason}, this has {largest}", "write a .png or .tif")


def _format_of(
    path: str | os.PathLike[str], suffixes: Mapping[str, PictureFormat]
) -> PictureFormat:
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        reason = f"{suffix} is no format that is written" if suffix else "has no suffix"
        raise OutputError(path, reason, f"give it one of {', '.join(suffixes)}")
    return suffixes[suffix]


def _upright(photograph: Photograph, name: str) -> Metadata:
    """Return the metadata, true of the upright picture, for a file of the format of that name."""
    old, block = photograph.metadata, None
    size = photograph.height, photograph.width
    density, per_inch = old.density, None
    if density and TURNS[old.orientation].is_transposed:
        density = density._replace(x=density.y, y=density.x)
    if density and (name in _WITHOUT_DENSITY or (name == "JPEG" and _is_contradicted(old))):
        per_inch = density.x * 25.4, density.y * 25.4
    if old.exif:
        block = exif.mended(old.exif, *size, per_inch, old.orientation)
        if block is None:
            _LOG.warning("%s: its EXIF is damaged and left out", photograph.path)
    elif per_inch:
        block = exif.of_density(per_inch)
    packet = xmp.mended(old.xmp, *size, old.orientation)
    return replace(old, exif=block, xmp=packet, density=density, orientation=1)


def _is_contradicted(metadata: Metadata) -> bool:
    """Whether EXIF has another density, which readers of JPEG believe more than the file's own."""
    there = exif.density_of(metadata.exif) if metadata.exif else None
    if there is None or metadata.density is None:
        return False
    # PNG counts pixels in whole ones per metre.
    return not np.allclose(there[:2], metadata.density[:2], rtol=1e-3)


def _is_transparent(photograph: Photograph) -> bool:
    """Whether anything shows through it."""
    alpha = photograph.alpha
    return alpha is not None and bool((alpha < WHITE[alpha.dtype]).any())


def _warn_of_losses(
    photograph: Photograph, picture_format: PictureFormat, too_large: list[str]
) -> None:
    metadata, name = photograph.metadata, picture_format.name
    held = {
        "iptc": metadata.iptc,
        "comment": metadata.comments,
        "extended": metadata.has_extended_xmp,
        "text": any(chunk in png.TEXT for chunk, _ in metadata.png_chunks),
    }
    lost = [_NAMES[what] for what in _NO_PLACE.get(name, ()) if held[what]] + too_large
    if not _fits(metadata.icc, photograph):
        lost.append("colour profile for pictures of another kind")
    if _dtype_in(picture_format, photograph.pixels.dtype) != photograph.pixels.dtype:
        lost.append(f"{_bits(photograph)} bits a channel")
    elif name == "AVIF" and _bits(photograph) > _avif_bits(metadata):
        lost.append(f"last {_bits(photograph) - _avif_bits(metadata)} bits")
    if lost:
        what = " and ".join(lost)
        _LOG.warning("%s: its %s have no place in %s", photograph.path, what, name)


def _fits(icc: bytes | None, photograph: Photograph) -> bool:
    """Whether a file can hold the profile; libvips leaves one of another kind out."""
    return icc is None or icc[16:20] == (b"GRAY" if photograph.pixels.ndim == 2 else b"RGB ")


def _without_grey_profile(photograph: Photograph) -> Photograph:
    """Return a grey photograph in sRGB, which formats without grey have instead."""
    metadata, grey = photograph.metadata, photograph.pixels
    if grey.ndim == 3 or metadata.icc is None:
        return photograph
    space = colour_space(metadata.icc, is_grey=True, path=photograph.path)
    white = WHITE[grey.dtype]
    values = np.multiply(grey, 1 / white, dtype=np.float32)
    pixels = np.rint(np.clip(space.to_srgb(values), 0, 1) * white).astype(grey.dtype)
    return replace(photograph, pixels=pixels, metadata=replace(metadata, icc=None))


def _bits(photograph: Photograph) -> int:
    return photograph.metadata.bits or photograph.pixels.dtype.itemsize * 8


def _dtype_in(picture_format: PictureFormat, dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """Return the dtype of a picture in a format: the same, or the widest that it has."""
    return dtype if dtype in picture_format.dtypes else picture_format.dtypes[-1]


def _image_of(photograph: Photograph, picture_format: PictureFormat) -> pyvips.Image:
    """Join pixels and alpha, in a dtype that the format holds."""
    channels: Pixels = photograph.pixels
    if photograph.alpha is not None and picture_format.has_transparency:
        channels = np.dstack([photograph.pixels, photograph.alpha])
    channels = converted(channels, _dtype_in(picture_format, channels.dtype))
    if picture_format.name == "AVIF" and channels.dtype == np.uint16:
        channels = in_bits(channels, _avif_bits(photograph.metadata))
    grey, colour = _INTERPRETATIONS[channels.dtype]
    interpretation = grey if photograph.pixels.ndim == 2 else colour
    return to_image(channels).copy(interpretation=interpretation)


_INTERPRETATIONS = {
    np.dtype(np.uint8): ("b-w", "srgb"),
    np.dtype(np.uint16): ("grey16", "rgb16"),
    np.dtype(np.float32): ("b-w", "scrgb"),
}


def _avif_bits(metadata: Metadata) -> int:
    return 10 if metadata.bits == 10 else 12


def _save(
    image: pyvips.Image,
    picture_format: PictureFormat,
    metadata: Metadata,
    path: str | os.PathLike[str],
    quality: int | None = None,
) -> bytes:
    options = {
        **picture_format.save_options,
        **_options_for(image, picture_format.name, metadata, quality),
    }
    forget_errors()
    try:
        return bytes(getattr(image, str(picture_format.saver))(keep=_KEEP, **options))
    except (pyvips.Error, UnicodeDecodeError) as error:
        reason = f"cannot be written as {picture_format.name} ({explain(error)})"
        raise OutputError(path, reason, "choose another format") from error


def _options_for(
    image: pyvips.Image, name: str, metadata: Metadata, quality: int | None
) -> dict[str, str | int | bool]:
    """Return the options of a saver that depend on the picture, and on what was asked for."""
    asked: dict[str, str | int | bool] = {} if quality is None else {"Q": quality}
    if name == "JPEG":
        usual = FORMATS["JPEG"].save_options["Q"]
        return {"Q": max(int(usual), metadata.jpeg_quality or 0), **asked}
    if name == "TIFF":
        size = image.width * image.height * image.bands * _BYTES[image.format]
        # The predictor for floats is known to few readers.
        predictor = {"predictor": "none"} if image.format == "float" else {}
        return {"bigtiff": size > _LARGEST_CLASSIC_TIFF, **predictor}
    if name == "WebP":
        return {"lossless": metadata.is_lossless and quality is None, **asked}
    if name == "AVIF":
        return {"bitdepth": _avif_bits(metadata) if image.format == "ushort" else 8, **asked}
    return {}
