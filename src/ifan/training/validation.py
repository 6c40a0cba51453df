"""How good a network is while it is trained, on pictures that it does not learn from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from skimage.metrics import structural_similarity

from ifan.datasets.examples import Example, Examples
from ifan.datasets.opening import open_examples
from ifan.datasets.photographs import Photographs
from ifan.datasets.simulated import SceneSimulator
from ifan.errors import IfanError, PictureError
from ifan.networks.ifan import SIZE_MULTIPLE, DeblurringNetwork
from ifan.training.losses import Tasks
from ifan.training.recipe import FolderData, Recipe, SimulatedData
from ifan.training.views import Views, views_on

Array = npt.NDArray[np.float32]

BANDS_PX = (1.0, 3.0, 6.0, 12.0)
"""Limits between which simulated scenes are judged together, of their mean |coc|; those beyond the
last one are, too."""

_LARGEST_SAMPLE = 512
"""Side in pixels of samples: training tasks hold all filters of a picture at once."""

VALIDATION_SEED = 424_242
"""Of validation scenes; not that of any training."""


class Judged(NamedTuple):
    """How good a network is on a validation picture.

    Attributes:
        psnr: of its output, in dB.
        ssim: of its output.
        input_psnr: of the defocused picture, in dB.
        mean_coc_px: mean |coc| of a simulated scene; None of other pictures.
    """

    psnr: float
    ssim: float
    input_psnr: float
    mean_coc_px: float | None


def psnr(picture: Array, target: Array) -> float:
    """Return the peak signal-to-noise ratio over RGB in dB, peak 1."""
    error = float(np.square(picture - target, dtype=np.float64).mean())
    return float(-10 * np.log10(max(error, 1e-12)))


def ssim(picture: Array, target: Array) -> float:
    """Return the structural similarity: 7x7 uniform window, mean over the channels."""
    similarity: Any = structural_similarity
    return float(similarity(picture, target, data_range=1.0, channel_axis=-1))


def validation_pictures(
    recipe: Recipe, photographs: Path
) -> Iterator[tuple[Example, float | None]]:
    """Give the validation pictures of a recipe, if any, and their mean |coc| where it is known."""
    if recipe.validation.root:
        examples = _opened(recipe)
        for number in range(len(examples)):
            yield examples[number], None
    elif isinstance(recipe.data, SimulatedData) and recipe.data.held_out:
        held_out = Photographs(photographs, held_out=recipe.data.held_out, validation=True)
        simulator = SceneSimulator(held_out, recipe.data.simulation, seed=VALIDATION_SEED)
        for number in range(recipe.validation.scenes):
            scene = simulator.scene(number)
            example = Example(
                scene.center, scene.target, scene.left, scene.right, f"scene {number}", scene.coc
            )
            yield example, float(np.abs(scene.coc).mean())


def _opened(recipe: Recipe) -> Examples:
    """Open the validation pictures on disk."""
    data = recipe.data if isinstance(recipe.data, FolderData) else FolderData()
    return open_examples(
        recipe.validation.root,
        recipe.validation.split,
        views=recipe.needs_views,  # samples show all tasks
        bits=recipe.sample_bits,
        cache=None if data.cache is None else Path(data.cache),
        cache_gigabytes=data.cache_gigabytes,
    )


def require_others(recipe: Recipe, trained: Examples) -> None:
    """Refuse validation pictures that are the ones trained with, whose scores would say nothing.

    Args:
        recipe: says what the validation pictures are.
        trained: what is trained with.

    Raises:
        IfanError: they are the same.
    """
    if not recipe.validation.root:
        return
    names, others = trained.names, _opened(recipe).names
    if len(names) == len(others) and all(map(_is_same_file, names, others)):
        remedy = "give another validation.root, or folders train and val with pictures of their own"
        raise IfanError(recipe.validation.root, "holds the pictures that are trained with", remedy)


def _is_same_file(name: str, other: str) -> bool:
    return Path(name).resolve() == Path(other).resolve()


@torch.no_grad()
def judge(
    network: DeblurringNetwork, example: Example, mean_coc_px: float | None, device: torch.device
) -> Judged:
    """Deblur a validation picture as a user would, in float32, and score it."""
    views = _views(example, device)
    others = (views.left, views.right) if network.dual_pixel else ()
    output = network(views.center, *others).clamp(0, 1)
    center, output, target = map(_picture, (views.center, output, views.target))
    return Judged(psnr(output, target), ssim(output, target), psnr(center, target), mean_coc_px)


@torch.no_grad()
def sample(tasks: Tasks, example: Example, device: torch.device) -> dict[str, Array]:
    """Do all tasks with the middle of a validation picture, to look at.

    Returns:
        HxWx3 in [0, 1] by name: `input`, `target`, and what the tasks made, see `Outcome`.
    """
    views = _views(example, device, largest=_LARGEST_SAMPLE)
    made = tasks(views).pictures
    pictures = {"input": views.center, "target": views.target, **made}
    return {name: _picture(picture.clamp(0, 1)) for name, picture in pictures.items()}


def band_gains(judged: Sequence[Judged]) -> dict[str, float]:
    """Return the mean gain in dB of simulated scenes for each band of blur that there is."""
    gains = {}
    for low, high in pairwise((0.0, *BANDS_PX, math.inf)):
        band = [
            one.psnr - one.input_psnr
            for one in judged
            if one.mean_coc_px is not None and low <= one.mean_coc_px < high
        ]
        if band:
            name = f"gain_{low:g}_{high:g}px" if math.isfinite(high) else f"gain_from_{low:g}px"
            gains[name] = float(np.mean(band))
    return gains


def _views(example: Example, device: torch.device, largest: int | None = None) -> Views:
    """Return pictures as tensors, cropped at the bottom and right to what networks take.

    Args:
        example: the pictures.
        device: where to.
        largest: take a part out of the middle that is not larger.

    Raises:
        PictureError: nothing is left of them.
    """
    height, width = example.center.shape[:2]
    if min(height, width) < SIZE_MULTIPLE:
        reason = f"has {width}x{height} pixels, which no network takes"
        raise PictureError(example.name, reason, "take it out of the validation pictures")
    rows, columns = (_kept(size, largest) for size in (height, width))

    def cropped(picture: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if picture is None else picture[None, rows, columns].copy()

    names = ("center", "target", "left", "right", "coc")
    parts = {name: cropped(getattr(example, name)) for name in names}
    return views_on(device, SimpleNamespace(**parts))


def _kept(size: int, largest: int | None) -> slice:
    """Return which rows or columns are kept of so many."""
    kept = size if largest is None else min(size, largest)
    kept -= kept % SIZE_MULTIPLE
    first = 0 if largest is None else (size - kept) // 2
    return slice(first, first + kept)


def _picture(values: torch.Tensor) -> Array:
    return values[0].permute(1, 2, 0).float().cpu().numpy()
