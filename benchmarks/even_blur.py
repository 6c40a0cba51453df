"""How near a model comes to what could be had, where a whole picture has the same blur.

    python benchmarks/even_blur.py FOLDER [--models ifan-s,...] [--radii 2,4,8] [--linear]

FOLDER holds pairs as for `benchmarks/quality.py`. It prints the mean gain in PSNR on their inputs,
and then on their targets, blurred all over by one soft disc of each radius, in linear light and
without noise, as 8-bit pictures. Beside the models stands a Wiener filter that is told the blur,
and has the best regularisation of a grid for each picture. What a model gains on even blur and not
on the inputs is lost to what these have besides: changes of depth and what hides what.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ifan import Deblurrer
from ifan.evaluation.metrics import psnr
from ifan.optics import Dome, PointSpreadFunction, linear_light, quantised, srgb_coded
from quality import Picture, read_pairs

LENS = PointSpreadFunction(Dome(falloff=0.9, softness=1.0))
"""About what the blur of LFDOF looks like."""

MARGIN = 64
"""Pixels of reflection around a picture: filters by FFT go round."""

REGULARISATIONS = 10.0 ** np.arange(-4, 2, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=lambda text: text.split(","), default=["ifan-s"])
    parser.add_argument(
        "--radii", type=lambda text: [float(r) for r in text.split(",")], default=[2, 4, 8]
    )
    parser.add_argument("--linear", action="store_true", help="the pictures are in linear light")
    options = parser.parse_args()
    pairs = [pair for _, pair in read_pairs(options.folder, linear=options.linear)]
    deblurrers = [Deblurrer(m, precision="fp32", working_size="full") for m in options.models]
    print(
        f"{'':12}{'input':>8}" + "".join(f"{Path(m).name:>16}" for m in options.models) + "  told"
    )
    print_row("as they are", pairs, deblurrers)
    for radius in options.radii:
        blurred = [(blur(target, radius), target) for _, target in pairs]
        print_row(f"{radius:g} px", blurred, deblurrers, radius)


def print_row(
    name: str,
    pairs: list[tuple[Picture, Picture]],
    deblurrers: list[Deblurrer],
    radius: float | None = None,
) -> None:
    before = [psnr(source, target) for source, target in pairs]
    after = [
        [psnr(deblurrer(source), target) for source, target in pairs] for deblurrer in deblurrers
    ]
    if radius is not None:
        after.append([wiener(source, target, radius) for source, target in pairs])
    gains = [np.mean(scores) - np.mean(before) for scores in after]
    cells = "".join(f"{gain:>+16.2f}" for gain in gains[: len(deblurrers)])
    told = f"{gains[-1]:+6.2f}" if radius is not None else ""
    print(f"{name:12}{np.mean(before):8.2f}{cells}{told}", flush=True)


def blur(picture: Picture, radius: float) -> Picture:
    """Blur HxWx3 all over, in linear light, and round it to 8 bits."""
    light = padded(picture)
    blurred = filtered(light, transfer(radius, light.shape[:2]))
    return quantised(srgb_coded(blurred.clip(0, 1)), 8)


def wiener(picture: Picture, target: Picture, radius: float) -> float:
    """Return the PSNR of the best Wiener filter for this blur.

    Pictures have a power that falls with the square of the frequency, rounding has one that does
    not, so that their ratio rises with the square.
    """
    light = padded(picture)
    blurs = transfer(radius, light.shape[:2])
    rows, columns = np.fft.fftfreq(light.shape[0]), np.fft.rfftfreq(light.shape[1])
    squared = rows[:, None] ** 2 + columns**2
    return max(
        psnr(srgb_coded(filtered(light, blurs / (blurs**2 + ratio * squared)).clip(0, 1)), target)
        for ratio in REGULARISATIONS
    )


def transfer(radius: float, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the lens's transfer function at the frequencies of `numpy.fft.rfft2`; it is real."""
    kernel = LENS.views(radius).center
    reach = len(kernel) // 2
    placed = np.zeros(size)
    placed[: len(kernel), : len(kernel)] = kernel
    return np.asarray(np.fft.rfft2(np.roll(placed, (-reach, -reach), (0, 1))).real)


def padded(picture: Picture) -> Picture:
    edges = ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    return np.pad(linear_light(picture), edges, mode="symmetric")


def filtered(light: Picture, response: NDArray[np.float64]) -> Picture:
    """Filter padded HxWx3 and cut the margins off."""
    spectrum = np.fft.rfft2(light, axes=(0, 1)) * response[..., None]
    inside = slice(MARGIN, -MARGIN)
    result = np.fft.irfft2(spectrum, s=light.shape[:2], axes=(0, 1))[inside, inside]
    return np.asarray(result, np.float32)


if __name__ == "__main__":
    main()
