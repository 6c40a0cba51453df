"""What a network is trained with: pictures that belong together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ifan.errors import PictureError
from ifan.images.photograph import Pixels


@dataclass(frozen=True, eq=False)
class Example:
    """Pictures of one scene, all HxWx3, sRGB-coded and of one dtype.

    Attributes:
        center: the photograph out of focus; uint8, uint16, or float32 in [0, 1].
        target: the scene with everything in focus.
        left: the left dual-pixel view; None if there are no views.
        right: the right dual-pixel view; None if there are no views.
        name: what messages call it, mostly the file of the center view.
        coc: of a simulated scene the true circle of confusion, HxW float32, see
            `ifan.datasets.simulated.Scene`.
    """

    center: Pixels
    target: Pixels
    left: Pixels | None
    right: Pixels | None
    name: str
    coc: npt.NDArray[np.float32] | None = None


class Examples(Protocol):
    """Numbered examples, read when they are asked for; can be pickled for other processes."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, number: int) -> Example:
        """Read an example.

        Raises:
            PictureError: a picture of it is damaged, or they do not fit together.
            IfanError: something else than this example is wrong, the network for one.
        """

    @property
    def names(self) -> Sequence[str]:
        """What messages call them, in their order: the files of the center views."""

    @property
    def blocks(self) -> Sequence[range] | None:
        """Numbers that are cheap to read one after the other; None where any order is."""


def fingerprint_of(examples: Examples) -> str:
    """Return what tells examples from others: SHA-256 of the names of their files, in order.

    It is the same wherever they lie, in any form.
    """
    names = [Path(name).name for name in examples.names]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def require_crop(name: str, height: int, width: int, crop: int) -> None:
    """Refuse a picture that a crop cannot be cut out of.

    Raises:
        PictureError: it is smaller.
    """
    if min(height, width) < crop:
        reason = f"has {width}x{height} pixels, less than the crop of {crop}"
        raise PictureError(name, reason, "give a smaller crop, or larger pictures")
