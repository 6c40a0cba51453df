"""What the working size costs and gains, on large photographs whose sharp counterparts are known.

    python benchmarks/working_size.py FOLDER [--model M] [--megapixels 12,24] [--radii 4,8,16,24]
                                      [--sizes 1024,1536,2048,3072] [--pictures 1] [--half]

FOLDER holds photographs of 2000x1000 pixels or more. Of those that are sharp in the middle, some
from all over the folder are taken: 2x3 middles side by side are a picture of 12 megapixels, 3x4
one of 24. Each is put out of focus as a whole in linear light, with one radius of the circle of
confusion, and rounded to 8 bits; with `--half` every second photograph stays in focus. Printed are
PSNR and SSIM (of the mean of the channels) to the sharp picture, means over the pictures, of

- the picture out of focus,
- `full`: the network at the full size,
- `N`: what `--working-size N` does, the network's correction of a smaller copy, enlarged and added,
- `N plain`: the network's result of that copy, enlarged,
- `blur`: what `--working-size blur` does.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ifan import Deblurrer
from ifan.datasets.simulated import sharpness
from ifan.images import Metadata, Photograph, resize
from ifan.optics import Layer, PointSpreadFunction, linear_light, render, srgb_coded

Picture = NDArray[np.uint8]

PIECE = (1000, 2000)
GRIDS = {12: (3, 2), 24: (4, 3)}
"""Rows and columns of pieces, by megapixels."""

SHARP = 0.5
"""Part of a photograph's textured squares that has to be sharp: a photograph that is soft itself
would count it as a loss when it becomes sharper."""


class Scores(NamedTuple):
    """How near a picture is to the sharp one."""

    psnr: float
    ssim: float


def main() -> None:
    options = parse()
    count = options.pictures * sum(math.prod(GRIDS[size]) for size in options.megapixels)
    pieces = sharp_pieces(options.folder, count)
    for megapixels in options.megapixels:
        scores: dict[tuple[str, float], list[Scores]] = defaultdict(list)
        for number in range(options.pictures):
            sharp = mosaic(pieces, GRIDS[megapixels])
            for radius in options.radii:
                blurred = out_of_focus(sharp, radius, half=options.half)
                for name, result in contestants(options, blurred):
                    scores[name, radius].append(score(sharp, result))
                    print(number, radius, name, scores[name, radius][-1], file=sys.stderr)
        print_table(megapixels, options, scores)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--megapixels", type=numbers, default=[12, 24], help="12, 24 or both")
    parser.add_argument("--radii", type=numbers, default=[4, 8, 16, 24], help="in pixels")
    parser.add_argument("--sizes", type=numbers, default=[1024, 1536, 2048, 3072])
    parser.add_argument("--pictures", type=int, default=1, help="of each number of megapixels")
    parser.add_argument("--half", action="store_true", help="leave half of the picture in focus")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def sharp_pieces(folder: Path, count: int) -> Iterator[Picture]:
    """Return the middles of so many photographs, at equal distances among those that are sharp."""
    found = [path for path, piece in middles(folder) if sharpness(piece) >= SHARP]
    if len(found) < count:
        sys.exit(
            f"{count} sharp photographs of 2000x1000 pixels are needed, there are {len(found)}"
        )
    chosen = {found[number * len(found) // count] for number in range(count)}
    return (piece for path, piece in middles(folder) if path in chosen)


def middles(folder: Path) -> Iterator[tuple[Path, Picture]]:
    """Yield the middle of each photograph that is large enough."""
    height, width = PIECE
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
            continue
        with Image.open(path) as image:
            left, top = (image.width - width) // 2, (image.height - height) // 2
            if min(left, top) >= 0:
                box = left, top, left + width, top + height
                yield path, np.asarray(image.convert("RGB").crop(box))


def mosaic(pieces: Iterator[Picture], grid: tuple[int, int]) -> Picture:
    """Put the next pieces side by side."""
    rows, columns = grid
    lines = [np.concatenate(list(islice(pieces, columns)), axis=1) for _ in range(rows)]
    return np.concatenate(lines)


def out_of_focus(sharp: Picture, radius: float, *, half: bool) -> Picture:
    """Render a plane behind the focus, piece by piece, as the whole would take much memory."""
    psf = PointSpreadFunction()
    margin = psf.reach(radius)
    around = np.pad(sharp, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    blurred = sharp.copy()
    height, width = PIECE
    for top, left in product(range(0, len(sharp), height), range(0, sharp.shape[1], width)):
        if half and (top // height + left // width) % 2:
            continue
        part = around[top : top + height + 2 * margin, left : left + width + 2 * margin]
        views = render([Layer(linear_light(part), radius)], psf, margin=margin)
        blurred[top : top + height, left : left + width] = rounded(srgb_coded(views.center))
    return blurred


def contestants(options: argparse.Namespace, blurred: Picture) -> Iterator[tuple[str, Picture]]:
    yield "out of focus", blurred
    height, width, _ = blurred.shape
    photograph = Photograph(blurred, None, format="", metadata=Metadata(), path=Path("picture"))
    sizes = [size for size in options.sizes if size < max(height, width)]
    for size in (*sizes, "blur", "full"):
        deblurrer = Deblurrer(options.model, working_size=size)
        renditions = deblurrer.renditions(photograph)
        deblurred = deblurrer.infer(renditions)
        corrected = renditions[0].corrected(deblurred, 1.0).pixels
        yield str(size), np.asarray(corrected, np.uint8)
        if size in sizes:
            yield f"{size} plain", rounded(resize(deblurred, height, width))


def rounded(values: NDArray[np.float32]) -> Picture:
    """Turn values into those of an 8-bit picture."""
    return np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)


def score(sharp: Picture, picture: Picture) -> Scores:
    grey = [each.mean(axis=2, dtype=np.float32) for each in (sharp, picture)]
    return Scores(
        float(peak_signal_noise_ratio(sharp, picture, data_range=255)),
        float(structural_similarity(*grey, data_range=255)),
    )


def print_table(
    megapixels: int,
    options: argparse.Namespace,
    scores: dict[tuple[str, float], list[Scores]],
) -> None:
    print(f"\n{megapixels} megapixels, {options.pictures} pictures: PSNR (dB) and SSIM by radius")
    print(f"{'':14}" + "".join(f"{f'{radius} px':>16}" for radius in options.radii))
    for name in dict.fromkeys(name for name, _ in scores):
        means = (np.mean(scores[name, radius], axis=0) for radius in options.radii)
        print(f"{name:14}" + "".join(f"{psnr:>9.2f}{ssim:>7.3f}" for psnr, ssim in means))


if __name__ == "__main__":
    main()
