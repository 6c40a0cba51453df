"""What is done with pictures between file, network and metric: it decides which number comes out.

The paper's protocol is `ifan`. Numbers of other papers come from others; the steps of those that
are known to differ have names here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ifan.datasets.folders import Bits, pixels_of, require_integers
from ifan.errors import PictureError
from ifan.evaluation.metrics import LEAST_SIDE, Window
from ifan.images import read_photograph
from ifan.images.samples import converted

Values = npt.NDArray[np.float32]
"""HxWx3, sRGB-coded in [0, 1]."""


@dataclass(frozen=True)
class Protocol:
    """The steps that differ from paper to paper.

    Attributes:
        name: as the user gave it.
        reading: how 16 bits become 8: `truncated`, x >> 8, or `rounded`, x / 257.
        multiple: sizes are cropped, at the bottom and on the right, to a multiple of so many pixels
            before network and metrics; None: pictures keep their size, are continued by reflection
            for the network, and its result is cropped back.
        output: what the metrics see of the network's output: `clipped` to [0, 1]; `float`, as it
            is; or `quantised`, rounded to the 256 levels of a file.
        window: that of SSIM.
    """

    name: str = "ifan"
    reading: Literal["truncated", "rounded"] = "truncated"
    multiple: int | None = 8
    output: Literal["clipped", "float", "quantised"] = "clipped"
    window: Window = "uniform"


STEPS: dict[str, dict[str, Any]] = {
    "rounded": {"reading": "rounded"},
    "padded": {"multiple": None},
    "crop16": {"multiple": 16},
    "unclipped": {"output": "float"},
    "quantised": {"output": "quantised"},
    "gaussian": {"window": "gaussian"},
}
"""What differs from the paper's protocol, by the step's name."""

PROTOCOLS: dict[str, tuple[str, ...]] = {
    "ifan": (),
    "restormer": ("padded",),
    "lakdnet": ("padded", "unclipped"),
    "nrknet": ("padded", "quantised"),
    "drbnet": ("crop16", "unclipped"),
    "gkmnet": ("quantised",),
}
"""Methods whose published numbers come from other steps, as far as that is known."""


def open_protocol(name: str) -> Protocol:
    """Return a protocol by its name.

    Args:
        name: one of `PROTOCOLS`, or steps of `STEPS` joined by `+`.

    Raises:
        ValueError: there is no such protocol or step, or two steps contradict each other.
    """
    protocol, changed = Protocol(name=name), set[str]()
    for step in PROTOCOLS.get(name, tuple(name.split("+"))):
        if step not in STEPS:
            known = ", ".join((*PROTOCOLS, *STEPS))
            raise ValueError(f"{step!r} is none of {known}")
        if changed & set(STEPS[step]):
            raise ValueError(f"{name} says two things of one step")
        changed |= set(STEPS[step])
        protocol = replace(protocol, **STEPS[step])
    return protocol


def read_picture(path: Path, bits: Bits, protocol: Protocol) -> Values:
    """Read a picture of a data set, in its whole size.

    Args:
        path: a picture of 8 or 16 bits.
        bits: those of the pictures that the network was trained with; in which the others are read.
        protocol: says how 16 become 8.

    Raises:
        PictureError: it cannot be read, or holds floating-point numbers.
    """
    photograph = read_photograph(path)
    require_integers(photograph)
    if bits == 8 and protocol.reading == "rounded":
        rounded = converted(photograph.pixels, np.dtype(np.uint8))
        photograph = replace(photograph, pixels=rounded, alpha=None)
    return scaled(pixels_of(photograph, bits))


def read_result(path: Path) -> Values:
    """Read what some program made of a picture, in its whole size and in all of its bits.

    Raises:
        PictureError: it cannot be read, or holds floating-point numbers.
    """
    photograph = read_photograph(path)
    require_integers(photograph)
    return scaled(pixels_of(photograph, 16 if photograph.pixels.itemsize > 1 else 8))


def scaled(pixels: npt.NDArray[np.uint8 | np.uint16]) -> Values:
    """Divide pixels by the number that is white."""
    values: Values = np.divide(pixels, np.iinfo(pixels.dtype).max, dtype=np.float32)
    return values


def fitted_size(height: int, width: int, protocol: Protocol) -> tuple[int, int]:
    """Return the height and width in which a picture is deblurred and scored."""
    multiple = protocol.multiple or 1
    return height - height % multiple, width - width % multiple


def cropped(values: Values, size: tuple[int, int]) -> Values:
    """Cut off what is beyond a height and width, at the bottom and on the right."""
    return values[: size[0], : size[1]]


def require_size(path: Path, size: tuple[int, int], *, scored: bool) -> None:
    """Refuse a picture of which too little is left.

    Args:
        path: its file.
        size: height and width that are left.
        scored: whether it has a target, and so is scored.

    Raises:
        PictureError: nothing is left, or less than the metrics need.
    """
    least = LEAST_SIDE if scored else 1
    if min(size) < least:
        reason = f"leaves {size[1]}x{size[0]} pixels, {least} on each side are needed"
        raise PictureError(path, reason, "give a larger picture")


def finished(output: Values, protocol: Protocol) -> Values:
    """Return what the metrics see of what a network gave."""
    if protocol.output == "float":
        return output
    clipped: Values = np.clip(output, 0, 1)
    if protocol.output == "quantised":
        clipped = np.rint(clipped * 255).astype(np.float32) / np.float32(255)
    return clipped
