"""How arrays and errors cross the border to libvips."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips
from pyvips import Operation

# libvips keeps its last hundred operations with their pictures, in case they are asked for again.
# No photograph here is, and a server must not hold those it has answered.
pyvips.cache_set_max(0)


def _hear_of_warnings_only() -> None:
    """Has libvips call Python for warnings and errors only, and no more for each of its steps.

    pyvips listens to all that libvips has to say. An interrupt that arrives in the middle of a call
    is raised in such a callback first, where it is lost, so that Ctrl-C would not stop anything.
    What nobody listens to, GLib drops.
    """
    flags = pyvips.GLogLevelFlags
    levels = flags.LEVEL_WARNING | flags.LEVEL_CRITICAL | flags.LEVEL_ERROR
    levels |= flags.FLAG_FATAL | flags.FLAG_RECURSION
    pyvips._remove_log_handler()
    pyvips._log_handler_id = pyvips.glib_lib.g_log_set_handler(
        b"VIPS", levels, pyvips._log_handler_cb, pyvips.ffi.NULL
    )


with suppress(AttributeError):  # these names of pyvips are not promised to anybody
    _hear_of_warnings_only()

_BAND_FORMATS = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
_DTYPES = {name: dtype for dtype, name in _BAND_FORMATS.items()}

# What libtiff says of every second camera's files, and what tells nobody anything.
_CHATTER = re.compile(
    r"unknown field with tag|not support .*tag|out of order|not sorted|fallback to suggested",
    re.IGNORECASE,
)

# "VipsJpeg: premature end of JPEG image": who says it is of no use to who reads it.
_SPEAKER = re.compile(r"^\w+: ")


def to_image(array: npt.NDArray[Any]) -> pyvips.Image:
    """Wrap an HxW or HxWxC array of uint8, uint16 or float32."""
    array = np.ascontiguousarray(array)
    height, width = array.shape[:2]
    bands = array.shape[2] if array.ndim == 3 else 1
    # As bytes, which pyvips keeps alive as long as the image.
    data = array.data.cast("B")
    return pyvips.Image.new_from_memory(data, width, height, bands, _BAND_FORMATS[array.dtype.name])


def to_array(image: pyvips.Image) -> npt.NDArray[Any]:
    """Compute an image: HxWxC, of uint8, uint16 or float32.

    Raises:
        pyvips.Error: what the image is made from is damaged.
        MemoryError: there is not enough.
    """
    try:
        data = np.frombuffer(image.write_to_memory(), dtype=_DTYPES[image.format])
    except pyvips.Error as error:
        if "out of memory" in str(error):
            raise MemoryError(str(error)) from error
        raise
    return data.reshape(image.height, image.width, image.bands)


def has_operation(name: str) -> bool:
    """Whether this build of libvips has an operation."""
    try:
        Operation.new_from_name(name)
    except pyvips.Error:
        return False
    return True


def forget_errors() -> None:
    """Empty the buffer of error texts, which libvips fills in successful operations, too.

    All threads share it, so a refusal may still quote what another thread has just met.
    """
    pyvips.vips_lib.vips_error_clear()


def explain(error: pyvips.Error | UnicodeDecodeError) -> str:
    """Make one short line of the several of an error of libvips.

    Args:
        error: what pyvips raised; it chokes on texts that quote the bytes of a file, and leaves
            them for every later error to choke on.
    """
    forget_errors()
    if isinstance(error, UnicodeDecodeError):
        return "its decoder quotes what is no text"
    lines = [_SPEAKER.sub("", line.strip()) for line in str(error).splitlines()]
    # The first line says which operation failed, which the user has not asked for; and pyvips asks
    # for a property before it calls an operation, in other threads, too.
    said = [line for line in lines[1:] if line and not line.startswith("no property named")]
    return said[0][:120] if said else "libvips does not say why"


class _Ear(logging.Handler):
    """Collects what libvips has to say, in a thread or (None) in all."""

    def __init__(self, thread: int | None) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []
        self._thread = thread

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning, unless it is chatter or was heard before."""
        if self._thread not in (None, record.thread):
            return
        said = _SPEAKER.sub("", record.getMessage().removeprefix("VIPS: ")).strip()[:120]
        if not _CHATTER.search(said) and said not in self.heard:
            self.heard.append(said)


@contextmanager
def listening(*, here: bool = False) -> Iterator[list[str]]:
    """Collect the warnings of libvips and of the decoders below it, instead of printing them.

    Args:
        here: only those of the caller's thread. Decoders may warn in threads of libvips.

    Yields:
        The warnings so far, one short line each.
    """
    ear = _Ear(threading.get_ident() if here else None)
    logger = logging.getLogger("pyvips")
    logger.addHandler(ear)
    try:
        yield ear.heard
    finally:
        logger.removeHandler(ear)
