"""Cameras: from the layers of a scene to the pictures that a camera would write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ifan.datasets.simulated.settings import Simulation, log_uniform
from ifan.optics import (
    Aperture,
    Butterworth,
    Disc,
    Distortion,
    Dome,
    Gaussian,
    HalfDisc,
    Layer,
    PointSpreadFunction,
    Polygon,
    Ramp,
    Sensor,
    Split,
    ToneCurve,
    TranslatingDisc,
    Views,
    Vignetting,
    all_in_focus,
    jpeg_compressed,
    quantised,
    render,
    visible_coc,
)

Array = npt.NDArray[np.float32]

_DOMES: tuple[Aperture, ...] = tuple(Dome(falloff) for falloff in (0.2, 0.4, 0.6, 0.8))
_SOFT_DOMES = tuple(
    Dome(falloff, softness) for falloff in (0.4, 0.7, 0.9) for softness in (0.5, 1.0, 1.5)
)

APERTURES: tuple[tuple[Aperture, ...], ...] = (
    _DOMES,
    _SOFT_DOMES,
    _SOFT_DOMES,
    (Disc(),),
    (Polygon(5), Polygon(6), Polygon(7), Polygon(8), Polygon(9)),
    # The parameters of RDPD.
    tuple(Butterworth(n, cut, low) for n in (3, 6, 9) for cut in (2, 2.5) for low in (0.1, 0.2)),
    (Gaussian(),),
)
"""Kinds of aperture, each line as frequent as another, as are those of one kind. Domes come
oftest: no lens and no sensor lets all slanted light through, and real blurs have soft rims."""

SPLITS: tuple[Split, ...] = (HalfDisc(0.1), HalfDisc(0.3), HalfDisc(0.6), Ramp())
"""How dual pixels split the light, each as frequent as another."""

FLAT_SPLITS: tuple[Split, ...] = (*SPLITS, TranslatingDisc())
"""The same for apertures that end at their radius."""

MOST_DISTORTION = 0.06
"""Largest |radial| of `ifan.optics.Distortion`: that of ordinary lenses."""

DARKEST_CORNER = 0.4
"""Smallest `ifan.optics.Vignetting.corner`."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """What a camera writes of a scene, see `ifan.datasets.simulated.Scene`."""

    center: Array
    left: Array
    right: Array
    target: Array
    coc: Array


@dataclass(frozen=True)
class Camera:
    """What one scene is photographed with.

    Attributes:
        psf: the lens.
        chromatic_shift: what it adds to the coc of red, green and blue.
        distortion: how it bends the picture.
        vignetting: how it darkens the corners.
        sensor: its noise.
        tone: how it develops light.
        jpeg_quality: of the views, or None: they are not compressed.
        bits: a sample.
    """

    psf: PointSpreadFunction
    chromatic_shift: tuple[float, float, float]
    distortion: Distortion
    vignetting: Vignetting
    sensor: Sensor
    tone: ToneCurve
    jpeg_quality: int | None
    bits: int

    def margins(self, largest: float, height: int, width: int) -> tuple[int, int]:
        """Return what has to be seen around the picture, for the blur and for the distortion.

        Args:
            largest: the largest |coc|.
            height: of the picture.
            width: of the picture.
        """
        blur = self.psf.reach(largest + max(map(abs, self.chromatic_shift)))
        return blur, self.distortion.margin(height, width) if self.distortion.radial else 0

    def photograph(
        self, layers: Sequence[Layer], margins: tuple[int, int], random: np.random.Generator
    ) -> Pictures:
        """Photograph layers that are larger than the picture by both margins at each side."""
        blur, bend = margins
        views = render(layers, self.psf, margin=blur, chromatic_shift=self.chromatic_shift)
        seen = Views(*(self._through_the_lens(view, bend) for view in views))
        noisy = self.sensor.expose(seen, random)
        target = self._through_the_lens(all_in_focus(layers, margin=blur), bend)
        coc = visible_coc(layers, margin=blur)
        return Pictures(
            center=self._developed(noisy.center),
            left=self._developed(noisy.left),
            right=self._developed(noisy.right),
            # Vignetting and distortion are in the target, too: they are not what is to be mended.
            target=quantised(self.tone.coded(target), self.bits),
            coc=self.distortion.apply_to_map(coc, bend) if bend else coc,
        )

    def _through_the_lens(self, picture: Array, margin: int) -> Array:
        return self.vignetting.apply(self.distortion.apply(picture, margin) if margin else picture)

    def _developed(self, light: Array) -> Array:
        coded = quantised(self.tone.coded(light), self.bits)
        return coded if self.jpeg_quality is None else jpeg_compressed(coded, self.jpeg_quality)


def random_camera(random: np.random.Generator, settings: Simulation, *, sharp: bool) -> Camera:
    """Draw a camera; for a scene that is sharp, one without fringes."""
    kind = APERTURES[int(random.integers(len(APERTURES)))]
    aperture = kind[int(random.integers(len(kind)))]
    splits = FLAT_SPLITS if isinstance(aperture, Disc | Polygon) else SPLITS
    psf = PointSpreadFunction(aperture, splits[int(random.integers(len(splits)))])
    fringe = 0.0
    if random.random() < settings.fringed_share and not sharp:
        fringe = random.uniform(-settings.fringe_px, settings.fringe_px)
    red = -fringe
    # A share of 0 draws nothing: scenes are then those that there were without it.
    if settings.achromatic_share and random.random() < settings.achromatic_share:
        red = fringe
    radial, corner = 0.0, 1.0
    if random.random() < settings.distorted_share:
        radial = random.uniform(-MOST_DISTORTION, MOST_DISTORTION)
        corner = random.uniform(DARKEST_CORNER, 1)
    low, high = settings.jpeg_quality
    compressed = random.random() < settings.compressed_share
    return Camera(
        psf=psf,
        chromatic_shift=(red, 0.0, fringe),
        distortion=Distortion(radial=radial),
        vignetting=Vignetting(corner=corner),
        sensor=Sensor(
            electrons=log_uniform(random, settings.electrons),
            read_noise=log_uniform(random, settings.read_noise),
        ),
        tone=ToneCurve(log_uniform(random, settings.tone)),
        jpeg_quality=int(random.integers(low, high + 1)) if compressed else None,
        bits=settings.bits,
    )
