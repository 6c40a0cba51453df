"""Point spread functions tabulated, so that each pixel finds that of its own circle of confusion.

Between two nodes the table interpolates linearly. Nodes lie at equal steps of coc / (1 + |coc|):
close where a blur is small and changes much, further apart where it is large.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ifan.optics.psf import PointSpreadFunction

NODES = 4096
"""How many nodes there are on each side of focus, if one counts up to infinity.

They are 0.0005 px apart at a radius of 0.5 px, where a disc begins to cover its neighbours, and
0.06 px at 15 px. That makes pictures exact to 1e-3: `benchmarks/optics.py` prints the error.
"""

LARGEST = 1000
"""Circles of confusion that are not rendered, in pixels: one kernel would take 16 MB and more."""


PADDING = 7
"""Zeros after each row of a kernel, so that eight weights can be read at once up to its end."""


class KernelTable(NamedTuple):
    """The point spread functions of a range of circles of confusion.

    For `coc` the position between nodes is NODES coc / (1 + |coc|) - first; its integer part is
    the interval, its fraction f the weight of the interval's upper node.

    Attributes:
        first: number of the lowest node.
        reach: int64, of length n: for each interval, (k - 1) / 2 of its kernels, which are kxk.
        taps: int64, n: where in `weights` and `changes` the kernel of the interval begins.
        rows: int64, n: where in `spans` the rows of the interval begin.
        weights: float32: kernels of the left view, row by row, seven zeros after each; the right
            view's are their mirrors.
        changes: float32, as `weights`: what is added to them times f.
        spans: int64, mx2: for each row the first column with light, and the one after the last.
    """

    first: int
    reach: npt.NDArray[np.int64]
    taps: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    changes: npt.NDArray[np.float32]
    spans: npt.NDArray[np.int64]


def tabulate(psf: PointSpreadFunction, smallest: float, largest: float) -> KernelTable:
    """Tabulate `psf` for all circles of confusion from `smallest` to `largest`, signed pixels.

    One that is the same everywhere needs no interpolation and is exact.

    Raises:
        ValueError: one of 1000 pixels or more, where the table would come near to infinity.
    """
    if max(abs(smallest), abs(largest)) >= LARGEST:
        raise ValueError(f"circles of confusion of {LARGEST} px and more cannot be rendered")
    first = int(np.floor(_position(smallest)))
    last = max(int(np.ceil(_position(largest))), first + 1)
    places = np.arange(first, last + 1) / NODES
    nodes = places / (1 - np.abs(places))
    if smallest == largest:
        nodes[:] = smallest
    reaches = _reaches(psf, np.maximum(np.abs(nodes[:-1]), np.abs(nodes[1:])))
    weights, changes, spans = [], [], []
    # Kernels of one size are made at once, which is much quicker than one by one.
    for reach, intervals in groupby(range(len(reaches)), key=reaches.__getitem__):
        low, *_ = members = list(intervals)
        left = psf.left(nodes[low : low + len(members) + 1], reach).astype(np.float32)
        padded = np.pad(left, ((0, 0), (0, 0), (0, PADDING)))
        weights.append(padded[:-1].ravel())
        changes.append(np.diff(padded, axis=0).ravel())
        spans.append(_row_spans(left))
    sizes = 2 * np.array(reaches, np.int64) + 1
    return KernelTable(
        first=first,
        reach=np.array(reaches, np.int64),
        taps=_starts(sizes * (sizes + PADDING)),
        rows=_starts(sizes),
        weights=np.concatenate(weights),
        changes=np.concatenate(changes),
        spans=np.concatenate(spans),
    )


def _reaches(psf: PointSpreadFunction, radii: npt.NDArray[np.float64]) -> list[int]:
    """Return for each radius its reach, or that of one up to 1/20 px larger: fewer to work out."""
    steps = np.ceil(radii * 20).astype(int)
    first = int(steps.min())
    known = [psf.reach(step / 20) for step in range(first, int(steps.max()) + 1)]
    return [known[step - first] for step in steps]


def _position(coc: float) -> float:
    return NODES * coc / (1 + abs(coc))


def _starts(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.cumsum(sizes) - sizes


def _row_spans(kernels: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return `KernelTable.spans` of the intervals between n + 1 kernels, (n + 1)xkxk."""
    lit = (kernels[:-1] != 0) | (kernels[1:] != 0)
    first = lit.argmax(axis=-1)
    after = lit.shape[-1] - lit[:, :, ::-1].argmax(axis=-1)
    after[~lit.any(axis=-1)] = 0
    return np.stack((first, after), axis=-1).astype(np.int64).reshape(-1, 2)
