"""How much a model gains on pictures whose sharp counterparts are known.

    python benchmarks/quality.py FOLDER [--model M] [--working-size S] [--passes N] [--linear]

FOLDER holds pairs NAME_input.png and NAME_target.png. For each pair it prints the metrics of `ifan
evaluate`, of the input and of the whole result, the largest mean change of a channel in levels of 8
bits, and in the last line the means. That change is in linear light: blur keeps the mean there,
while in coded values a sharp picture is the darker one. `--linear`: the files are in linear light.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ifan import Deblurrer
from ifan.evaluation.lpips import Lpips
from ifan.evaluation.metrics import Scores, mae, psnr, ssim
from ifan.optics.colour import linear_light

Picture = NDArray[np.float32]


WIDTHS = {"psnr": "6.2f", "ssim": "6.3f", "mae": "6.4f", "lpips": "6.3f"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--working-size", default="full", help="as of ifan deblur")
    parser.add_argument("--passes", type=int, default=1, help="as of ifan deblur")
    parser.add_argument("--linear", action="store_true", help="the pictures are in linear light")
    options = parser.parse_args()
    deblurrer = Deblurrer(
        options.model,
        precision="fp32",
        working_size=options.working_size,
        passes=options.passes,
    )
    lpips = Lpips()
    print_head()
    scores = []
    for name, pair in read_pairs(options.folder, linear=options.linear):
        scores.append(score(deblurrer, lpips, *pair))
        print_row(name, *scores[-1])
    before, after, shifts = zip(*scores, strict=True)
    print_row("mean", mean_of(before), mean_of(after), float(np.mean(shifts)))


def read_pairs(folder: Path, *, linear: bool) -> Iterator[tuple[str, tuple[Picture, Picture]]]:
    """Read the pairs of a folder, each with its name."""
    sources = sorted(folder.glob("*_input.png"))
    if not sources:
        sys.exit(f"{folder} holds no NAME_input.png")
    for source in sources:
        target = source.with_name(source.name.replace("_input", "_target"))
        yield source.name.removesuffix("_input.png"), (read(source, linear), read(target, linear))


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


def score(
    method: Callable[[Picture], Picture], lpips: Lpips, source: Picture, target: Picture
) -> tuple[Scores, Scores, float]:
    """Return the scores of the input and of the result, and the change of colour in levels."""
    result = method(source)
    change = linear_light(result) - linear_light(source)
    shift = np.abs(change.mean(axis=(0, 1), dtype=np.float64)).max() * 255
    distances = lpips(target, [source, result])
    before, after = (
        Scores(
            psnr=psnr(picture, target),
            ssim=ssim(picture, target),
            mae=mae(picture, target),
            lpips=distance,
        )
        for picture, distance in zip((source, result), distances, strict=True)
    )
    return before, after, float(shift)


def print_head() -> None:
    heads = (
        f"{f'{name.upper()}, change':>{width}}"
        for name, width in zip(WIDTHS, (23,) * 4, strict=True)
    )
    print(f"{'':14} {'   '.join(heads)} {'colour':>7}")


def print_row(name: str, before: Scores, after: Scores, shift: float) -> None:
    cells = [
        f"{getattr(before, metric):{width}} -> {getattr(after, metric):{width}}"
        f" {getattr(after, metric) - getattr(before, metric):+{width}}"
        for metric, width in WIDTHS.items()
    ]
    print(f"{name:14} {'   '.join(cells)} {shift:7.2f}")


def mean_of(scores: Sequence[Scores]) -> Scores:
    names = Scores.model_fields
    return Scores(**{name: np.mean([getattr(one, name) for one in scores]) for name in names})


if __name__ == "__main__":
    main()
