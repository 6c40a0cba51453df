"""Where results go: their names beside the photographs, and what must not be overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ifan.errors import OutputError
from ifan.files import require_free, same_file

if TYPE_CHECKING:
    from ifan.images import PictureFormat

RESULT_INFIX = ".deblurred"
COMPARISON_INFIX = ".compare"
MAP_INFIX = ".defocus"
"""What stands before the suffix of a result's name."""


def default_target(source: Path, picture_format: PictureFormat | None = None) -> Path:
    """Return where the result of `source` goes if nothing is said: `photo.deblurred.jpg`.

    Args:
        source: the photograph.
        picture_format: that of the result; by default that of the photograph, or the nearest where
            that one is not written.
    """
    return source.parent / f"{source.stem}{RESULT_INFIX}{result_suffix(source, picture_format)}"


def result_suffix(source: Path, picture_format: PictureFormat | None = None) -> str:
    """Return the suffix of a result: the photograph's own if that suits the format.

    If the name does not tell the photograph's format, its first bytes do.

    Args:
        source: the photograph.
        picture_format: as `default_target`.
    """
    from ifan.images import FORMATS, INPUT_SUFFIXES, format_of_file

    named = INPUT_SUFFIXES.get(source.suffix.lower())
    own = named or format_of_file(source)
    if picture_format is None and own is not None:
        picture_format = FORMATS[own.result]
    if picture_format is None or picture_format is named:
        return source.suffix
    return picture_format.suffix


def default_map_target(source: Path) -> Path:
    """Return where the defocus map of `source` goes if nothing is said: `photo.defocus.png`.

    That of a format that is not written is `photo-cr3.defocus.png`: many cameras put a JPEG of the
    same name beside it.
    """
    from ifan.images import INPUT_SUFFIXES

    named = INPUT_SUFFIXES.get(source.suffix.lower())
    tag = format_tag(source) if named and not named.saver else ""
    return source.parent / f"{source.stem}{tag}{MAP_INFIX}.png"


def format_tag(source: Path) -> str:
    """Return what goes after the name of a photograph, to tell it from one of another format."""
    return f"-{source.suffix[1:].lower()}"


def require_target(
    target: str | os.PathLike[str],
    views: Iterable[str | os.PathLike[str] | None],
    overwrite: bool,
) -> None:
    """Refuse, before the long work, a result that could not be written or would replace a view.

    Args:
        target: the result.
        views: the photograph and its side views; None for one that is not given.
        overwrite: whether a file of that name is replaced.

    Raises:
        OutputError: its suffix is that of no format, it is a view, or it is there already.
    """
    from ifan.images import output_format

    output_format(target)
    if any(view is not None and same_file(view, target) for view in views):
        remedy = "choose another name or folder for the result"
        raise OutputError(target, "is the photograph itself", remedy)
    require_free(target, overwrite=overwrite)
