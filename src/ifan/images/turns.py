"""How coordinates change when a picture is turned upright."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Turn(NamedTuple):
    """What turns a picture upright, step by step.

    Attributes:
        is_transposed: rows become columns.
        flips_across: then left and right change places.
        flips_down: then top and bottom change places.
    """

    is_transposed: bool
    flips_across: bool
    flips_down: bool


TURNS: Mapping[int, Turn] = {
    1: Turn(False, False, False),
    2: Turn(False, True, False),
    3: Turn(False, True, True),
    4: Turn(False, False, True),
    5: Turn(True, False, False),
    6: Turn(True, True, False),
    7: Turn(True, True, True),
    8: Turn(True, False, True),
}
"""By the orientation that EXIF tells."""
