"""Colour profiles: from a photograph's own numbers to sRGB-coded ones, and back.

A network is trained with sRGB-coded pictures. A photograph in a wide colour space is shown to it
in sRGB, and only the *correction* goes back into the photograph's own space: colours beyond sRGB,
which the network cannot see, stay as they are.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyvips

from ifan.errors import OutputError
from ifan.images.libvips import explain, listening, to_array, to_image

_LOG = logging.getLogger("ifan")

Values = npt.NDArray[np.float32]

# So alike that the network sees no difference: sRGB has been written down in many ways.
_SAME = 0.01
# Grey in a space of gamma 1.8 is off by 0.08, in linear light by 0.28.
_ALIKE = 0.15
_LEVELS = np.linspace(0, 1, 17, dtype=np.float32)
_RENDERING = {"intent": "relative", "depth": 16}
_OPEN_FILES = Path("/proc/self/fd")
"""Where Linux shows what is open, in memory too."""


class ColourSpace(Protocol):
    """How the numbers of a photograph relate to sRGB-coded ones. All are in [0, 1]."""

    @property
    def is_coded_alike(self) -> bool:
        """Whether equal steps look about as equal as in sRGB; in linear light they do not."""

    def to_srgb(self, values: Values) -> Values:
        """Return HxWx3 sRGB-coded values for HxWx3 or HxW ones of the space."""

    def from_srgb(self, values: Values) -> Values:
        """Return values of the space, HxWx3 or HxW, for HxWx3 sRGB-coded ones."""


class SRGB:
    """sRGB, or grey with its curve."""

    is_coded_alike = True

    def __init__(self, *, is_grey: bool) -> None:
        self._is_grey = is_grey

    def to_srgb(self, values: Values) -> Values:
        """Return HxWx3 values; of grey, three times the same."""
        return np.repeat(values[..., None], 3, axis=2) if self._is_grey else values

    def from_srgb(self, values: Values) -> Values:
        """Return the values, or their mean over the channels for grey."""
        return values.mean(axis=2) if self._is_grey else values


class ProfiledSpace:
    """The colour space of an ICC profile, by libvips and Little CMS.

    Relative colorimetric, at 16 bits: what the two directions differ by goes into the picture only
    in proportion to the correction.

    Args:
        icc: the profile, of RGB; for grey photographs of grey, or of RGB, whose greys it means.
        is_grey: whether the photograph is.

    Raises:
        ValueError: the profile is damaged, is for pictures of another kind, or goes one way only.
    """

    def __init__(self, icc: bytes, *, is_grey: bool) -> None:
        kind = icc[16:20]
        if icc[36:40] != b"acsp" or kind not in ((b"GRAY", b"RGB ") if is_grey else (b"RGB ",)):
            raise ValueError("it is no profile for such pictures")
        self._icc = icc
        self._is_grey = is_grey
        self._has_one_channel = kind == b"GRAY"
        levels = _LEVELS[None] if is_grey else _cube()
        with listening(here=True) as warnings:
            seen = self.to_srgb(levels)
            self.from_srgb(seen)
        self._distances = np.abs(seen - SRGB(is_grey=is_grey).to_srgb(levels))
        # libvips takes sRGB for a profile that it cannot use.
        if warnings:
            raise ValueError(warnings[0])

    @property
    def is_srgb(self) -> bool:
        """Whether it is sRGB, or so like it that there is nothing to convert."""
        return float(self._distances.max()) < _SAME

    @cached_property
    def is_coded_alike(self) -> bool:
        """Whether its curve is about as steep as that of sRGB everywhere."""
        greys = np.repeat(_LEVELS[None, :, None], 3, axis=2)
        own = _LEVELS[None] if self._is_grey else greys
        return float(np.abs(self.to_srgb(own) - greys).max()) < _ALIKE

    def to_srgb(self, values: Values) -> Values:
        """Convert; colours that sRGB does not have come out as the nearest it has."""
        if self._is_grey and not self._has_one_channel:
            values = SRGB(is_grey=True).to_srgb(values)
        image = _as_image(values)
        with _profile_file(self._icc) as profile:
            return _computed(image.icc_transform("srgb", input_profile=profile, **_RENDERING))

    def from_srgb(self, values: Values) -> Values:
        """Convert back."""
        image = _as_image(values)
        with _profile_file(self._icc) as profile:
            back = _computed(image.icc_transform(profile, input_profile="srgb", **_RENDERING))
        return back.mean(axis=2) if self._is_grey else back


def colour_space(
    icc: bytes | None, *, is_grey: bool, path: str | os.PathLike[str] = "picture"
) -> ColourSpace:
    """Return the colour space of a photograph with this ICC profile; sRGB where it has none.

    A profile that cannot be used is warned of, and taken for sRGB, as other programs do.

    Args:
        icc: the profile.
        is_grey: whether the photograph is.
        path: what to call the photograph in the warning.
    """
    if icc is None:
        return SRGB(is_grey=is_grey)
    try:
        space = ProfiledSpace(icc, is_grey=is_grey)
    except (ValueError, pyvips.Error) as error:
        reason = explain(error) if isinstance(error, pyvips.Error) else error
        _LOG.warning("%s: its colour profile is taken for sRGB (%s)", os.fspath(path), reason)
        return SRGB(is_grey=is_grey)
    return SRGB(is_grey=is_grey) if space.is_srgb else space


def display_p3() -> bytes:
    """Return the ICC profile of Display P3."""
    return bytes(pyvips.Operation.call("profile_load", "p3"))


def cmyk_to_srgb(image: pyvips.Image) -> pyvips.Image:
    """Convert a CMYK image by its own profile, else by a common one; keep an alpha channel."""
    colour = image.extract_band(0, n=4).copy(interpretation="cmyk")
    depth = 8 if image.format == "uchar" else 16
    converted = colour.icc_transform(
        "srgb", embedded=True, input_profile="cmyk", intent="relative", depth=depth
    )
    return converted.bandjoin(image[4]) if image.bands > 4 else converted


def _cube() -> Values:
    """Return the corners, edges and inner points of the RGB cube: 25x5x3."""
    steps = np.linspace(0, 1, 5, dtype=np.float32)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(25, 5, 3)


def _as_image(values: Values) -> pyvips.Image:
    numbers = np.rint(np.clip(values, 0, 1) * 65535).astype(np.uint16)
    return to_image(numbers).copy(interpretation="rgb16" if values.ndim == 3 else "grey16")


def _computed(image: pyvips.Image) -> Values:
    values: Values = np.multiply(to_array(image), 1 / 65535, dtype=np.float32)
    return values


@contextmanager
def _profile_file(icc: bytes) -> Iterator[str]:
    """Lend the profile as a file: libvips takes the profile of its output in no other way.

    Raises:
        OutputError: it must be one on the disk, and there is no place for it.
    """
    if sys.platform == "linux" and _OPEN_FILES.is_dir():
        with os.fdopen(os.memfd_create("profile.icc"), "wb") as file:
            file.write(icc)
            file.flush()
            yield str(_OPEN_FILES / str(file.fileno()))
        return
    try:
        with tempfile.TemporaryDirectory(prefix="ifan-") as folder:
            path = Path(folder, "profile.icc")
            path.write_bytes(icc)
            yield str(path)
    except OSError as error:
        reason = f"cannot hold temporary files ({error.strerror or error})"
        remedy = "set TMPDIR to a folder that can be written"
        raise OutputError(tempfile.tempdir or "this machine", reason, remedy) from error
