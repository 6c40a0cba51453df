"""How much a model gains on pictures whose sharp counterparts are known.

    python benchmarks/quality.py FOLDER [--model M] [--linear]

FOLDER holds pairs NAME_input.png and NAME_target.png. For each pair it prints PSNR (over RGB, peak
1) and SSIM (scikit-image's defaults, per channel) of the input and of the result, the mean change
of colour, and in the last line the means.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ifan import Deblurrer

Picture = NDArray[np.float32]


class Scores(NamedTuple):
    """Scores of one pair: before is the input's, after the result's."""

    psnr_before: float
    psnr_after: float
    ssim_before: float
    ssim_after: float
    colour_shift: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--linear", action="store_true", help="the pictures are in linear light")
    options = parser.parse_args()
    deblurrer = Deblurrer(options.model, precision="fp32")
    print(f"{'':24} {'PSNR':>16} {'gain':>6} {'SSIM':>15} {'gain':>7} {'colour':>7}")
    scores = []
    for source in sorted(options.folder.glob("*_input.png")):
        target = source.with_name(source.name.replace("_input", "_target"))
        scores.append(score(deblurrer, read(source, options.linear), read(target, options.linear)))
        print_row(source.name.removesuffix("_input.png"), scores[-1])
    if not scores:
        parser.error(f"{options.folder} holds no NAME_input.png")
    print_row("mean", Scores(*np.mean(scores, axis=0)))


def read(path: Path, linear: bool) -> Picture:
    """Read a picture as HxWx3 in [0, 1], sRGB-coded."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB") if image.mode == "RGBA" else image)
    white = 65535 if pixels.dtype.itemsize > 1 else 255
    picture: Picture = np.divide(pixels, white, dtype=np.float32)
    if linear:
        curve = 1.055 * picture ** (1 / 2.4) - 0.055
        picture = np.where(picture <= 0.0031308, 12.92 * picture, curve).astype(np.float32)
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def score(deblurrer: Deblurrer, source: Picture, target: Picture) -> Scores:
    result = deblurrer(source)
    shift = np.abs((result - source).mean(axis=(0, 1))).max() * 255
    return Scores(
        peak_signal_noise_ratio(target, source, data_range=1),
        peak_signal_noise_ratio(target, result, data_range=1),
        ssim(target, source),
        ssim(target, result),
        float(shift),
    )


def ssim(target: Picture, picture: Picture) -> float:
    return float(structural_similarity(target, picture, data_range=1, channel_axis=2))


def print_row(name: str, scores: Scores) -> None:
    before, after, ssim_before, ssim_after, shift = scores
    print(
        f"{name:24} {before:6.2f} -> {after:6.2f} {after - before:+6.2f} "
        f"{ssim_before:6.3f} -> {ssim_after:6.3f} {ssim_after - ssim_before:+6.3f} {shift:7.2f}"
    )


if __name__ == "__main__":
    main()
