"""The table of picture formats: how each is recognised, loaded and saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_8_BITS = (np.dtype(np.uint8),)
_16_BITS = (*_8_BITS, np.dtype(np.uint16))
_FLOATS = (*_16_BITS, np.dtype(np.float32))


@dataclass(frozen=True)
class PictureFormat:
    """A picture format that is read, and perhaps written.

    Attributes:
        name: what people call it, and its key in `FORMATS`.
        suffixes: of file names, lower case, with the dot, the usual one first.
        loader: the libvips operation that reads it from memory; not every libvips has each.
        result: the name of the format in which a result is written if nobody says otherwise.
        saver: the libvips operation that writes it to memory; None if it is read only.
        save_options: the options of the saver.
        dtypes: the kinds of numbers that it holds when written.
        has_transparency: whether it holds an alpha channel when written.
        largest_side: in pixels, when written.
    """

    name: str
    suffixes: tuple[str, ...]
    loader: str
    result: str
    saver: str | None = None
    save_options: Mapping[str, str | int | bool] = field(default_factory=dict)
    dtypes: tuple[np.dtype[np.generic], ...] = ()
    has_transparency: bool = False
    largest_side: int = 10_000_000

    @property
    def suffix(self) -> str:
        """The usual suffix, with the dot."""
        return self.suffixes[0]


_TABLE = (
    PictureFormat(
        name="JPEG",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
        loader="jpegload_buffer",
        result="JPEG",
        saver="jpegsave_buffer",
        # Subsampled colour would blur again what has just been made sharp.
        save_options={"Q": 95, "subsample_mode": "off"},
        dtypes=_8_BITS,
        # What libjpeg takes.
        largest_side=65_500,
    ),
    PictureFormat(
        name="PNG",
        suffixes=(".png",),
        loader="pngload_buffer",
        result="PNG",
        saver="pngsave_buffer",
        dtypes=_16_BITS,
        has_transparency=True,
    ),
    PictureFormat(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        loader="tiffload_buffer",
        result="TIFF",
        saver="tiffsave_buffer",
        save_options={"compression": "deflate", "predictor": "horizontal"},
        dtypes=_FLOATS,
        has_transparency=True,
    ),
    PictureFormat(
        name="WebP",
        suffixes=(".webp",),
        loader="webpload_buffer",
        result="WebP",
        saver="webpsave_buffer",
        # WebP has nothing but subsampled colour; "smart" is the sharpest way to it.
        save_options={"Q": 95, "smart_subsample": True, "exact": True, "effort": 2},
        dtypes=_8_BITS,
        has_transparency=True,
        largest_side=16_383,
    ),
    PictureFormat(
        name="AVIF",
        suffixes=(".avif",),
        loader="heifload_buffer",
        result="AVIF",
        saver="heifsave_buffer",
        # More effort takes several times as long for files of the same size.
        save_options={"Q": 95, "compression": "av1", "subsample_mode": "off", "effort": 0},
        dtypes=_16_BITS,
        has_transparency=True,
        largest_side=65_535,
    ),
    # Read only: a result is in the format that most like it and that loses nothing common.
    PictureFormat(
        name="HEIC",
        suffixes=(".heic", ".heif", ".hif"),
        loader="heifload_buffer",
        result="JPEG",
    ),
    PictureFormat(
        name="JPEG XL",
        suffixes=(".jxl",),
        loader="jxlload_buffer",
        result="PNG",
    ),
    PictureFormat(
        name="RAW",
        suffixes=(
            *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".srf", ".raf"),
            *(".rw2", ".orf", ".pef", ".srw", ".x3f", ".3fr", ".fff", ".iiq", ".rwl", ".mos"),
            *(".erf", ".kdc", ".dcr", ".mrw", ".raw"),
        ),
        loader="dcrawload_buffer",
        result="TIFF",
    ),
)

FORMATS: Mapping[str, PictureFormat] = {entry.name: entry for entry in _TABLE}

INPUT_SUFFIXES: Mapping[str, PictureFormat] = {
    suffix: entry for entry in _TABLE for suffix in entry.suffixes
}
OUTPUT_SUFFIXES: Mapping[str, PictureFormat] = {
    suffix: entry for suffix, entry in INPUT_SUFFIXES.items() if entry.saver
}

FORMAT_NAMES = ", ".join(FORMATS)
"""For messages."""

# A file of a format begins with one of these; TIFF, and RAW that looks like it, comes last.
_SIGNATURES: Mapping[str, tuple[bytes, ...]] = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    # Classic and BigTIFF, little and big endian.
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}

# The brands of ISO base media files (ISO/IEC 23008-12, annex B; the AVIF specification).
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_HEIC_BRANDS |= {b"mif1", b"msf1"}

LONGEST_SIGNATURE = 1024
"""So many bytes tell what a file is."""

# Formats that are not read, so that the refusal can name them: offset, bytes there, name.
_STRANGERS = (
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"8BPS", "a Photoshop file"),
    (4, b"jP  ", "a JPEG 2000 picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"gimp xcf", "a GIMP file"),
    (0, b"v/1\x01", "an OpenEXR picture"),
    (4, b"ftyp", "a film or another ISO media file"),
)


def recognise(data: bytes) -> PictureFormat | None:
    """Return the format that the first bytes of a file tell, whatever the file is called.

    Camera RAW, most of which looks like TIFF, is for `raw.recognises` to tell.
    """
    for name, signatures in _SIGNATURES.items():
        if data.startswith(signatures):
            return FORMATS[name]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return FORMATS["WebP"]
    return _iso_media(data) if data[4:8] == b"ftyp" else None


def format_of_file(path: Path) -> PictureFormat | None:
    """Return the format that the first bytes of a file tell, None if they cannot be read."""
    try:
        if not path.is_file():  # a pipe would make us wait
            return None
        with path.open("rb") as file:
            return recognise(file.read(LONGEST_SIGNATURE))
    except OSError:
        return None


def _iso_media(data: bytes) -> PictureFormat | None:
    """Tell AVIF from HEIC by the brands of the file: the major one, and the compatible ones."""
    size = min(int.from_bytes(data[:4], "big"), LONGEST_SIGNATURE)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, size - 3, 4))}
    if brands & _AVIF_BRANDS:
        return FORMATS["AVIF"]
    return FORMATS["HEIC"] if brands & _HEIC_BRANDS else None


def describe_stranger(data: bytes) -> str:
    """Say what a file that is in none of `FORMATS` is, as far as its first bytes tell."""
    for offset, signature, name in _STRANGERS:
        if data.startswith(signature, offset):
            return f"is {name}"
    return "is not a picture"


def is_picture_name(path: str | os.PathLike[str]) -> bool:
    """Tell from its name whether a file in a folder is a picture; hidden files are not."""
    name = Path(path)
    return name.suffix.lower() in INPUT_SUFFIXES and not name.name.startswith(".")
