"""Sharp pictures to simulate scenes of."""

import numpy as np

from ifan.datasets.simulated.noise import smooth_noise
from ifan.optics import quantised


def photograph(seed, height=220, width=260):
    """Leaves on leaves: sharp edges everywhere, as uint8."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for _ in range(12):
        inside = smooth_noise(random, height, width, random.uniform(6, 40)) > 0.3
        shade = smooth_noise(random, height, width, 60)[..., None] * 0.1
        picture = np.where(inside[..., None], random.uniform(0.05, 0.95, 3) + shade, picture)
    return np.rint(quantised(picture, 8) * 255).astype(np.uint8)
