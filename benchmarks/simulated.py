"""How models do on simulated scenes, where the blur of each pixel is known.

    python benchmarks/simulated.py PHOTOGRAPHS [--models ifan-s,FILE,...] [--recipe ifan-s]
                                   [--scenes 48]

PHOTOGRAPHS is the folder that a recipe trains with. Of its photographs those are taken that the
recipe keeps apart: no model that it trains has seen them. For each model it prints

- the mean gain in PSNR of scenes by their mean |coc| (the scenes that training validates with),
- how much less the mean gain is without what the network does at 1/8 of the size, the IAC among it,
- how much less it is if e_B is the same everywhere, so that nothing of what is in it reaches the
  filters of the IAC,
- the rank correlation (Spearman) of the defocus map with the true |coc|, over all scenes, a value
  for each cell of 8x8 pixels,
- how near sharp photographs stay to themselves: the mean PSNR and the lowest,
- by how many levels of 255 photographs turned grey get coloured at most, on average over a picture.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifan import Deblurrer
from ifan.datasets.photographs import Photographs, decode
from ifan.datasets.simulated import Scene, SceneSimulator
from ifan.evaluation.metrics import psnr
from ifan.tiling import CELL
from ifan.training.recipe import SimulatedData, open_recipe
from ifan.training.validation import BANDS_PX, VALIDATION_SEED, Judged, band_gains

LARGEST_SIDE = 768
"""Of sharp photographs; their middle is taken."""


def main() -> None:
    options = parse()
    scenes, photographs = pictures(options)
    bands = [f"gain_{low:g}_{high:g}px" for low, high in pairwise((0.0, *BANDS_PX))]
    bands.append(f"gain_from_{BANDS_PX[-1]:g}px")
    heads = [name.removeprefix("gain_").replace("_", "-") for name in bands]
    bands_head = "".join(f"{head:>10}" for head in heads)
    print(f"{'':24}{bands_head}{'1/8':>7}{'e_B':>7}{'rank':>8}{'sharp':>14}{'grey':>7}")
    for model in options.models:
        deblurrer = Deblurrer(model, precision="fp32", working_size="full")
        if deblurrer.dual_pixel:
            raise SystemExit(f"{model} needs dual-pixel views")
        gains = band_gains([judged(deblurrer, scene) for scene in scenes])
        coarsest, filtered = np.mean([worths(deblurrer, scene) for scene in scenes], axis=0)
        cells = "".join(f"{gains[b]:>+10.2f}" if b in gains else f"{'-':>10}" for b in bands)
        kept = [psnr(deblurrer(p) / np.float32(255), p / np.float32(255)) for p in photographs]
        grey = max(colour(deblurrer(greyed(p))) for p in photographs)
        print(
            f"{Path(model).name:24}{cells}{coarsest:>+7.2f}{filtered:>+7.2f}"
            f"{rank_correlation(deblurrer, scenes):>8.3f}"
            f"{np.mean(kept):>7.1f}, {min(kept):.1f}{grey:>7.2f}",
            flush=True,
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=lambda text: text.split(","), default=["ifan-s"])
    parser.add_argument("--recipe", default="ifan-s", help="a name or a file")
    parser.add_argument("--scenes", type=int, default=48)
    return parser.parse_args()


def pictures(options: argparse.Namespace) -> tuple[list[Scene], list[NDArray[np.uint8]]]:
    """Simulate the scenes, and return them with the sharp photographs that were kept apart."""
    data = open_recipe(options.recipe).data
    if not isinstance(data, SimulatedData) or not data.held_out:
        raise SystemExit(f"{options.recipe} keeps no photographs apart")
    with tempfile.TemporaryDirectory() as folder:
        decode(options.folder, Path(folder), processes=2, stopped=lambda: False)
        apart = Photographs(Path(folder), held_out=data.held_out, validation=True)
        simulator = SceneSimulator(apart, data.simulation, seed=VALIDATION_SEED)
        scenes = [simulator.scene(number) for number in range(options.scenes)]
        return scenes, [middle(np.asarray(photograph)) for photograph in apart]


def middle(picture: NDArray[Any]) -> NDArray[np.uint8]:
    top, left = (max(0, (side - LARGEST_SIDE) // 2) for side in picture.shape[:2])
    return picture[top : top + LARGEST_SIDE, left : left + LARGEST_SIDE].copy()


def judged(deblurrer: Deblurrer, scene: Scene) -> Judged:
    result = deblurrer(scene.center)
    return Judged(
        psnr(result, scene.target),
        0.0,
        psnr(scene.center, scene.target),
        float(np.abs(scene.coc).mean()),
    )


@torch.inference_mode()
def worths(deblurrer: Deblurrer, scene: Scene) -> tuple[float, float]:
    """Return the PSNR of the network's result less that without parts of it.

    Without all that is made at 1/8 of the size: the bottleneck's output is zero. Without what is
    in e_B, which the IAC filters: it is its mean everywhere.
    """
    network = deblurrer.model.network().eval()
    center, target = (
        torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in (scene.center, scene.target)
    )
    whole = network.deblur(center)
    even = whole.defocused.mean(dim=(2, 3), keepdim=True).expand_as(whole.defocused)
    unfiltered = network.apply_filters(whole.filter_feature, even.contiguous())

    def loss(bottleneck: Tensor) -> float:
        results = whole.deblurred, network.decode(bottleneck, center)
        found, less = (psnr(result.clamp(0, 1).numpy(), target.numpy()) for result in results)
        return found - less

    return loss(torch.zeros_like(whole.bottleneck)), loss(unfiltered)


def rank_correlation(deblurrer: Deblurrer, scenes: list[Scene]) -> float:
    maps = [by_cell(np.abs(deblurrer.defocus_map(scene.center))) for scene in scenes]
    truth = [by_cell(np.abs(scene.coc)) for scene in scenes]
    return float(np.corrcoef(ranks(np.concatenate(maps)), ranks(np.concatenate(truth)))[0, 1])


def ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the place of each value in order; equal ones share the middle of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - counts / 2)[inverse]


def by_cell(values: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = (side // CELL for side in values.shape)
    cells = values[: height * CELL, : width * CELL].reshape(height, CELL, width, CELL)
    return np.asarray(cells.mean(axis=(1, 3)).ravel(), np.float32)


def greyed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(picture[..., 1:2], 3, axis=2)


def colour(picture: NDArray[np.uint8]) -> float:
    """Return the largest mean difference between two channels, in levels."""
    return float(np.ptp(picture.mean(axis=(0, 1), dtype=np.float64)))


if __name__ == "__main__":
    main()
