"""What a dual-pixel sensor adds to the light: photon noise and read noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat

from ifan.optics.rendering import Views

Array = npt.NDArray[np.float32]

FEW = 20.0
"""Below this many electrons they are counted; above, a normal distribution is as good."""


class Sensor(BaseModel):
    """Poisson-Gaussian noise (Foi et al., TIP 2008), for each half of a pixel by itself.

    Each half receives half of the light, so its noise is larger by sqrt(2) than that of the whole
    pixel, which is their sum. At signal v, where 1 is white, a view has the variance
    2 v / electrons + (2 read_noise / electrons)^2.

    Attributes:
        electrons: how many a whole pixel collects at white; 1000 is a noisy picture, 50 000 a clean
            one.
        read_noise: standard deviation in electrons of reading one half.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    electrons: PositiveFloat = 20_000.0
    read_noise: NonNegativeFloat = 2.0

    def expose(self, views: Views, random: np.random.Generator) -> Views:
        """Return the views with noise, in linear light; values may be negative.

        Args:
            views: in linear light, without noise.
            random: where the noise comes from; it is not the same in both views.
        """
        return Views(self._read(views.left, random), self._read(views.right, random))

    def _read(self, view: Array, random: np.random.Generator) -> Array:
        white = self.electrons / 2
        expected = np.maximum(view, 0) * np.float32(white)
        # The sum of two normal distributions is one.
        deviation = np.sqrt(expected + np.float32(self.read_noise**2))
        counted = expected + deviation * random.standard_normal(view.shape, np.float32)
        few = np.flatnonzero(expected < FEW)
        read = self.read_noise * random.standard_normal(few.size)
        counted.reshape(-1)[few] = random.poisson(expected.reshape(-1)[few]) + read
        return np.asarray(counted / np.float32(white), np.float32)
