"""What classical sharpening gains on pictures whose sharp counterparts are known.

    python benchmarks/classical.py FOLDER [--linear]

The baselines that `benchmarks/quality.py` is to be read beside, on the same pairs with the same
metrics: the unsharp mask, and Richardson-Lucy deconvolution with one disc, in linear light, for the
whole picture. Both have the advantage of hindsight: every setting of a grid is tried on all pairs,
and for each method the one with the highest mean PSNR is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from skimage.filters import unsharp_mask
from skimage.restoration import richardson_lucy

from ifan.evaluation.lpips import Lpips
from ifan.evaluation.metrics import psnr
from ifan.optics import Disc, PointSpreadFunction, linear_light, srgb_coded
from quality import Picture, mean_of, print_head, print_row, read_pairs, score

Method = Callable[[Picture], Picture]

MASK_RADII = (0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
MASK_AMOUNTS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
DISC_RADII = (0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
ITERATIONS = (5, 10, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--linear", action="store_true", help="the pictures are in linear light")
    options = parser.parse_args()
    pairs = [pair for _, pair in read_pairs(options.folder, linear=options.linear)]
    lpips = Lpips()
    print_head()
    for settings in (masks(), deconvolutions()):
        name, method = max(
            settings, key=lambda it: np.mean([psnr(it[1](source), to) for source, to in pairs])
        )
        before, after, shifts = zip(*(score(method, lpips, *pair) for pair in pairs), strict=True)
        print_row(name, mean_of(before), mean_of(after), float(np.mean(shifts)))


def masks() -> Iterator[tuple[str, Method]]:
    for radius, amount in product(MASK_RADII, MASK_AMOUNTS):
        yield f"mask {radius:g}, {amount:g}", partial(masked, radius=radius, amount=amount)


def masked(picture: Picture, *, radius: float, amount: float) -> Picture:
    planes = [unsharp_mask(picture[..., channel], radius, amount) for channel in range(3)]
    return np.stack(planes, axis=2).clip(0, 1).astype(np.float32)


def deconvolutions() -> Iterator[tuple[str, Method]]:
    for radius, count in product(DISC_RADII, ITERATIONS):
        yield f"RL {radius:g} px, {count}", partial(deconvolved, radius=radius, count=count)


def deconvolved(picture: Picture, *, radius: float, count: int) -> Picture:
    kernel = PointSpreadFunction(Disc()).views(radius).center
    margin = 4 * len(kernel)
    padded = np.pad(
        linear_light(picture), ((margin, margin), (margin, margin), (0, 0)), mode="reflect"
    )
    planes = [richardson_lucy(padded[..., channel], kernel, count) for channel in range(3)]
    inside = slice(margin, -margin)
    return srgb_coded(np.stack(planes, axis=2)[inside, inside].clip(0, 1).astype(np.float32))


if __name__ == "__main__":
    main()
