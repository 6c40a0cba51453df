"""What the worker is asked to do, and what comes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Literal

from ifan.serving.frames import CHUNK
from ifan.serving.parameters import Parameters

VIEWS = ("image", "left", "right")
"""What a photograph and its dual-pixel views are called in requests and in messages."""

Task = Literal["deblur", "defocus-map"]
Stage = Literal["reading", "deblurring", "writing"]
"""Of the work on an order."""
State = Literal["queued", Stage, "done", "failed", "cancelled"]
"""Of an order."""

_LONGEST_STEM = 100


class Spool:
    """Bytes in memory, or if they are many in a file without a name, which no crash leaves behind.

    It is written once, and read by several at a time.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115
        self._readers = 0
        self._is_wanted = True
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add bytes at the end."""
        self._file.write(data)
        self.size += len(data)

    @contextmanager
    def reading(self) -> Iterator[Iterator[bytes]]:
        """Hold the bytes, even if they are let go of meanwhile.

        Yields:
            The bytes, piece by piece.
        """
        self._readers += 1
        try:
            yield self._pieces()
        finally:
            self._readers -= 1
            self._close_if_over()

    def let_go(self) -> None:
        """Forget the bytes, as soon as nobody reads them."""
        self._is_wanted = False
        self._close_if_over()

    def _pieces(self) -> Iterator[bytes]:
        for position in range(0, self.size, CHUNK):
            self._file.seek(position)
            yield self._file.read(CHUNK)

    def _close_if_over(self) -> None:
        if not self._is_wanted and not self._readers:
            self._file.close()


@dataclass
class Order:
    """A photograph, and what is to be done with it.

    Attributes:
        task: what.
        views: the files by their names in `VIEWS`.
        parameters: how.
        name: of the photograph's file at the client's.
    """

    task: Task
    views: Mapping[str, Spool]
    parameters: Parameters
    name: str = ""

    def let_go(self) -> None:
        """Forget the files."""
        for view in self.views.values():
            view.let_go()


@dataclass
class Result:
    """A picture file that was made.

    Attributes:
        format: its format, a key of `ifan.images.FORMATS`.
        data: the file.
        name: what to call it.
        seconds: that each stage of the work took.
    """

    format: str
    data: Spool
    name: str
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        """As in HTTP."""
        return f"image/{self.format.lower()}"


def result_name(name: str, task: Task, picture_format: str) -> str:
    """Return what a result is called: that of `holiday/photo.jpg` is `photo.deblurred.jpg`.

    Args:
        name: of the photograph's file at the client's; it may be anything.
        task: what was done.
        picture_format: of the result.
    """
    own = PurePosixPath(name.replace("\\", "/"))
    stem = "".join(character for character in own.stem if character.isprintable()).strip(". ")
    infix = {"deblur": "deblurred", "defocus-map": "defocus"}[task]
    suffixes = {"JPEG": ("jpg", "jpeg"), "TIFF": ("tif", "tiff")}.get(
        picture_format, (picture_format.lower(),)
    )
    written = own.suffix[1:]
    suffix = written if written.lower() in suffixes else suffixes[0]
    return f"{stem[:_LONGEST_STEM] or 'photo'}.{infix}.{suffix}"
