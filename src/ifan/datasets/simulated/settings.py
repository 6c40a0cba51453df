"""What scenes are drawn from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from ifan.optics.kernels import LARGEST

Share = Annotated[float, Field(ge=0, le=1)]

Side = Annotated[int, Field(ge=2)]
"""In pixels: the surfaces of a scene have slopes, which a single pixel does not show."""

LARGEST_COC_PX = LARGEST - 1
"""What |coc| and fringes together may reach: what is rendered, less a pixel for rounding."""

_RANGES = (
    "coc_px",
    "things_px",
    "edge_px",
    "softness_px",
    "electrons",
    "read_noise",
    "tone",
    "jpeg_quality",
)


class Simulation(BaseModel):
    """Settings of simulated scenes; each scene draws its own values from these ranges.

    Attributes:
        height: of the pictures in pixels, 2 or more.
        width: of the pictures in pixels, 2 or more.
        bits: bits a sample of the views and the target, 8 or 16.
        coc_px: range of the largest |coc| of a scene, in pixels; small ones are as frequent as
            large ones (uniform in the logarithm). Begin a training with mild blur, (1, 6), say.
            With `fringe_px` it must not exceed `LARGEST_COC_PX`.
        sharp_share: how many of the scenes have no defocus, only noise.
        things_share: how many have their photograph at several distances, whose edges are those of
            what it shows; the others know nothing of what is on it.
        things_px: what is thinner is not told apart in these: range of powers of two. Around what
            is thin, about as much of the ground is at its distance.
        occluded_share: how many have cut-outs of other photographs in front.
        most_occluders: the largest number of them.
        edge_px: range of how wide the edges of round, ragged and hairy ones are, in the target too.
        smallest_zoom: photographs are scaled by this factor to `largest_zoom`, or not at all if
            they are too small for that.
        largest_zoom: at most 1. Between 2/3 and 1, some pixels are means of two of the photograph's
            and others of one, so that sharpness comes in stripes.
        softness_px: range of the standard deviation of the Gaussian that softens all of a scene, in
            the target too: lens and demosaicing leave pictures at the full size of a camera softer
            than those that were reduced. 0 leaves scenes as they are.
        electrons: range of `ifan.optics.Sensor.electrons`.
        read_noise: range of `ifan.optics.Sensor.read_noise`.
        highlight_gain: how many times brighter than white small white spots of a photograph may
            be, as they were before it cut them off; they make bright discs out of focus.
        fringed_share: how many have coloured fringes along defocused edges.
        fringe_px: the largest difference in coc between green and another colour.
        achromatic_share: how many of the fringed have red and blue in one focus and green in
            another, which makes fringes of magenta and green; the others have red and blue on
            opposite sides of green.
        distorted_share: how many have radial distortion and vignetting.
        tone: range of `ifan.optics.ToneCurve.exponent`; another curve than that of the photographs,
            whose own is not known, makes other light of them.
        compressed_share: how many have views that went through JPEG compression.
        jpeg_quality: range of its quality.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    height: Side = 256
    width: Side = 256
    bits: Literal[8, 16] = 8
    coc_px: tuple[PositiveFloat, PositiveFloat] = (1.0, 15.0)
    sharp_share: Share = 0.1
    things_share: Share = 0.3
    things_px: tuple[PositiveInt, PositiveInt] = (2, 8)
    occluded_share: Share = 0.6
    most_occluders: PositiveInt = 3
    edge_px: tuple[PositiveFloat, PositiveFloat] = (1.0, 5.0)
    smallest_zoom: Annotated[float, Field(gt=0, le=1)] = 0.5
    largest_zoom: Annotated[float, Field(gt=0, le=1)] = 1.0
    softness_px: tuple[NonNegativeFloat, Annotated[float, Field(ge=0, le=2)]] = (0.0, 0.0)
    electrons: tuple[PositiveFloat, PositiveFloat] = (3_000.0, 60_000.0)
    read_noise: tuple[PositiveFloat, PositiveFloat] = (1.0, 4.0)
    highlight_gain: Annotated[float, Field(ge=1)] = 4.0
    fringed_share: Share = 0.2
    fringe_px: Annotated[float, Field(ge=0, le=3)] = 0.5
    achromatic_share: Share = 0.0
    distorted_share: Share = 0.3
    tone: tuple[PositiveFloat, PositiveFloat] = (0.9, 1.5)
    compressed_share: Share = 0.0
    jpeg_quality: tuple[PositiveInt, PositiveInt] = (75, 98)

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        for name in _RANGES:
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must go from the smaller to the larger value")
        if self.coc_px[1] + self.fringe_px > LARGEST_COC_PX:
            raise ValueError(f"coc_px and fringe_px together must not exceed {LARGEST_COC_PX} px")
        if any(width.bit_count() != 1 for width in self.things_px):
            raise ValueError("things_px must be powers of two")
        if self.smallest_zoom > self.largest_zoom:
            raise ValueError("smallest_zoom must not exceed largest_zoom")
        if self.jpeg_quality[1] > 100:
            raise ValueError("jpeg_quality is at most 100")
        return self


def log_uniform(random: np.random.Generator, limits: tuple[float, float]) -> float:
    """Draw a positive number such that its logarithm is uniform between two limits."""
    low, high = limits
    return float(np.exp(random.uniform(np.log(low), np.log(high))))
