"""Depths of a photograph: planes, ramps, hills, steps, things, and real depth maps, as layers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ifan.datasets.simulated.noise import between_0_and_1, smooth_noise
from ifan.optics import Layer
from ifan.optics.halving import doubled, halved

Array = npt.NDArray[np.float32]
Backdrop = Callable[[np.random.Generator, Array, float], list[Layer]]

MOST_LAYERS = 8
"""Into how many layers a depth map is taken apart at most."""

LAYER_PX = 2.0
"""How much the circle of confusion may differ within a layer of a depth map, if that suffices."""

ENOUGH_DEPTH = 0.05
"""Range of nearness, in parts of the largest one, from which on a piece of a depth map may have the
largest blur. With less, no lens would blur it so, and steps between 8-bit depths would show."""


def plane(random: np.random.Generator, colour: Array, largest: float) -> list[Layer]:
    """A plane that faces the camera: one circle of confusion, at most `largest`."""
    return [Layer(colour, _coc(random, largest))]


def ramp(random: np.random.Generator, colour: Array, largest: float) -> list[Layer]:
    """A slanted plane: an affine circle of confusion (`ifan.optics.lens` says why)."""
    first, last = random.uniform(-largest, largest, 2)
    return [Layer(colour, slanted(random, colour.shape[:2], (first, last)))]


def hills(random: np.random.Generator, colour: Array, largest: float) -> list[Layer]:
    """A surface that comes nearer and goes further away smoothly."""
    height, width = colour.shape[:2]
    # Not steeper than a tenth of a pixel of blur a pixel or so, as surfaces of things are.
    period = max(random.uniform(0.3, 1) * min(height, width), 6 * largest)
    field = between_0_and_1(smooth_noise(random, height, width, period))
    first, last = random.uniform(-largest, largest, 2)
    return [Layer(colour, _between(field, (first, last)))]


def steps(random: np.random.Generator, colour: Array, largest: float) -> list[Layer]:
    """Two to four surfaces, one in front of another, with smooth or ragged edges.

    All show the same photograph, which goes on behind the edges, so the target stays as it is.
    """
    height, width = colour.shape[:2]
    field = smooth_noise(random, height, width, random.uniform(0.25, 0.6) * min(height, width))
    if random.random() < 0.5:
        field = field + 0.06 * smooth_noise(random, height, width, random.uniform(4, 12))
    count = int(random.integers(2, 5))
    cocs = np.sort(random.uniform(-largest, largest, count))[::-1]
    levels = np.quantile(field, np.arange(1, count) / count)
    slope = float(np.mean(np.hypot(*np.gradient(field))))
    layers = [Layer(colour, float(cocs[0]))]
    for coc, level in zip(cocs[1:], levels, strict=True):
        opacity = np.clip((field - level) / slope + 0.5, 0, 1).astype(np.float32)
        layers.append(Layer(colour, float(coc), opacity))
    return layers


def things(
    random: np.random.Generator, colour: Array, largest: float, things_px: tuple[int, int]
) -> list[Layer]:
    """Two to five distances whose edges are those of what the photograph shows.

    What has one colour is one thing, as leaves before the ground or branches before the sky are,
    unless thinner than a power of two in the range `things_px`; further behind, its surroundings go
    on. The target stays as it is.
    """
    height, width = colour.shape[:2]
    shade = np.sqrt(colour) @ random.standard_normal(3).astype(np.float32)
    shade = _blurry(shade, halvings=_drawn_power(random, things_px))
    place = smooth_noise(random, height, width, random.uniform(0.25, 0.8) * min(height, width))
    field = shade / max(float(shade.std()), 1e-6) + random.uniform(0.6, 3) * place
    count = int(random.integers(2, 6))
    levels = np.quantile(field, np.sort(random.uniform(0.1, 0.9, count - 1)))
    cocs = random.uniform(-largest, largest, count)
    coc = cocs[np.searchsorted(levels, field)]
    layers: list[Layer] = []
    for own in np.sort(cocs)[::-1]:
        seen = coc == own
        if seen.any():
            opacity = _continued_opacity(seen, coc > own) if layers else None
            layers.append(Layer(filled(colour, seen), float(own), opacity))
    return layers


def _drawn_power(random: np.random.Generator, limits: tuple[int, int]) -> int:
    """Draw a power of two between two limits and return its exponent."""
    lowest, highest = (limit.bit_length() - 1 for limit in limits)
    return int(random.integers(lowest, highest + 1))


BACKDROPS: tuple[Backdrop, ...] = (plane, ramp, hills, steps)
"""Kinds that need no depth map and know nothing of the photograph, each as frequent as another."""


def slanted(
    random: np.random.Generator, size: tuple[int, ...], limits: tuple[float, float]
) -> Array:
    """Return an affine circle of confusion, HxW, between two limits, in a random direction."""
    height, width = size
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    across = between_0_and_1(np.asarray(x * np.cos(angle) + y * np.sin(angle), np.float32))
    return _between(across, limits)


def coc_of_depth(random: np.random.Generator, depth: Array, largest: float) -> Array:
    """Focus a thin lens somewhere into a scene: coc = a (1 - s / z).

    Where all is about equally far away it is about equally sharp: below a relative range of
    `ENOUGH_DEPTH`, the largest |coc| falls in proportion, to 0 where there is but one depth.

    Args:
        random: draws the focus distance s, among the depths.
        depth: HxW, positive, in any unit, infinity allowed.
        largest: the largest |coc|, which sets a.
    """
    share = random.uniform(0, 1)
    nearest = float(depth.min())
    if nearest == depth.max():
        return np.zeros(depth.shape, np.float32)
    nearness = nearest / depth  # from 1 down: no unit is left
    reached = largest * min(1.0, float(1 - nearness.min()) / ENOUGH_DEPTH)
    blur = np.quantile(nearness, share) - nearness
    return np.asarray(blur * (reached / float(np.abs(blur).max())), np.float32)


def layers_of_depth(colour: Array, coc: Array) -> list[Layer]:
    """Take a photograph with a known circle of confusion apart into layers.

    Each layer has the pixels of one range of coc. Where nearer ones hide it, it goes on behind
    them, with colours and coc that are continued from what is seen of it.

    Args:
        colour: HxWx3.
        coc: HxW in pixels.
    """
    low, high = float(coc.min()), float(coc.max())
    count = int(np.clip(np.ceil((high - low) / LAYER_PX), 1, MOST_LAYERS))
    edges = np.linspace(high, low, count + 1)
    layers: list[Layer] = []
    for far, near in pairwise(edges):
        seen = (coc <= far) & ((coc > near) | (near == edges[-1]))
        if not seen.any():
            continue
        # The backmost layer has nothing behind it and covers everything.
        opacity = _continued_opacity(seen, coc > near) if layers else None
        known = np.concatenate((colour, coc[..., None]), axis=2)
        continued = filled(known, seen)
        layers.append(Layer(continued[..., :3], continued[..., 3], opacity))
    return layers


def _continued_opacity(seen: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Array:
    """Continue a layer behind what is nearer: as far as it, not one further behind, adjoins it."""
    known = known | seen
    return filled(seen[..., None].astype(np.float32), known)[..., 0]


def filled(values: Array, known: npt.NDArray[np.bool_]) -> Array:
    """Fill in what is not known: smooth, from what lies nearest (push-pull, Gortler et al. 1996).

    Args:
        values: HxWxC.
        known: HxW, somewhere true.
    """
    weight = known[..., None].astype(np.float32)
    if known.all() or min(values.shape[:2]) == 1:
        mean = (values * weight).sum(axis=(0, 1)) / np.maximum(weight.sum(), 1e-12)
        return np.where(known[..., None], values, mean).astype(np.float32)
    height, width = values.shape[:2]
    even = ((0, height % 2), (0, width % 2), (0, 0))
    weights = halved(np.pad(weight, even))
    sums = halved(np.pad(values * weight, even))
    means = np.asarray(sums / np.maximum(weights, 1e-12), np.float32)
    coarse = filled(means, weights[..., 0] > 0)
    finer = doubled(coarse)[:height, :width]
    return np.where(known[..., None], values, finer)


def _blurry(values: Array, halvings: int) -> Array:
    """Leave out of HxW what is finer than some pixels: it is halved and doubled again."""
    if halvings == 0:
        return values
    height, width = values.shape
    even = np.pad(values, ((0, height % 2), (0, width % 2)), mode="edge")
    coarse = _blurry(halved(even), halvings - 1)
    return doubled(coarse)[:height, :width]


def _coc(random: np.random.Generator, largest: float) -> float:
    """Draw one circle of confusion; large ones are more frequent, as they are harder."""
    return float(random.choice((-1, 1)) * largest * np.sqrt(random.random()))


def _between(field: Array, limits: tuple[float, float]) -> Array:
    first, last = limits
    return np.asarray(first + (last - first) * field, np.float32)
