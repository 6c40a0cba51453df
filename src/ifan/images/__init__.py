"""Photographs as files: pixels in, pixels out, and all that a camera wrote beside them kept.

The only place in the project that knows pyvips.
"""

from ifan.images.colouring import coloured
from ifan.images.comparison import side_by_side
from ifan.images.formats import OUTPUT_SUFFIXES, is_picture_name
from ifan.images.geometry import resize
from ifan.images.metadata import Metadata
from ifan.images.photograph import Photograph
from ifan.images.reading import read_photograph
from ifan.images.writing import (
    output_format,
    require_room_for,
    write_map,
    write_photograph,
)

__all__ = [
    "OUTPUT_SUFFIXES",
    "Metadata",
    "Photograph",
    "coloured",
    "is_picture_name",
    "output_format",
    "read_photograph",
    "require_room_for",
    "resize",
    "side_by_side",
    "write_map",
    "write_photograph",
]
