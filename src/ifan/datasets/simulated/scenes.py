"""Scenes from sharp photographs, seen through a dual-pixel camera that is out of focus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ifan.datasets.simulated.cameras import random_camera
from ifan.datasets.simulated.crops import Photograph, Window, sharp_window, softened
from ifan.datasets.simulated.depths import (
    BACKDROPS,
    coc_of_depth,
    layers_of_depth,
    slanted,
    things,
)
from ifan.datasets.simulated.outlines import random_outline
from ifan.datasets.simulated.settings import Simulation, log_uniform
from ifan.optics import Layer, ToneCurve

Array = npt.NDArray[np.float32]

SHARP_COC_PX = 0.4
"""The largest |coc| of a scene without defocus: less than half a pixel blurs next to nothing."""

BRIGHT = 0.8
"""Linear light from which on a photograph may have cut off what was brighter."""

MOST_HIGHLIGHTS = 0.03
"""Part of a piece that may be highlights."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A simulated photograph with everything one knows about it.

    Attributes:
        center: what the whole pixels saw, HxWx3, sRGB-coded in [0, 1], as are the next three.
        left: what their left halves saw.
        right: what their right halves saw.
        target: everything in focus, without noise.
        coc: HxW, the true circle of confusion: signed radius in pixels, negative in front of focus.
            The disparity of the right view against the left one has the same sign.
        description: what it is, in a few words.
    """

    center: Array
    left: Array
    right: Array
    target: Array
    coc: Array
    description: str


class _Look(NamedTuple):
    """What all pieces of a scene have in common: size, tone curve and softness in pixels."""

    size: tuple[int, int]
    tone: ToneCurve
    softness: float


class SceneSimulator:
    """Makes scenes by number, each the same whenever and wherever it is made.

    Scene `i` depends on the photographs, the settings, the seed and `i` alone: not on the scenes
    before it, so any number of processes may share the work. It runs in one thread. Another kind of
    processor may round the last bit of a number otherwise.

    Args:
        photographs: sharp ones, HxWx3, sRGB-coded, uint8, uint16 or float in [0, 1]. A sequence
            that reads a photograph when it is asked for it keeps memory low.
        settings: what to draw from.
        depths: for each photograph its depth, HxW, positive, in any unit, infinity allowed; or None
            where it is not known. A photograph with a depth is blurred according to it.
        seed: another one makes other scenes of the same kind.

    Raises:
        ValueError: no photographs, or not as many depths. `scene` refuses a photograph that is not
            HxWx3, and a depth that has another size than its photograph or is not positive.
    """

    def __init__(
        self,
        photographs: Sequence[Photograph],
        settings: Simulation,
        *,
        depths: Sequence[Array | None] | None = None,
        seed: int = 0,
    ) -> None:
        if not len(photographs):
            raise ValueError("scenes need at least one photograph")
        if depths is not None and len(depths) != len(photographs):
            raise ValueError(f"{len(photographs)} photographs, but {len(depths)} depths")
        self.photographs = photographs
        self.settings = settings
        self.depths = depths
        self.seed = seed

    def scenes(self, first: int = 0, step: int = 1) -> Iterator[Scene]:
        """Make scenes without end; process i of n takes those from i on in steps of n."""
        index = first
        while True:
            yield self.scene(index)
            index += step

    def scene(self, index: int) -> Scene:
        """Make scene number `index`, 0 or more."""
        settings = self.settings
        random = np.random.default_rng([self.seed, index])
        sharp = random.random() < settings.sharp_share
        largest = SHARP_COC_PX if sharp else log_uniform(random, settings.coc_px)
        camera = random_camera(random, settings, sharp=sharp)
        margins = camera.margins(largest, settings.height, settings.width)
        size = (settings.height + 2 * sum(margins), settings.width + 2 * sum(margins))
        # Drawn apart, so that all else of a scene is what it is without it.
        softness = np.random.default_rng([self.seed, index, 7]).uniform(*settings.softness_px)
        look = _Look(size, camera.tone, softness)
        layers, what = self._backdrop(random, largest, look)
        in_front = []
        if random.random() < settings.occluded_share:
            in_front = self._cut_outs(random, largest, layers, look)
        pictures = camera.photograph([*layers, *in_front], margins, random)
        return Scene(
            **vars(pictures),
            description=f"{what}, {len(in_front)} in front, {largest:.1f} px, {camera.psf.name}",
        )

    def _backdrop(
        self, random: np.random.Generator, largest: float, look: _Look
    ) -> tuple[list[Layer], str]:
        """Make what fills the picture, and say what it is."""
        window, colour = self._piece(random, look)
        depth = None if self.depths is None else self.depths[window.number]
        if depth is not None:
            self._check_depth(window.number, depth)
            coc = coc_of_depth(random, window.nearest(depth, *look.size), largest)
            return layers_of_depth(colour, coc), "depth map"
        backdrop = BACKDROPS[int(random.integers(len(BACKDROPS)))]
        # A share of 0 draws nothing: scenes are then those that there were without it.
        share = self.settings.things_share
        if share and random.random() < share:
            return things(random, colour, largest, self.settings.things_px), "things"
        return backdrop(random, colour, largest), backdrop.__name__

    def _cut_outs(
        self, random: np.random.Generator, largest: float, behind: list[Layer], look: _Look
    ) -> list[Layer]:
        """Cut things out of other pieces and put them in front, the nearest last."""
        count = int(random.integers(1, self.settings.most_occluders + 1))
        # Not below the largest, as that of a depth map may be by a rounding.
        nearest = max(min(layer.coc_range[0] for layer in behind), -largest)
        cocs = random.uniform(-largest, nearest, count)
        if nearest > 0 and random.random() < 0.4:
            # A thing in focus in front of what is not: the most usual of photographs.
            cocs[0] = 0
        layers = []
        for coc in np.sort(cocs)[::-1]:
            _, colour = self._piece(random, look)
            surface: float | Array = float(coc)
            if random.random() < 0.2:
                surface = slanted(random, look.size, (max(coc - 0.2 * largest, -largest), coc))
            layers.append(
                Layer(colour, surface, random_outline(random, *look.size, self.settings.edge_px))
            )
        return layers

    def _piece(self, random: np.random.Generator, look: _Look) -> tuple[Window, Array]:
        """Cut a sharp piece out of a photograph; in half of them bright light is brighter."""
        zooms = self.settings.smallest_zoom, self.settings.largest_zoom
        window = sharp_window(self.photographs, random, *look.size, zooms)
        colour = window.colour(*look.size, look.tone)
        if random.random() < 0.5:
            gain = log_uniform(random, (1, self.settings.highlight_gain))
            colour = _with_highlights(colour, gain)
        return window, softened(colour, look.softness)

    def _check_depth(self, number: int, depth: Array) -> None:
        wanted = self.photographs[number].shape[:2]
        if depth.shape != wanted:
            raise ValueError(
                f"depth {number} must be {wanted} as its photograph, not {depth.shape}"
            )
        if not (depth > 0).all():
            raise ValueError(f"depth {number} must be positive")


def _with_highlights(colour: Array, gain: float) -> Array:
    """Make white up to `gain` times brighter than white, as it was before it was cut off.

    All colours of a pixel change alike, and only where all of them are bright. Large white areas
    are paper or walls rather than lamps and are left alone; brighter, they would wipe out what is
    on them.
    """
    darkest = np.minimum(np.minimum(colour[..., 0], colour[..., 1]), colour[..., 2])
    whiteness = np.clip((darkest - BRIGHT) / (1 - BRIGHT), 0, 1)
    if whiteness.mean() > MOST_HIGHLIGHTS:
        return colour
    return np.asarray(colour * (1 + (gain - 1) * whiteness**2)[..., None], np.float32)
