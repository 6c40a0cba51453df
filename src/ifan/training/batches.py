"""Which examples make which batch: a function of the seed and the batch's number alone.

So any number of processes may prepare batches, and a training that was stopped goes on with the
batch that would have come next.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ifan.datasets.augmentation import augmented
from ifan.datasets.examples import Example, Examples
from ifan.datasets.folders import Bits
from ifan.datasets.opening import open_examples
from ifan.datasets.photographs import Photographs
from ifan.datasets.streaming import CropStream
from ifan.errors import IfanError, PictureError
from ifan.processes import in_processes
from ifan.training.recipe import FolderData, Recipe, SimulatedData
from ifan.training.teacher import taught


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples side by side, NxHxWx3, of integers or float32 in [0, 1].

    Attributes:
        center: photographs out of focus.
        target: with everything in focus.
        left: left dual-pixel views, or None.
        right: right dual-pixel views, or None.
        coc: true circles of confusion, NxHxW, or None.
        names: what messages call the examples.
        skipped: damaged pictures that should have been here, a line each.
    """

    center: npt.NDArray[Any]
    target: npt.NDArray[Any]
    left: npt.NDArray[Any] | None
    right: npt.NDArray[Any] | None
    coc: npt.NDArray[np.float32] | None
    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rank:
    """Which of the processes that train together this one is.

    Attributes:
        number: from 0.
        processes: how many there are.
    """

    number: int = 0
    processes: int = 1


def batches(
    recipe: Recipe, first: int, *, rank: Rank, workers: int, photographs: Path
) -> Generator[Batch, None, None]:
    """Yield the batches of a training in order.

    Args:
        recipe: says what they are made of.
        first: number of the first one; there are `accumulation` of them for each update.
        rank: which process they are for.
        workers: how many processes prepare them; with none they are made here, when asked for.
        photographs: where photographs lie decoded, for simulated data.

    Raises:
        PictureError: a picture cannot be read, and the recipe does not skip it.
    """
    count = recipe.updates * recipe.accumulation
    size = _chunk_size(recipe)
    chunk = partial(_chunk, recipe, rank, photographs)
    numbers = range(first // size, math.ceil(count / size))
    if workers:
        chunks = in_processes(chunk, numbers, workers, lambda: False)
    else:
        chunks = (chunk(number) for number in numbers)
    with closing(chunks):
        in_order = (batch for chunk in chunks for batch in chunk)
        yield from islice(in_order, first % size, None)


def _chunk_size(recipe: Recipe) -> int:
    """Return how many batches are made at once: as many as share scenes."""
    if isinstance(recipe.data, FolderData):
        return 1
    return recipe.data.scenes * recipe.data.uses // recipe.batch


def _chunk(recipe: Recipe, rank: Rank, photographs: Path, number: int) -> list[Batch]:
    """Make a chunk of batches, in whichever process this runs."""
    if isinstance(recipe.data, FolderData):
        return [_read(recipe, recipe.data, rank, number)]
    return _simulate(recipe, recipe.data, rank, photographs, number)


def _simulate(
    recipe: Recipe, data: SimulatedData, rank: Rank, photographs: Path, number: int
) -> list[Batch]:
    stream = CropStream(
        _decoded(photographs, data.held_out),
        data.simulation,
        crop=recipe.crop,
        uses=data.uses,
        curriculum=data.curriculum,
        grey_share=data.grey_share,
        views=recipe.needs_views,
        seed=recipe.seed,
        retouch=None if data.teacher is None else partial(taught, teaching=data.teacher),
    )
    size = _chunk_size(recipe)
    progress = number * size / (recipe.updates * recipe.accumulation)
    group = number * rank.processes + rank.number
    crops = stream.group(group, data.scenes, min(1.0, progress))
    return [
        _batch(crops[first : first + recipe.batch]) for first in range(0, len(crops), recipe.batch)
    ]


def _read(recipe: Recipe, data: FolderData, rank: Rank, number: int) -> Batch:
    examples = opened(data, recipe.needs_views, recipe.sample_bits)
    seen, drawn = _drawn(examples, number, recipe, rank)
    crops: list[Example] = []
    skipped: list[str] = []
    for position, chosen in drawn:
        while True:
            random = np.random.default_rng([recipe.seed, seen, position])
            try:
                crops.append(augmented(examples[chosen], recipe.crop, data.augmentation, random))
                break
            except PictureError as error:
                if not data.skip_damaged or len(skipped) == len(examples):
                    raise
                skipped.append(str(error))
                chosen = (chosen + 1) % len(examples)
    return _batch(crops, tuple(skipped))


def _drawn(
    examples: Examples, number: int, recipe: Recipe, rank: Rank
) -> tuple[int, list[tuple[int, int]]]:
    """Return the epoch, and for each example of a batch its place in the epoch and its number.

    The batches of all processes together are what one process with so much larger batches has. An
    epoch is whole: its last batch is smaller if need be, though never empty for a process.
    """
    together = recipe.batch * rank.processes
    seen, position = divmod(number, _batches_of_an_epoch(examples, recipe, rank))
    order = _order(examples, [recipe.seed, seen])
    places = list(range(position * together, min((position + 1) * together, len(order))))
    if len(places) < rank.processes:
        places = [places[number % len(places)] for number in range(rank.processes)]
    return seen, [(place, order[place]) for place in places[rank.number :: rank.processes]]


def checkpoint_number(recipe: Recipe, update: int, rank: Rank) -> int:
    """Return what the checkpoint of an update is called by.

    How often all examples were seen; without end, how often one validated.
    """
    if isinstance(recipe.data, SimulatedData):
        return update // recipe.validation.every
    examples = opened(recipe.data, recipe.needs_views, recipe.sample_bits)
    return update * recipe.accumulation // _batches_of_an_epoch(examples, recipe, rank)


def _batches_of_an_epoch(examples: Examples, recipe: Recipe, rank: Rank) -> int:
    return math.ceil(len(examples) / (recipe.batch * rank.processes))


def _order(examples: Examples, seed: list[int]) -> list[int]:
    """Shuffle the numbers of all examples; those that are read together stay together."""
    random = np.random.default_rng(seed)
    blocks = examples.blocks or [range(len(examples))]
    shuffled = [blocks[index] for index in random.permutation(len(blocks))]
    return [number for block in shuffled for number in random.permutation(block).tolist()]


def _batch(examples: list[Example], skipped: tuple[str, ...] = ()) -> Batch:
    def stacked(name: str) -> npt.NDArray[Any]:
        return np.stack([getattr(example, name) for example in examples])

    has_views = examples[0].left is not None
    return Batch(
        stacked("center"),
        stacked("target"),
        stacked("left") if has_views else None,
        stacked("right") if has_views else None,
        None if examples[0].coc is None else stacked("coc"),
        names=tuple(example.name for example in examples),
        skipped=skipped,
    )


@lru_cache(maxsize=1)
def opened(data: FolderData, views: bool, bits: Bits) -> Examples:
    """Open the pictures on disk that are trained with.

    Args:
        data: where they are.
        views: whether dual-pixel views are wanted.
        bits: of the pixels.

    Raises:
        IfanError: there are none, or they do not have what is wanted.
    """
    if not data.root:
        raise IfanError("data.root", "is not given", "give it with --set data.root=FOLDER")
    cache = None if data.cache is None else Path(data.cache)
    return open_examples(
        data.root,
        data.split,
        views=views,
        bits=bits,
        cache=cache,
        cache_gigabytes=data.cache_gigabytes,
    )


@lru_cache(maxsize=1)
def _decoded(folder: Path, held_out: int) -> Photographs:
    return Photographs(folder, held_out=held_out)
