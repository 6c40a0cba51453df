"""What would stop a training, or spoil an evaluation, found before it starts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ifan.datasets.examples import require_crop
from ifan.datasets.folders import (
    FolderExamples,
    Role,
    Split,
    require_integers,
    require_one_size,
)
from ifan.datasets.released import ReleasedSet
from ifan.errors import IfanError, PictureError
from ifan.images import read_photograph
from ifan.images.photograph import Pixels
from ifan.processes import in_threads

_SIZES_SHOWN = 3
_COMPLETE = "published numbers are of the whole set as it was released"


class Finding(NamedTuple):
    """What was found of an example.

    Attributes:
        problems: what is wrong: pictures that cannot be read, that differ in size or in bits, or
            that are smaller than the crop.
        size: width and height in pixels; None if a picture cannot be read.
        bits: of a sample; so, too.
    """

    problems: tuple[PictureError, ...]
    size: tuple[int, int] | None
    bits: int | None


def findings_of(
    examples: FolderExamples, crop: int, *, stopped: Callable[[], bool] = lambda: False
) -> Generator[Finding, None, None]:
    """Read all pictures, and look whether they can be trained with.

    Args:
        examples: what is looked at. That there are views, and as many as photographs, was found out
            when they were opened.
        crop: side of the crops that are to be trained with, in pixels.
        stopped: asked now and then; once it is true, no more is looked at.

    Yields:
        What was found of each example.
    """
    yield from in_threads(partial(_finding, examples, crop), range(len(examples)), stopped)


def _finding(examples: FolderExamples, crop: int, number: int) -> Finding:
    files = examples.files[number]
    pictures: dict[Role, Pixels] = {}
    found = [_caught(_read, path, role, pictures) for role, path in files.items()]
    size = bits = None
    if len(pictures) == len(files):
        center = pictures["center"]
        size, bits = (center.shape[1], center.shape[0]), 8 * center.itemsize
        found = [
            _caught(require_one_size, files, pictures),
            _caught(_require_one_depth, files, pictures),
            _caught(require_crop, str(files["center"]), center.shape[0], center.shape[1], crop),
        ]
    return Finding(tuple(problem for problem in found if problem is not None), size, bits)


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


def differences_from(
    released: ReleasedSet, split: Split, folder: Path, findings: Sequence[Finding]
) -> list[IfanError]:
    """Say in what pictures are not those that a released set should hold.

    Args:
        released: what is known about the set.
        split: which part of it they are.
        folder: of the center views, for messages.
        findings: of each of them.
    """
    found = []
    expected = released.pictures.get(split)
    if expected is not None and len(findings) != expected:
        found.append(f"has {len(findings)} pictures, the set has {expected}")
    if split == "test":
        wanted = {"size": released.size, "bits": released.bits}
        for what, value in wanted.items():
            others = [getattr(one, what) for one in findings if getattr(one, what) is not None]
            others = [other for other in others if value not in (None, other)]
            if others:
                kind = "another size than {}" if what == "size" else "another depth than {} bits"
                reason = f"{len(others)} of its pictures have {kind.format(_shown(value))}"
                found.append(f"{reason}: {', '.join(sorted(set(map(_shown, others))))}")
    return [IfanError(folder, reason, _COMPLETE) for reason in found]


def described(findings: Sequence[Finding]) -> str:
    """Return how many pictures there are, of which sizes and bits."""
    sizes = sorted({_shown(one.size) for one in findings if one.size})
    bits = sorted({one.bits for one in findings if one.bits})
    said = [f"{len(findings)} pictures"]
    said += sizes if len(sizes) <= _SIZES_SHOWN else [f"{len(sizes)} sizes"]
    said += [f"{' and '.join(map(str, bits))} bits"] if bits else []
    return ", ".join(said)


def _shown(value: tuple[int, int] | int | None) -> str:
    """Return a size or a number of bits for people."""
    return f"{value[0]}x{value[1]}" if isinstance(value, tuple) else str(value)
