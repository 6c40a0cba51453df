"""Outlines of what stands in front: opacities with soft, ragged and hair-like edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numba import njit

from ifan.datasets.simulated.noise import smooth_noise
from ifan.datasets.simulated.settings import log_uniform

Array = npt.NDArray[np.float32]
EdgePx = tuple[float, float]
"""Range of how wide soft edges are, in pixels."""

Outline = Callable[[np.random.Generator, int, int, EdgePx], Array]


def random_outline(random: np.random.Generator, height: int, width: int, edge_px: EdgePx) -> Array:
    """Return the opacity of a random cut-out, HxW in [0, 1]."""
    outline = OUTLINES[int(random.integers(len(OUTLINES)))]
    return outline(random, height, width, edge_px)


def blob(random: np.random.Generator, height: int, width: int, edge_px: EdgePx) -> Array:
    """A round thing with a soft edge."""
    return _soft(_blob_distance(random, height, width), random, edge_px)


def ragged(random: np.random.Generator, height: int, width: int, edge_px: EdgePx) -> Array:
    """A thing with an outline as of rock, foliage or torn paper: noise of three sizes."""
    distance = _blob_distance(random, height, width)
    period = random.uniform(16, 40)
    roughness = random.uniform(4, 14)
    for octave in range(3):
        fineness = 2.0**octave
        noise = smooth_noise(random, height, width, max(period / fineness, 2))
        distance = distance + roughness / fineness * noise
    return _soft(distance, random, edge_px)


def bar(random: np.random.Generator, height: int, width: int, _: EdgePx) -> Array:
    """A straight thing that crosses the picture: a post, a branch, a wire."""
    y, x = _from(random, height, width)
    angle = random.uniform(0, np.pi)
    half_width = np.exp(random.uniform(np.log(0.7), np.log(0.08 * min(height, width) + 1)))
    across = np.abs(x * np.cos(angle) + y * np.sin(angle))
    return np.asarray(np.clip(half_width - across + 0.5, 0, 1), np.float32)


def hairy(random: np.random.Generator, height: int, width: int, edge_px: EdgePx) -> Array:
    """A round thing with hair: strands from its edge, many of them thinner than a pixel."""
    middle = _middle(random, height, width)
    radii = _radii(random, height, width)
    opacity = _soft(_distance_to(middle, radii, height, width), random, edge_px)
    count = int(random.integers(60, 250))
    angle = random.uniform(0, 2 * np.pi, count)
    direction = np.stack((np.sin(angle), np.cos(angle)), axis=1)
    roots = middle + direction * _radius_at(radii, angle)[:, None] * 0.95
    length = random.uniform(0.1, 0.7) * radii[0] * random.uniform(0.3, 1.2, (count, 1))
    bend = random.normal(0, 0.35, (count, 2)) + random.normal(0, 0.5, 2)
    tips = roots + (direction + bend) * length
    bends = roots + direction * length * 0.6
    thickness = np.exp(random.uniform(np.log(0.3), np.log(2.5), count))
    return _with_strands(opacity, roots, bends, tips, thickness)


def grass(random: np.random.Generator, height: int, width: int, _: EdgePx) -> Array:
    """Blades that grow from the lower edge."""
    count = int(random.integers(10, 60))
    bottom = float(height)
    roots = np.stack((np.full(count, bottom), random.uniform(-0.1, 1.1, count) * width), axis=1)
    tall = random.uniform(0.2, 0.8) * height * random.uniform(0.4, 1, count)
    lean = random.normal(0, 0.35, count) + random.normal(0, 0.2)
    tips = roots + np.stack((-tall, lean * tall), axis=1)
    bends = roots + np.stack((-0.6 * tall, 0.1 * lean * tall), axis=1)
    thickness = random.uniform(1, 6, count)
    return _with_strands(np.zeros((height, width), np.float32), roots, bends, tips, thickness)


OUTLINES: tuple[Outline, ...] = (blob, ragged, bar, hairy, grass)
"""All kinds, each as frequent as another."""


def _middle(random: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    return random.uniform(0.1, 0.9, 2) * (height, width)


def _from(
    random: np.random.Generator, height: int, width: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return rows and columns, counted from a random place."""
    row, column = _middle(random, height, width)
    return np.arange(height)[:, None] - row, np.arange(width)[None, :] - column


def _radii(random: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """Draw a round outline: the mean radius, then amplitudes of cosine and sine, by frequency."""
    radius = random.uniform(0.1, 0.33) * min(height, width)
    waves = random.normal(0, 0.22, (2, 5)) / np.arange(1, 6) ** 1.2 * radius
    return np.concatenate(([radius], waves.ravel()))


def _radius_at(
    radii: npt.NDArray[np.float64], angle: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    found = np.full_like(angle, radii[0])
    for frequency, (cosine, sine) in enumerate(radii[1:].reshape(2, -1).T, start=1):
        found += cosine * np.cos(frequency * angle) + sine * np.sin(frequency * angle)
    return np.asarray(np.maximum(found, 0.2 * radii[0]))


def _distance_to(
    middle: npt.NDArray[np.float64], radii: npt.NDArray[np.float64], height: int, width: int
) -> npt.NDArray[np.float64]:
    """Return how far inside the outline each pixel lies, about; negative outside."""
    y, x = np.arange(height)[:, None] - middle[0], np.arange(width)[None, :] - middle[1]
    # Between directions half a degree apart: cosines and sines for each pixel take too long.
    angles = np.linspace(-np.pi, np.pi, 721)
    radius = np.interp(np.arctan2(y, x), angles, _radius_at(radii, angles))
    return np.asarray(radius - np.hypot(y, x))


def _blob_distance(random: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    middle = _middle(random, height, width)
    return _distance_to(middle, _radii(random, height, width), height, width)


def _soft(distance: npt.NDArray[np.float64], random: np.random.Generator, edge_px: EdgePx) -> Array:
    """Turn a distance into an opacity, with an edge of a random width."""
    edge = log_uniform(random, edge_px)
    return np.asarray(np.clip(distance / edge + 0.5, 0, 1), np.float32)


def _with_strands(
    opacity: Array,
    roots: npt.NDArray[np.float64],
    bends: npt.NDArray[np.float64],
    tips: npt.NDArray[np.float64],
    thickness: npt.NDArray[np.float64],
) -> Array:
    """Draw curved strands that end in a point: quadratic Bezier curves, nx2 (row, column) each."""
    _draw_strands(opacity, roots, bends, tips, thickness)
    return opacity


@njit(cache=True, nogil=True)
def _draw_strands(opacity, roots, bends, tips, thickness):  # type: ignore[no-untyped-def]
    height, width = opacity.shape
    for strand in range(thickness.size):
        length = np.hypot(tips[strand, 0] - roots[strand, 0], tips[strand, 1] - roots[strand, 1])
        steps = int(2 * length) + 2
        for step in range(steps):
            t = step / (steps - 1)
            row = (1 - t) ** 2 * roots[strand, 0] + 2 * t * (1 - t) * bends[strand, 0]
            row += t * t * tips[strand, 0]
            column = (1 - t) ** 2 * roots[strand, 1] + 2 * t * (1 - t) * bends[strand, 1]
            column += t * t * tips[strand, 1]
            wide = thickness[strand] * (1 - 0.8 * t)
            _dab(opacity, row, column, wide, height, width)


@njit(cache=True, nogil=True)
def _dab(opacity, row, column, wide, height, width):  # type: ignore[no-untyped-def]
    """Put a dot on the opacity. One that is thinner than a pixel covers only part of it."""
    half = max(wide, 1.0) / 2
    most = min(wide, 1.0)
    reach = half + 0.5
    for y in range(max(int(row - reach), 0), min(int(row + reach) + 2, height)):
        for x in range(max(int(column - reach), 0), min(int(column + reach) + 2, width)):
            covered = min(max(reach - np.hypot(y - row, x - column), 0.0), 1.0) * most
            opacity[y, x] = max(opacity[y, x], covered)
