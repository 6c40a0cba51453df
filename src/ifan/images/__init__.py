"""Photographs as files: pixels in, pixels out, and all that a camera wrote beside them kept.

The only place in the project that knows pyvips.
"""

from ifan.images.colouring import coloured, coloured_with_legend
from ifan.images.comparison import side_by_side
from ifan.images.formats import (
    FORMATS,
    INPUT_SUFFIXES,
    LONGEST_SIGNATURE,
    OUTPUT_SUFFIXES,
    PictureFormat,
    format_of_file,
    is_picture_name,
)
from ifan.images.geometry import resize
from ifan.images.metadata import Metadata
from ifan.images.photograph import WHITE, Photograph
from ifan.images.reading import MAX_PIXELS, decode_photograph, read_photograph, require_picture
from ifan.images.rendition import Rendition
from ifan.images.writing import (
    encode_photograph,
    output_format,
    require_room_for,
    write_map,
    write_photograph,
)

__all__ = [
    "FORMATS",
    "INPUT_SUFFIXES",
    "LONGEST_SIGNATURE",
    "MAX_PIXELS",
    "OUTPUT_SUFFIXES",
    "WHITE",
    "Metadata",
    "Photograph",
    "PictureFormat",
    "Rendition",
    "coloured",
    "coloured_with_legend",
    "decode_photograph",
    "encode_photograph",
    "format_of_file",
    "is_picture_name",
    "output_format",
    "read_photograph",
    "require_picture",
    "require_room_for",
    "resize",
    "side_by_side",
    "write_map",
    "write_photograph",
]
