"""Maps of signed numbers as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ifan.images.metadata import Metadata
from ifan.images.photograph import Photograph

Values = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# From the most negative to the most positive value: blue, white for zero, red.
_COLOURS = np.array(
    [(5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31)], np.float32
)

# Part of the values that the colours span; the few beyond would leave all others pale.
_SPANNED = 0.995

_PAPER, _INK = 255, 40
_LEAST_BAR_WIDTH, _BAR_HEIGHT = 72, 4
_BORDER, _GAP = 2, 2
"""The legend's measures, in dots of its letters."""

_DOTS_ACROSS = 240
"""A dot is at most this part of the picture's width, so that the legend takes a third at most."""

_LETTERS = {
    "0": "### #.# #.# #.# ###",
    "1": ".#. ##. .#. .#. ###",
    "2": "### ..# ### #.. ###",
    "3": "### ..# ### ..# ###",
    "4": "#.# #.# ### ..# ..#",
    "5": "### #.. ### ..# ###",
    "6": "### #.. ### #.# ###",
    "7": "### ..# .#. .#. .#.",
    "8": "### #.# ### #.# ###",
    "9": "### #.# ### ..# ###",
    "+": "... .#. ### .#. ...",
    "-": "... ... ### ... ...",
    ".": "... ... ... ... .#.",
    "p": "... ### #.# ### #..",
    "x": "... #.# .#. .#. #.#",
    " ": "... ... ... ... ...",
}
"""Drawn here, as a machine need not have fonts."""


def coloured(values: Values, path: Path) -> Photograph:
    """Return a map of signed numbers in colours: white at zero, blue below, red above.

    Args:
        values: HxW.
        path: of the photograph that the map is of, for messages.
    """
    return _picture(_colours(values / _span(values)), path)


def coloured_with_legend(values: Values, path: Path) -> Photograph:
    """Return a map of signed numbers in colours with a legend in its corner, if there is room.

    The colours are those of `coloured`, the corner is the lower left one.

    Args:
        values: HxW, in pixels.
        path: of the photograph that the map is of, for messages.
    """
    span = _span(values)
    pixels = _colours(values / span)
    height, width = values.shape
    legend = _legend(span)
    rows, columns = legend.shape[:2]
    dot = max(1, min(width // _DOTS_ACROSS, height // (2 * rows)))
    if dot * rows <= height / 2 and dot * columns <= width / 2:
        pixels[-dot * rows :, : dot * columns] = legend.repeat(dot, 0).repeat(dot, 1)
    return _picture(pixels, path)


def _span(values: Values) -> float:
    """Return the number at which the colours end."""
    return float(np.quantile(np.abs(values), _SPANNED)) or 1.0


def _colours(values: Values) -> Pixels:
    """Return HxWx3 for HxW numbers, of which those from -1 to 1 are told apart."""
    position = (np.clip(values, -1, 1) + 1) / 2
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(position, stops, _COLOURS[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _legend(span: float) -> Pixels:
    """Return the colours from -span to span above their numbers, a pixel a dot."""
    number = _number(span)
    texts = [_text(text) for text in (f"-{number}", "0", f"+{number} px")]
    # Zero stands in the middle, with room on both sides for the longer text.
    bar_width = max(_LEAST_BAR_WIDTH, 2 * texts[2].shape[1] + texts[1].shape[1] + 4)
    height = 2 * _BORDER + _BAR_HEIGHT + _GAP + texts[0].shape[0]
    legend = np.full((height, bar_width + 2 * _BORDER, 3), _PAPER, np.uint8)
    bar = np.linspace(-1, 1, bar_width, dtype=np.float32)[None].repeat(_BAR_HEIGHT, 0)
    legend[_BORDER : _BORDER + _BAR_HEIGHT, _BORDER:-_BORDER] = _colours(bar)
    for text, place in zip(texts, (0, 0.5, 1), strict=True):
        left = _BORDER + round(place * (bar_width - text.shape[1]))
        words = legend[_BORDER + _BAR_HEIGHT + _GAP : -_BORDER, left : left + text.shape[1]]
        words[text] = _INK
    return legend


def _number(span: float) -> str:
    """Return a number with about two digits."""
    decimals = 0 if span >= 99.95 else 1 if span >= 0.95 else 2
    return f"{span:.{decimals}f}"


def _text(text: str) -> npt.NDArray[np.bool_]:
    """Return where there is ink, 5 dots high, 3 for each letter and one between them."""
    letters = [[list(f"{row}.") for row in _LETTERS[letter].split()] for letter in text]
    return np.concatenate([np.array(letter) == "#" for letter in letters], axis=1)[:, :-1]


def _picture(pixels: Pixels, path: Path) -> Photograph:
    return Photograph(pixels, alpha=None, format="PNG", metadata=Metadata(), path=path)
