"""What a photograph carries beside its pixels, and what of it libvips finds and writes rightly.

libvips reads all blocks. Of writing it has only the ICC profile and the density done: EXIF it has
rewritten by a library that drops what it does not know, in PNG it cuts keywords at the first space
and puts XMP where readers do not look, in TIFF it cuts IPTC records short (libvips 8.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pyvips

from ifan.images.turns import TURNS


class DoesNotFitError(Exception):
    """A block of metadata that is larger than the format can hold; the message says which."""


class Density(NamedTuple):
    """How large the picture wants to be printed, in pixels per millimetre.

    `unit` is the unit it was written in, "in" or "cm".
    """

    x: float
    y: float
    unit: str


@dataclass(frozen=True)
class Metadata:
    """What goes back into the file. Opaque to the rest of the project.

    Attributes:
        exif: an EXIF block, which is a small TIFF file, without the "Exif" prefix of JPEG.
        xmp: an XMP packet.
        iptc: bare IPTC-IIM records, without the Photoshop wrapping of JPEG.
        icc: an ICC profile.
        density: None where the file says nothing of it.
        comments: what JPEG has in COM segments, as it has them, and PNG in text chunks "Comment",
            in UTF-8.
        png_chunks: name and content of the other text chunks of a PNG, and of those that say how
            its numbers become light.
        jpeg_quality: the least quality at which JPEG keeps what the file, a JPEG, has kept.
        bits: of each channel in the file where they are 9 to 15, so that no dtype tells it.
        is_lossless: whether it is a WebP file that keeps pixels exactly.
        has_extended_xmp: whether more XMP is in the file, a JPEG, than `xmp`.
        orientation: by which the pixels were turned upright, a key of `TURNS`; EXIF, XMP and
            density speak of the picture before that.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    icc: bytes | None = None
    density: Density | None = None
    comments: tuple[bytes, ...] = ()
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    jpeg_quality: int | None = None
    bits: int | None = None
    is_lossless: bool = False
    has_extended_xmp: bool = False
    orientation: int = 1


def from_header(image: pyvips.Image) -> Metadata:
    """Take what libvips found in a file; `iptc` is still wrapped as the file had it."""
    exif = _blob(image, "exif-data")
    return Metadata(
        exif=exif.removeprefix(b"Exif\0\0") if exif else None,
        xmp=_blob(image, "xmp-data"),
        iptc=_blob(image, "iptc-data"),
        icc=icc_of(image),
        density=_density(image),
        bits=_odd_bits(image),
        orientation=_orientation(image),
    )


def icc_of(image: pyvips.Image) -> bytes | None:
    """Return the ICC profile of an image."""
    return _blob(image, "icc-profile-data")


def into_header(image: pyvips.Image, metadata: Metadata) -> pyvips.Image:
    """Give an image what libvips writes: ICC profile and density."""
    density = metadata.density
    image = image.copy(xres=density.x, yres=density.y) if density else image.copy()
    if density:
        image.set_type(pyvips.GValue.gstr_type, "resolution-unit", density.unit)
    if metadata.icc:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", metadata.icc)
    return image


def _blob(image: pyvips.Image, field: str) -> bytes | None:
    if not image.get_typeof(field):
        return None
    return bytes(image.get(field)) or None


def _orientation(image: pyvips.Image) -> int:
    number = image.get("orientation") if image.get_typeof("orientation") else 1
    return number if number in TURNS else 1


def _odd_bits(image: pyvips.Image) -> int | None:
    bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 8
    return bits if 8 < bits < 16 else None


def _density(image: pyvips.Image) -> Density | None:
    # 1 pixel per millimetre is what libvips says of a TIFF that says nothing.
    if image.xres == 1.0 and image.yres == 1.0:
        return None
    unit = image.get("resolution-unit") if image.get_typeof("resolution-unit") else "in"
    return Density(image.xres, image.yres, str(unit))
