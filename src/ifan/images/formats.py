"""The table of picture formats: how each is recognised, loaded and saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PictureFormat:
    """A picture format that is read and written.

    Attributes:
        name: what people call it, and its key in `FORMATS`.
        suffixes: of file names, lower case, with the dot, the usual one first.
        signatures: a file of this format begins with one of these.
        loader: the libvips operation that reads it from memory.
        saver: the libvips operation that writes it to memory.
        save_options: the options of the saver.
        has_16_bits: whether it holds uint16 pixels.
        has_transparency: whether it holds an alpha channel.
    """

    name: str
    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]
    loader: str
    saver: str
    save_options: Mapping[str, str | int | bool]
    has_16_bits: bool
    has_transparency: bool


FORMATS: Mapping[str, PictureFormat] = {
    entry.name: entry
    for entry in (
        PictureFormat(
            name="JPEG",
            suffixes=(".jpg", ".jpeg"),
            signatures=(b"\xff\xd8\xff",),
            loader="jpegload_buffer",
            saver="jpegsave_buffer",
            # Subsampled colour would blur again what has just been made sharp.
            save_options={"Q": 95, "subsample_mode": "off", "optimize_coding": True},
            has_16_bits=False,
            has_transparency=False,
        ),
        PictureFormat(
            name="PNG",
            suffixes=(".png",),
            signatures=(b"\x89PNG\r\n\x1a\n",),
            loader="pngload_buffer",
            saver="pngsave_buffer",
            save_options={},
            has_16_bits=True,
            has_transparency=True,
        ),
        PictureFormat(
            name="TIFF",
            suffixes=(".tif", ".tiff"),
            # Classic and BigTIFF, little and big endian.
            signatures=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
            loader="tiffload_buffer",
            saver="tiffsave_buffer",
            save_options={"compression": "deflate", "predictor": "horizontal"},
            has_16_bits=True,
            has_transparency=True,
        ),
    )
}

OUTPUT_SUFFIXES: Mapping[str, PictureFormat] = {
    suffix: entry for entry in FORMATS.values() for suffix in entry.suffixes
}

FORMAT_NAMES = ", ".join(FORMATS)
"""For messages."""

# Formats that are not read, so that the refusal can name them: offset, bytes there, name.
_STRANGERS = (
    (0, b"GIF8", "a GIF picture"),
    (8, b"WEBP", "a WebP picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftypavis", "an AVIF picture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftyphev", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIC picture"),
    (4, b"ftypcrx", "a camera RAW file"),
    (0, b"FUJIFILMCCD-RAW", "a camera RAW file"),
    (0, b"IIU\0", "a camera RAW file"),
    (0, b"IIRO", "a camera RAW file"),
    (0, b"IIRS", "a camera RAW file"),
    (0, b"BM", "a BMP picture"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (4, b"jP  ", "a JPEG 2000 picture"),
    (0, b"%PDF", "a PDF document"),
)


def recognise(data: bytes) -> PictureFormat | None:
    """Return the format that the first bytes of a file tell, whatever the file is called."""
    for entry in FORMATS.values():
        if data.startswith(entry.signatures):
            return entry
    return None


def describe_stranger(data: bytes) -> str:
    """Say what a file that is in none of `FORMATS` is, as far as its first bytes tell."""
    for offset, signature, name in _STRANGERS:
        if data.startswith(signature, offset):
            return f"is {name}"
    return "is not a picture"


def is_picture_name(path: str | os.PathLike[str]) -> bool:
    """Tell from its name whether a file in a folder is a picture; hidden files are not."""
    name = Path(path)
    return name.suffix.lower() in OUTPUT_SUFFIXES and not name.name.startswith(".")
