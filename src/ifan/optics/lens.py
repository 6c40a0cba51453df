"""The thin lens: how large the blur of a point is that lies at a given depth.

With focal length f, F-number n, focus distance s and depth z, the circle of confusion has the
signed diameter (Potmesil and Chakravarty, SIGGRAPH 1981, up to the sign)

    c(z) = f^2 (z - s) / (n z (s - f)),

on the sensor. It is an affine function of 1/z, so a plane in space, however slanted, has an affine
circle of confusion in the picture.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, PositiveFloat, model_validator

Array = npt.NDArray[np.float64]


class ThinLens(BaseModel):
    """A lens in front of a sensor, focused at some distance.

    `coc` is everywhere the signed *radius* of the circle of confusion in pixels, half the diameter
    of the formula: 0 in focus, positive behind the focus distance, negative in front of it.

    Attributes:
        focal_length_mm: f.
        f_number: n, the focal length divided by the diameter of the aperture.
        focus_distance_m: s, from the lens to what is in focus; more than the focal length.
        pixel_pitch_um: distance between the centers of neighbouring pixels on the sensor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    focal_length_mm: PositiveFloat
    f_number: PositiveFloat
    focus_distance_m: PositiveFloat
    pixel_pitch_um: PositiveFloat

    @model_validator(mode="after")
    def _focuses_in_front_of_itself(self) -> Self:
        if self.focus_distance_m * 1e3 <= self.focal_length_mm:
            raise ValueError("focus_distance_m must be more than the focal length")
        return self

    @property
    def coc_at_infinity(self) -> float:
        """The circle of confusion of what is infinitely far away, the largest behind focus."""
        focal_length_m = self.focal_length_mm * 1e-3
        beyond = self.focus_distance_m - focal_length_m
        diameter_m = focal_length_m**2 / (self.f_number * beyond)
        return diameter_m / 2 / (self.pixel_pitch_um * 1e-6)

    def coc(self, depth_m: npt.ArrayLike) -> Array:
        """Return the circle of confusion of points at `depth_m`, of the same shape.

        Raises:
            ValueError: a depth is not positive; infinity is allowed.
        """
        depth = np.asarray(depth_m, np.float64)
        if not (depth > 0).all():
            raise ValueError("depths must be positive")
        return self.coc_at_infinity * (1 - self.focus_distance_m / depth)

    def depth(self, coc: npt.ArrayLike) -> Array:
        """Return at which depth in metres a circle of confusion arises: the inverse of `coc`.

        Raises:
            ValueError: a circle of confusion is larger than that of what is infinitely far away.
        """
        nearness = 1 - np.asarray(coc, np.float64) / self.coc_at_infinity
        if not (nearness >= 0).all():
            raise ValueError(f"no depth has a coc above {self.coc_at_infinity:.3g} px")
        with np.errstate(divide="ignore"):
            return np.asarray(self.focus_distance_m / nearness)
