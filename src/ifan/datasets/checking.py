"""What would stop a training, found before it starts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ifan.datasets.examples import require_crop
from ifan.datasets.folders import FolderExamples, Role, require_integers, require_one_size
from ifan.datasets.preparing import in_order
from ifan.errors import PictureError
from ifan.images import read_photograph
from ifan.images.photograph import Pixels


def problems_of(
    examples: FolderExamples, crop: int, *, stopped: Callable[[], bool] = lambda: False
) -> Generator[tuple[PictureError, ...], None, None]:
    """Read all pictures, and look whether they can be trained with.

    Args:
        examples: what is looked at. That there are views, and as many as photographs, was found out
            when they were opened.
        crop: side of the crops that are to be trained with, in pixels.
        stopped: asked now and then; once it is true, no more is looked at.

    Yields:
        For each example what is wrong with it: pictures that cannot be read, that differ in size or
        in bits, or that are smaller than the crop.
    """
    yield from in_order(partial(_problems, examples, crop), range(len(examples)), stopped)


def _problems(examples: FolderExamples, crop: int, number: int) -> tuple[PictureError, ...]:
    files = examples.files[number]
    pictures: dict[Role, Pixels] = {}
    found = [_caught(_read, path, role, pictures) for role, path in files.items()]
    if len(pictures) == len(files):
        center = pictures["center"]
        found = [
            _caught(require_one_size, files, pictures),
            _caught(_require_one_depth, files, pictures),
            _caught(require_crop, str(files["center"]), center.shape[0], center.shape[1], crop),
        ]
    return tuple(problem for problem in found if problem is not None)


def _caught(require: Callable[..., None], *arguments: Any) -> PictureError | None:
    try:
        require(*arguments)
    except PictureError as error:
        return error
    return None


def _read(path: Path, role: Role, pictures: dict[Role, Pixels]) -> None:
    photograph = read_photograph(path)
    require_integers(photograph)
    pictures[role] = photograph.pixels


def _require_one_depth(files: Mapping[Role, Path], pictures: Mapping[Role, Pixels]) -> None:
    bits = {role: 8 * pixels.itemsize for role, pixels in pictures.items()}
    for role, path in files.items():
        if bits[role] != bits["center"]:
            reason = f"has {bits[role]} bits, but {files['center']} has {bits['center']}"
            raise PictureError(path, reason, "give pictures of one scene with the same bits")
