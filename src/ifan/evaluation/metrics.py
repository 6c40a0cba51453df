"""How near a picture is to its target: PSNR, SSIM and mean absolute error.

LPIPS, which needs a network, is in `ifan.evaluation.lpips`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from skimage.metrics import structural_similarity

Picture = npt.NDArray[np.floating[Any]]
"""HxWx3, sRGB-coded, [0, 1]; beyond that only where a protocol does not clip."""

Window = Literal["uniform", "gaussian"]

LEAST_SIDE = 31
"""Pixels that a picture at least has on each side: with fewer, nothing is left of it on the way
through the network of LPIPS."""

# The window of Wang et al. (2004): 11x11, of this deviation, normalised by its sum.
_GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


class Scores(BaseModel):
    """How near a picture is to its target.

    Attributes:
        psnr: peak signal-to-noise ratio in dB; higher is better; infinite if both are equal.
        ssim: structural similarity, at most 1; higher is better.
        mae: mean absolute error; lower is better.
        lpips: perceptual distance; lower is better.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    psnr: float
    ssim: float
    mae: float
    lpips: float


def psnr(picture: Picture, target: Picture) -> float:
    """Return the peak signal-to-noise ratio over RGB in dB, peak 1; NaN if a value is."""
    error = float(np.square(np.subtract(picture, target, dtype=np.float64)).mean())
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def ssim(picture: Picture, target: Picture, window: Window = "uniform") -> float:
    """Return the structural similarity, computed for each channel in float64 and averaged.

    Args:
        picture: HxWx3, at least 11 pixels on each side.
        target: the same.
        window: `uniform`, 7x7, scikit-image's default; or `gaussian`, 11x11 with deviation 1.5.
    """
    similarity: Any = structural_similarity
    options = _GAUSSIAN if window == "gaussian" else {}
    pictures = (values.astype(np.float64, copy=False) for values in (picture, target))
    return float(similarity(*pictures, data_range=1.0, channel_axis=2, **options))


def mae(picture: Picture, target: Picture) -> float:
    """Return the mean absolute error over RGB; the paper's tables show it times ten."""
    return float(np.abs(np.subtract(picture, target, dtype=np.float64)).mean())
