"""Point spread functions: where the light of one defocused point lands, in each view.

A point spread function joins two choices. The *aperture* says how the light is spread over the
whole blur; the *split* says which part of it each half of a dual pixel receives. All follow the
physics of a lens whose halves are seen apart:

- each has energy 1;
- the right view's is the mirror of the left's;
- the center view's is the mean of both, L + R = 2C: that of the undivided aperture with `HalfDisc`
  and `Ramp`, which share its light out, but not with `TranslatingDisc`;
- a circle of confusion of the other sign turns it by half a turn, so that the views swap;
- without defocus it is a single pixel.

Behind focus (`coc` > 0) the left view's light lands to the left. So the left view is what one sees
through the left half of the lens from behind the camera, and the point lies further to the right in
the right view: its disparity, as `ifan.networks.disparity` has it, has the sign of its `coc`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Aperture(Protocol):
    """How a blur of some radius is filled with light: symmetric about its vertical axis."""

    def reach(self, radius: float) -> int:
        """Return how many pixels from its center light lands at most."""
        ...

    def light(self, radius: Array, x: Array, y: Array) -> Array:
        """Return the light of a point, not normalised, at x, y pixels from it.

        Args:
            radius: radii in pixels, nx1x1.
            x: 1x1xk, to the right.
            y: 1xkx1, downwards.

        Returns:
            nxkxk, not negative; k is 2 * reach + 1 or more.
        """
        ...


class Split(Protocol):
    """Which part of the light of a point behind focus the left view receives."""

    def left_share(self, radius: Array, x: Array, y: Array) -> Array:
        """Return shares that are not negative, see `Aperture.light`; the scale is free."""
        ...


class Kernels(NamedTuple):
    """The point spread functions of both views, kxk, energy 1 each, the point in the middle."""

    left: Array
    right: Array

    @property
    def center(self) -> Array:
        """The mean of both."""
        return (self.left + self.right) / 2


@dataclass(frozen=True)
class Disc:
    """Uniform, with a rim one pixel soft: clip(r + 1/2 - d, 0, 1) at the distance d."""

    def reach(self, radius: float) -> int:
        """See `Aperture`."""
        return max(math.ceil(radius + 0.5) - 1, 0)

    def light(self, radius: Array, x: Array, y: Array) -> Array:
        """See `Aperture`."""
        return np.asarray(np.clip(radius + 0.5 - np.hypot(x, y), 0, 1))


@dataclass(frozen=True)
class Polygon:
    """Uniform inside a regular polygon, a vertex upwards: the blades of a closed aperture.

    Attributes:
        blades: number of its sides, at least 4. The circle of confusion goes through the vertices.
    """

    blades: int = 6

    def __post_init__(self) -> None:
        if self.blades < 4:
            raise ValueError("a polygon has at least 4 blades")

    def reach(self, radius: float) -> int:
        """See `Aperture`."""
        rim = 0.5 / math.cos(math.pi / self.blades)
        return max(math.ceil(radius + rim) - 1, 0)

    def light(self, radius: Array, x: Array, y: Array) -> Array:
        """See `Aperture`."""
        half = math.pi / self.blades
        directions = [2 * half * side + half - math.pi / 2 for side in range(self.blades)]
        distance = np.max([x * math.cos(a) + y * math.sin(a) for a in directions], axis=0)
        return np.asarray(np.clip(radius * math.cos(half) + 0.5 - distance, 0, 1))


@dataclass(frozen=True)
class Butterworth:
    """Dim in the middle and bright at the rim, as measured on real lenses (RDPD, Sec. 3.2).

    H = q / (1 + q) with q = (d^2 / D0^2)^order and D0 = (k - 1) / cut for a blur k pixels wide
    (k = 2r + 1), rescaled to [floor, 1], times the disc, smoothed by a Gaussian.

    Attributes:
        order: how steeply the light rises towards the rim; the paper has 3, 6 and 9.
        cut: where it rises; the paper has 2 (at the rim) and 2.5 (further inside).
        floor: the light in the middle, in parts of that at the rim; the paper has 0.1 and 0.2.
    """

    order: int = 3
    cut: float = 2.5
    floor: float = 0.2

    def __post_init__(self) -> None:
        if self.order < 1 or self.cut <= 0 or not 0 < self.floor <= 1:
            raise ValueError("order must be at least 1, cut positive and floor in (0, 1]")

    def reach(self, radius: float) -> int:
        """See `Aperture`."""
        return Disc().reach(radius) + int(3 * _smoothing(radius) + 0.5)

    def light(self, radius: Array, x: Array, y: Array) -> Array:
        """See `Aperture`."""
        # Written with 1/q, which is finite at every distance and for every radius.
        inverse = (2 * radius / self.cut / np.maximum(np.hypot(x, y), 1e-6)) ** (2 * self.order)
        at_rim = 1 / (1 + (2 / self.cut) ** (2 * self.order))
        bowl = self.floor + (1 - self.floor) * np.minimum(1 / (1 + inverse) / at_rim, 1)
        return _smoothed(bowl * Disc().light(radius, x, y), _smoothing(radius))


@dataclass(frozen=True)
class Dome:
    """Bright in the middle and dimmer towards the rim: 1 - falloff (d / r)^2, times the disc.

    Pixels see light that comes in at a slant less well, and the rims of lens elements hold some
    of it back, so the outer parts of an aperture give less light than its middle. It is smoothed
    by a Gaussian, as `Butterworth` is, and more if it is soft.

    Attributes:
        falloff: what the rim lacks, in parts of the light in the middle.
        softness: standard deviation in pixels of a further Gaussian, which does not grow with the
            blur, for blurs of a radius of one pixel or more: aberrations out of focus, large
            pixels, or the few rays that a light field is refocused from.
    """

    falloff: float = 0.5
    softness: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.falloff <= 1:
            raise ValueError("falloff must be in [0, 1]")
        if self.softness < 0:
            raise ValueError("softness must be at least 0")

    def reach(self, radius: float) -> int:
        """See `Aperture`."""
        return Disc().reach(radius) + int(3 * float(self._deviation(np.asarray(radius))) + 0.5)

    def light(self, radius: Array, x: Array, y: Array) -> Array:
        """See `Aperture`."""
        part = np.minimum(np.hypot(x, y) / np.maximum(radius, 1e-6), 1)
        dome = 1 - self.falloff * part**2
        return _smoothed(dome * Disc().light(radius, x, y), self._deviation(radius))

    def _deviation(self, radius: Array) -> Array:
        # Up to a radius of 1/2 there is no softness: without defocus there is a single pixel.
        soft = self.softness * np.clip(2 * radius - 1, 0, 1)
        return np.asarray(np.hypot(_smoothing(radius), soft))


@dataclass(frozen=True)
class Gaussian:
    """A bell with the standard deviation (2r - 1) / 4 (SYNDOF: (CoC diameter - 1) / 4).

    It is lowered so that it reaches zero at three standard deviations, and cut off there.
    """

    def reach(self, radius: float) -> int:
        """See `Aperture`."""
        return max(math.ceil(3 * (2 * radius - 1) / 4) - 1, 0)

    def light(self, radius: Array, x: Array, y: Array) -> Array:
        """See `Aperture`."""
        # A single pixel for radii up to 1/2, where the formula has no bell.
        deviation = np.maximum((2 * radius - 1) / 4, 1e-3)
        bell = np.exp(-(x**2 + y**2) / (2 * deviation**2))
        return np.asarray(np.maximum(bell - math.exp(-4.5), 0))


@dataclass(frozen=True)
class HalfDisc:
    """The left half is lit (Xin et al., ICCV 2021), with an edge that may be soft.

    Attributes:
        softness: how far the edge reaches from the middle, in parts of the radius, 0 to 1: real
            microlenses do not separate the halves cleanly. It is never less than half a pixel.
    """

    softness: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.softness <= 1:
            raise ValueError("softness must be in [0, 1]")

    def left_share(self, radius: Array, x: Array, y: Array) -> Array:  # noqa: ARG002
        """See `Split`."""
        edge = np.maximum(self.softness * (radius + 0.5), 0.5)
        return np.asarray(np.clip(0.5 - x / (2 * edge), 0, 1))


@dataclass(frozen=True)
class Ramp:
    """The light falls off linearly from the left rim to nothing at the right (RDPD, Sec. 3.2)."""

    def left_share(self, radius: Array, x: Array, y: Array) -> Array:
        """See `Split`."""
        return HalfDisc(softness=1).left_share(radius, x, y)


@dataclass(frozen=True)
class TranslatingDisc:
    """The mean of discs shifted to the left by 0 to 2r + 1 (Punnappurath et al., ICCP 2020).

    At a point of the disc in the middle, it is the part of those shifts that still cover the point:
    (h - x) / (2r + 1), where h is half the chord at its height. Meant for apertures that end at
    their radius, `Disc` and `Polygon`: light beyond it belongs to neither view.

    Both views do not add up to the undivided aperture: together they receive 2h / (2r + 1) of its
    light, so that the center view's blur is dimmer above and below.
    """

    def left_share(self, radius: Array, x: Array, y: Array) -> Array:
        """See `Split`."""
        chord = np.sqrt(np.maximum((radius + 0.5) ** 2 - y**2, 0))
        return np.maximum(chord - x, 0) / (2 * radius + 1)


@dataclass(frozen=True)
class PointSpreadFunction:
    """An aperture and how dual pixels split it.

    Attributes:
        aperture: `Disc`, `Polygon`, `Butterworth`, `Dome`, `Gaussian`, or another `Aperture`.
        split: `HalfDisc`, `Ramp`, `TranslatingDisc`, or another `Split`.
    """

    aperture: Aperture = Disc()
    split: Split = HalfDisc()

    @property
    def name(self) -> str:
        """What it is, for people: "Polygon, Ramp"."""
        return f"{type(self.aperture).__name__}, {type(self.split).__name__}"

    def reach(self, coc: float) -> int:
        """Return how many pixels from a point its light lands at most."""
        return self.aperture.reach(abs(coc))

    def views(self, coc: float) -> Kernels:
        """Return the point spread functions of a circle of confusion.

        Args:
            coc: signed radius in pixels, negative in front of focus.

        Returns:
            Both views, kxk with k = 2 * reach + 1.
        """
        (left,) = self.left(np.array([coc], np.float64), self.reach(coc))
        return Kernels(left, left[:, ::-1])

    def left(self, cocs: Array, reach: int) -> Array:
        """Return the left view's point spread functions of many circles of confusion.

        Args:
            cocs: n signed radii in pixels.
            reach: at least that of each.

        Returns:
            nxkxk with k = 2 * reach + 1, energy 1 each. The right view's are their mirrors.
        """
        offsets = np.arange(-reach, reach + 1, dtype=np.float64)
        where = np.abs(cocs)[:, None, None], offsets[None, None, :], offsets[None, :, None]
        left = self.aperture.light(*where) * self.split.left_share(*where)
        left /= left.sum(axis=(1, 2), keepdims=True)
        in_front = cocs < 0
        left[in_front] = left[in_front, ::-1, ::-1]
        return left


def _smoothing(radius: npt.ArrayLike) -> Array:
    """Standard deviation of the Gaussian that is (2r + 1) / 7 wide, at half its height."""
    width = (2 * np.asarray(radius, np.float64) + 1) / 7
    return np.asarray(width / (2 * math.sqrt(2 * math.log(2))))


def _smoothed(light: Array, deviation: Array) -> Array:
    """Smooth nxkxk, each with a deviation of its own (nx1x1), by products with band matrices."""
    offsets = np.arange(light.shape[-1])
    distance = np.abs(offsets[:, None] - offsets[None, :])
    # Lowered to zero where `reach` cuts it off, so that it changes smoothly with the radius.
    end = np.exp(-((3 + 0.5 / deviation) ** 2) / 2)
    band = np.maximum(np.exp(-(distance**2) / (2 * deviation**2)) - end, 0)
    band /= band[:, :, [band.shape[-1] // 2]].sum(axis=1, keepdims=True)
    return np.asarray(band @ light @ band)
